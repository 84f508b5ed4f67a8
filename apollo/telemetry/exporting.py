"""Sets traces and metrics up, where `OTEL_*` asks for them."""

import asyncio
import importlib
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from apollo.telemetry import spans
from apollo.telemetry.variables import Signal, endpoint, headers, protocol, wanted

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from temporalio.runtime import Runtime

_LOG = logging.getLogger("apollo.telemetry")
"""The standard library's: in a client nobody has set structlog up, and it would print."""
_EVERY = "60000"


@asynccontextmanager
async def tracing(service: str) -> AsyncIterator[None]:
    """Export what `apollo.telemetry.spans` is told, if `OTEL_*` asks for traces."""
    if spans.writer() or not wanted("traces"):
        yield
        return
    try:
        from apollo.telemetry.sender import SpanSender

        sender = SpanSender(_exporter("traces"), _resource(service))
    except ImportError as error:
        _tell_missing("traces", error)
        yield
        return
    spans.use(sender)
    try:
        yield
    finally:
        spans.forget(sender)
        await asyncio.to_thread(sender.close)


@asynccontextmanager
async def metering(service: str) -> AsyncIterator[None]:
    """Export what `apollo.telemetry.metrics` counts, if `OTEL_*` asks for metrics."""
    if not wanted("metrics"):
        yield
        return
    try:
        from apollo.telemetry.meters import Meters

        meters = Meters(_exporter("metrics"), _resource(service))
    except ImportError as error:
        _tell_missing("metrics", error)
        yield
        return
    try:
        yield
    finally:
        await asyncio.to_thread(meters.close)


def temporal_runtime(service: str) -> "Runtime | None":
    """A runtime that exports the metrics of Temporal's SDK, too; none: nobody asked for them."""
    if not wanted("metrics"):
        return None
    from temporalio.runtime import (
        OpenTelemetryConfig,
        OpenTelemetryMetricTemporality,
        Runtime,
        TelemetryConfig,
    )

    every = float(os.environ.get("OTEL_METRIC_EXPORT_INTERVAL") or _EVERY)
    preference = os.environ.get("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "")
    temporality = OpenTelemetryMetricTemporality.CUMULATIVE
    if preference.strip().lower() == "delta":
        temporality = OpenTelemetryMetricTemporality.DELTA
    config = OpenTelemetryConfig(
        url=endpoint("metrics"),
        headers=headers("metrics"),
        metric_periodicity=timedelta(milliseconds=every),
        metric_temporality=temporality,
        durations_as_seconds=True,
        http=protocol("metrics") != "grpc",
    )
    tags = {  # without an id, workers of one name would overwrite each other's series
        "service.name": os.environ.get("OTEL_SERVICE_NAME") or service,
        "service.instance.id": str(uuid4()),
    }
    return Runtime(telemetry=TelemetryConfig(metrics=config, global_tags=tags))


def _exporter(signal: Signal) -> Any:
    """The exporter of the protocol that is asked for, which reads `OTEL_*` by itself."""
    kind = "grpc" if protocol(signal) == "grpc" else "http"
    part, name = {
        "traces": ("trace_exporter", "OTLPSpanExporter"),
        "metrics": ("metric_exporter", "OTLPMetricExporter"),
    }[signal]
    module = importlib.import_module(f"opentelemetry.exporter.otlp.proto.{kind}.{part}")
    return getattr(module, name)()


def _resource(service: str) -> "Resource":
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource

    named = os.environ.get("OTEL_SERVICE_NAME") or "service.name=" in os.environ.get(
        "OTEL_RESOURCE_ATTRIBUTES", ""
    )
    return Resource.create({} if named else {SERVICE_NAME: service})


def _tell_missing(signal: Signal, error: ImportError) -> None:
    """A machine where `OTEL_*` is set for other programs deploys all the same."""
    hint = "pip install 'apollo-deploy[otlp]'"
    if protocol(signal) == "grpc":
        hint += " opentelemetry-exporter-otlp-proto-grpc"
    _LOG.warning("OTEL_* asks for %s, which are not exported: %s; %s", signal, error, hint)
