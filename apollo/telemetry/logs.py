"""What a worker tells of its work: one line of structured log for each thing worth knowing."""

import logging
import sys

import structlog


def configure_logging() -> None:
    """Log to standard error: JSON, or for people where that is a terminal.

    What Temporal's SDK and asyncssh log looks the same, from warnings on. A failed turn is
    told once, by its activity; the SDK's own lines about it say nothing more.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    terminal = sys.stderr.isatty()
    rendered: list[structlog.typing.Processor] = [
        structlog.processors.format_exc_info,
        structlog.dev.ConsoleRenderer() if terminal else structlog.processors.JSONRenderer(),
    ]
    structlog.configure(
        processors=[*shared, *rendered],
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *rendered,
            ],
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("apollo").setLevel(logging.INFO)
    logging.getLogger("temporalio.activity").setLevel(logging.ERROR)
