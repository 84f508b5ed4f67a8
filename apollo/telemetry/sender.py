"""Takes spans to the collector, in a thread of its own. Nobody waits for one that is dead."""

import asyncio
import contextlib
import logging
import queue
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import Decision

from apollo import __version__
from apollo.telemetry.spans import Span, Value

_LOG = logging.getLogger("apollo.telemetry")

PATIENCE = 1.0
"""Seconds that an activity waits for its spans to be taken, from a collector that takes some."""
LOTS = 200
"""How many writes wait in memory for a slow collector; those that come then are dropped."""
MOST = 512
"""Spans in one export."""
_KINDS = {
    "internal": trace.SpanKind.INTERNAL,
    "producer": trace.SpanKind.PRODUCER,
    "consumer": trace.SpanKind.CONSUMER,
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class _Lot:
    """Spans that were written together, and who waits for them."""

    spans: list[ReadableSpan]
    loop: asyncio.AbstractEventLoop
    taken: asyncio.Event

    def tell(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop may have ended
            self.loop.call_soon_threadsafe(self.taken.set)


class SpanSender:
    """Gives spans the SDK's resource, sampler and limits, and exports them at once.

    Whoever writes waits until the collector has taken the spans, so that a worker that is killed
    afterwards takes none along. When that fails or takes too long nobody waits any more, until
    the collector has taken something again.
    """

    def __init__(self, exporter: SpanExporter, resource: Resource) -> None:
        self._exporter = exporter
        self._ids, self._made = _Derived(), _Made()
        self._provider = TracerProvider(resource=resource, id_generator=self._ids)
        self._provider.add_span_processor(self._made)
        self._tracer = self._provider.get_tracer("apollo", __version__)
        self._lots: queue.Queue[_Lot | None] = queue.Queue(LOTS)
        self._awaited = True
        self._thread = threading.Thread(target=self._send, name="apollo-spans", daemon=True)
        self._thread.start()

    async def write(self, spans: Sequence[Span]) -> None:
        """Return when they were taken, or nobody should wait for that."""
        made = [found for span in spans if (found := self._make(span))]
        lot = _Lot(made, asyncio.get_running_loop(), asyncio.Event())
        try:
            self._lots.put_nowait(lot)
        except queue.Full:
            return
        if self._awaited:
            try:
                async with asyncio.timeout(PATIENCE):
                    await lot.taken.wait()
            except TimeoutError:
                self._awaited = False

    def keeps(self, trace: str) -> bool:
        """Whether the sampler keeps a trace that nobody has decided on."""
        sampler = self._provider.sampler
        decision = sampler.should_sample(Context(), int(trace, 16), "").decision
        return decision is not Decision.DROP

    def close(self, seconds: float = 2 * PATIENCE) -> None:
        """Send what waits, for so long."""
        with contextlib.suppress(queue.Full):
            self._lots.put_nowait(None)
        self._thread.join(seconds)
        self._exporter.shutdown()

    def _make(self, span: Span) -> ReadableSpan | None:
        """The SDK's own span; none: it is not sampled."""
        sampled = self.keeps(span.trace) if span.sampled is None else span.sampled
        context = Context()
        if span.parent:
            flags = trace.TraceFlags(trace.TraceFlags.SAMPLED if sampled else 0)
            parent = trace.SpanContext(int(span.trace, 16), int(span.parent, 16), True, flags)
            context = trace.set_span_in_context(trace.NonRecordingSpan(parent), context)
        self._ids.trace, self._ids.span = int(span.trace, 16), int(span.id, 16)
        made = self._tracer.start_span(
            span.name,
            context,
            kind=_KINDS[span.kind],
            attributes={key: value for key, value in span.attributes.items() if _says(value)},
            start_time=_nanoseconds(span.began),
        )
        if span.failed:
            made.set_status(trace.Status(trace.StatusCode.ERROR, span.failed))
        made.end(_nanoseconds(max(span.began, span.ended)))
        return self._made.take()

    def _send(self) -> None:
        ends = False
        while not ends:
            lots: list[_Lot] = []
            found = self._lots.get()
            while found is not None:
                lots.append(found)
                if sum(len(lot.spans) for lot in lots) >= MOST:
                    break
                try:
                    found = self._lots.get_nowait()
                except queue.Empty:
                    break
            ends = found is None
            self._export([span for lot in lots for span in lot.spans])
            for lot in lots:
                lot.tell()

    def _export(self, spans: list[ReadableSpan]) -> None:
        parts = [spans[first : first + MOST] for first in range(0, len(spans), MOST)]
        if parts:
            self._awaited = all([self._taken(part) for part in parts])

    def _taken(self, spans: list[ReadableSpan]) -> bool:
        try:
            return self._exporter.export(spans) is SpanExportResult.SUCCESS
        except Exception:  # whatever ails the exporter, this thread goes on
            _LOG.warning("spans could not be exported", exc_info=True)
            return False


class _Derived(IdGenerator):
    """The ids of the span that is made next."""

    trace = span = 0

    def generate_span_id(self) -> int:
        return self.span

    def generate_trace_id(self) -> int:
        return self.trace


class _Made(SpanProcessor):
    """Keeps the span that was just made."""

    _last: ReadableSpan | None = None

    def on_end(self, span: ReadableSpan) -> None:
        self._last = span

    def take(self) -> ReadableSpan | None:
        found, self._last = self._last, None
        return found


def _says(value: Value) -> bool:
    return value != ""


def _nanoseconds(moment: datetime) -> int:
    passed = moment - _EPOCH
    return (passed.days * 86400 + passed.seconds) * 10**9 + passed.microseconds * 1000
