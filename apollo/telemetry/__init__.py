"""What Apollo tells of its work: logs, traces, metrics. Without `OTEL_*` only logs."""
