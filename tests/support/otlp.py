"""A collector: a real OTLP receiver over HTTP, which keeps what it is sent."""

import gzip
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Status


@dataclass(frozen=True)
class Span:
    """A span as it came in."""

    name: str
    trace: str
    id: str
    parent: str
    began: int
    ended: int
    failed: bool
    kind: int
    service: str
    attributes: dict[str, Any]

    @property
    def host(self) -> str:
        return str(self.attributes.get("apollo.host", ""))


@dataclass(frozen=True)
class Point:
    """What a metric stood at."""

    unit: str
    kind: str
    value: float
    attributes: dict[str, Any]
    service: str
    instance: str
    says: str


@dataclass
class Collector:
    """What has come in so far."""

    port: int = 0
    spans: list[Span] = field(default_factory=list)
    points: dict[str, list[Point]] = field(default_factory=dict)
    headers: list[dict[str, str]] = field(default_factory=list)
    before_answer: Callable[[list[Span]], None] = lambda _: None
    """What happens when spans have come in, and before whoever sent them knows."""

    @property
    def variables(self) -> dict[str, str]:
        """What a process must be told to export here, and soon."""
        return {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self.port}",
            "OTEL_METRIC_EXPORT_INTERVAL": "300",
        }

    def named(self, name: str) -> list[Span]:
        return [span for span in self.spans if span.name == name]

    def orphans(self) -> list[Span]:
        """Spans whose parent never came."""
        ids = {(span.trace, span.id) for span in self.spans}
        return [span for span in self.spans if span.parent and (span.trace, span.parent) not in ids]

    def repeated(self) -> list[str]:
        """What came more than once, in whatever spans."""
        return [thing for thing, times in Counter(map(thing_of, self.spans)).items() if times > 1]

    def doubled(self) -> list[str]:
        """Things of which spans of several ids tell: what stores spans by their id shows twice."""
        things = Counter(thing for thing, _ in {(thing_of(s), s.id) for s in self.spans})
        return [thing for thing, ids in things.items() if ids > 1]

    def take(self, path: str, body: bytes) -> bytes:
        """Keep what was sent; the answer."""
        if path == "/v1/traces":
            known = len(self.spans)
            self._take_traces(ExportTraceServiceRequest.FromString(body))
            self.before_answer(self.spans[known:])
            return ExportTraceServiceResponse().SerializeToString()
        assert path == "/v1/metrics", path
        self._take_metrics(ExportMetricsServiceRequest.FromString(body))
        return ExportMetricsServiceResponse().SerializeToString()

    def _take_traces(self, sent: ExportTraceServiceRequest) -> None:
        for resource in sent.resource_spans:
            service = _attributes(resource.resource.attributes).get("service.name", "")
            for scope in resource.scope_spans:
                for span in scope.spans:
                    self.spans.append(
                        Span(
                            name=span.name,
                            trace=span.trace_id.hex(),
                            id=span.span_id.hex(),
                            parent=span.parent_span_id.hex(),
                            began=span.start_time_unix_nano,
                            ended=span.end_time_unix_nano,
                            failed=span.status.code == Status.STATUS_CODE_ERROR,
                            kind=span.kind,
                            service=service,
                            attributes=_attributes(span.attributes),
                        )
                    )

    def _take_metrics(self, sent: ExportMetricsServiceRequest) -> None:
        for resource in sent.resource_metrics:
            whose = _attributes(resource.resource.attributes)
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    kind = str(metric.WhichOneof("data"))
                    if kind == "sum" and not metric.sum.is_monotonic:
                        kind = "up-down sum"
                    for point in getattr(metric, kind.rpartition(" ")[2]).data_points:
                        known = self.points.setdefault(metric.name, [])
                        known.append(
                            Point(
                                unit=metric.unit,
                                kind=kind,
                                value=_value(point),
                                attributes=_attributes(point.attributes),
                                service=whose.get("service.name", ""),
                                instance=whose.get("service.instance.id", ""),
                                says=metric.description,
                            )
                        )


_OF = ("deployment", "phase", "wave", "batch", "host", "turn", "step")


def thing_of(span: Span) -> str:
    """What a span tells of, whatever its id."""
    workflow = span.attributes.get("temporal.workflow_id", "")
    told = [str(span.attributes.get(f"apollo.{of}", "")) for of in _OF]
    return " ".join([span.name, workflow, *told])


def _value(point: Any) -> float:
    """How much; of a histogram how often."""
    if hasattr(point, "bucket_counts"):
        return float(point.count)
    return float(point.as_double if point.WhichOneof("value") == "as_double" else point.as_int)


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, str(pair.value.WhichOneof("value"))) for pair in pairs}


@contextmanager
def collecting(port: int = 0) -> Iterator[Collector]:
    """A collector that listens while the context is open."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            collector.headers.append({key.lower(): each for key, each in self.headers.items()})
            answer = collector.take(self.path, body)
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: Any) -> None:
            """A test's own words are enough."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    collector.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
