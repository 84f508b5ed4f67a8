"""Whoever asks for a deployment begins its trace, or goes on with the one that is under way."""

import os
import sys
from dataclasses import dataclass
from datetime import UTC, datetime

from apollo.domain.deployment import DeploymentRequest
from apollo.telemetry.identity import (
    Trace,
    client_span,
    derived_trace,
    format_traceparent,
    parse_traceparent,
)
from apollo.telemetry.spans import Span, write, writer


@dataclass(frozen=True)
class Asking:
    """The span of a client that starts a deployment, from when it begins to ask."""

    workflow_id: str
    around: Trace | None
    """The trace that the program has under way around it."""
    began: datetime

    @classmethod
    def begin(cls, workflow_id: str) -> "Asking":
        """Ask for the deployment that this workflow will carry out."""
        return cls(workflow_id, _around(), datetime.now(UTC))

    @property
    def traceparent(self) -> str:
        """What the deployment is told: this span, or the one around it where this is not traced."""
        around, traces = self.around, writer()
        if traces:
            trace = around.id if around else derived_trace(self.workflow_id)
            kept = around.sampled if around else traces.keeps(trace)
            return format_traceparent(trace, client_span(self.workflow_id), sampled=bool(kept))
        if around:
            return format_traceparent(around.id, around.parent, sampled=bool(around.sampled))
        return ""

    async def end(self, given: DeploymentRequest, failed: str = "") -> None:
        """Temporal has taken the request, or not."""
        mine = parse_traceparent(given.traceparent)
        if mine is None or mine.parent != client_span(self.workflow_id):
            return
        span = Span(
            name=given.kind,
            trace=mine.id,
            id=mine.parent,
            parent=self.around.parent if self.around else "",
            sampled=mine.sampled,
            kind="producer",
            began=self.began,
            ended=datetime.now(UTC),
            failed=failed,
            attributes={
                "apollo.application": given.application,
                "apollo.environment": given.environment,
                "apollo.release": given.release or "",
                "apollo.by": given.by,
                "temporal.workflow_id": self.workflow_id,
            },
        )
        await write([span])


def _around() -> Trace | None:
    """The span that is current in this program, else what `TRACEPARENT` says."""
    if api := sys.modules.get("opentelemetry.trace"):
        current = api.get_current_span().get_span_context()
        if current.is_valid:
            trace, span = f"{current.trace_id:032x}", f"{current.span_id:016x}"
            return Trace(trace, span, sampled=bool(current.trace_flags & 1))
    return parse_traceparent(os.environ.get("TRACEPARENT", ""))
