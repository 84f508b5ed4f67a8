"""Takes metrics to the collector."""

import threading
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from opentelemetry.metrics import CallbackOptions, Meter, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExporter, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource

from apollo import __version__
from apollo.telemetry.metrics import BUCKETS, METRICS, Metric

FAREWELL = 2.0
"""Seconds that a worker which ends gives a collector to take the last values."""


class Meters:
    """Exports all metrics from time to time, as `OTEL_METRIC_EXPORT_INTERVAL` says."""

    def __init__(self, exporter: MetricExporter, resource: Resource) -> None:
        self._provider = MeterProvider([PeriodicExportingMetricReader(exporter)], resource)
        meter = self._provider.get_meter("apollo", __version__)
        for metric in METRICS:
            metric.bind(_instrument(meter, metric))

    def close(self) -> None:
        """Export once more, if that does not take long."""
        for metric in METRICS:
            metric.bind(None)
        last = threading.Thread(target=self._provider.shutdown, daemon=True)
        last.start()
        last.join(FAREWELL)


def _instrument(meter: Meter, metric: Metric) -> Any:
    said = {"unit": metric.unit, "description": metric.says}
    match metric.kind:
        case "counter":
            return meter.create_counter(metric.name, **said)
        case "histogram":
            return meter.create_histogram(
                metric.name, **said, explicit_bucket_boundaries_advisory=BUCKETS
            )
        case "gauge":
            create: Callable[..., Any] = meter.create_observable_gauge
        case "up-down counter":
            create = meter.create_observable_up_down_counter
    return create(metric.name, callbacks=[partial(_observe, metric)], **said)


def _observe(metric: Metric, _: CallbackOptions) -> Iterable[Observation]:
    return [Observation(number, attributes) for number, attributes in metric.values()]
