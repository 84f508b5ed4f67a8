"""What the standard `OTEL_*` variables ask for."""

import os
from collections.abc import Mapping
from typing import Literal
from urllib.parse import unquote

Signal = Literal["traces", "metrics"]


def wanted(signal: Signal, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether it is to be exported by OTLP: an endpoint or an exporter is named, and not `none`.

    >>> wanted("traces", {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318"})
    True
    >>> wanted("metrics", {})
    False
    """
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    if exporters := environ.get(f"OTEL_{signal.upper()}_EXPORTER", "").strip():
        return "otlp" in [each.strip() for each in exporters.split(",")]
    return bool(_of(signal, "ENDPOINT", environ))


def protocol(signal: Signal, environ: Mapping[str, str] = os.environ) -> str:
    """How it is exported."""
    return _of(signal, "PROTOCOL", environ) or "http/protobuf"


def endpoint(signal: Signal, environ: Mapping[str, str] = os.environ) -> str:
    """Where it is exported to.

    >>> endpoint("metrics", {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://otel:4318/"})
    'http://otel:4318/v1/metrics'
    """
    if own := environ.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT", "").strip():
        return own
    common = environ.get("OTEL_EXPORTER_OTLP_ENDPOINT", "").strip()
    if protocol(signal, environ) == "grpc":
        return common or "http://localhost:4317"
    return f"{(common or 'http://localhost:4318').rstrip('/')}/v1/{signal}"


def headers(signal: Signal, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The headers that go with it.

    >>> headers("metrics", {"OTEL_EXPORTER_OTLP_HEADERS": "api-key=s%20x, tenant=a"})
    {'api-key': 's x', 'tenant': 'a'}
    """
    pairs = (each.partition("=") for each in _of(signal, "HEADERS", environ).split(","))
    return {name.strip(): unquote(value.strip()) for name, _, value in pairs if name.strip()}


def _of(signal: Signal, what: str, environ: Mapping[str, str]) -> str:
    own = environ.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_{what}", "").strip()
    return own or environ.get(f"OTEL_EXPORTER_OTLP_{what}", "").strip()
