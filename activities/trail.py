"""What a deployment leaves behind for people who watch: its spans, and what is counted of it.

All of it is told by activities that write the same thing into the catalog, from what they write.
A workflow tells nothing: it would tell it again at each replay.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import structlog

from apollo.domain.rollout import Phase
from apollo.domain.status import DeploymentState, Outcome
from apollo.domain.turn import Step, TurnRecord
from apollo.telemetry import metrics
from apollo.telemetry.identity import (
    Trace,
    batch_span,
    deployment_span,
    share_of,
    step_span,
    turn_span,
)
from apollo.telemetry.spans import Span, Value, write, writer

if TYPE_CHECKING:
    from apollo.catalog.records import HostRow, StoredDeployment

_LOG: structlog.typing.FilteringBoundLogger = structlog.get_logger("apollo.control")
TURNS_TRACED = 1000
_WELL = (Outcome.UPDATED, Outcome.CURRENT, Outcome.ROLLED_BACK)
_ENDED_WELL = (DeploymentState.SUCCEEDED, DeploymentState.SUPERSEDED)
_STAGING = ("unpack", "install")
_TOLD = 300
"""Characters of an error in a span."""


@dataclass(frozen=True)
class Place:
    """Where turns were recorded."""

    phase: Phase
    wave: int
    batch: int


@dataclass(frozen=True)
class Trail:
    """Tells of deployments. Of large ones only about so many turns are traced, and all that failed.

    Which ones that are depends on nothing but the deployment and the host's name.
    """

    turns_traced: int = TURNS_TRACED

    async def turns(
        self, stored: "StoredDeployment", place: Place, records: Sequence[TurnRecord], *, news: bool
    ) -> None:
        """Tell of turns that have ended; only what is news is counted."""
        records = [record for record in records if record.outcome is not Outcome.SKIPPED]
        if news:
            for record in records:
                _count_turn(stored, place.phase, record)
        if writer():
            traced = [record for record in records if self._traces(stored, record)]
            await write([span for record in traced for span in _turn(stored, place, record)])

    async def once(self, stored: "StoredDeployment", record: TurnRecord) -> None:
        """Tell of what ran once."""
        for step in record.steps:
            _count_step(stored, step)
        if writer():
            own = turn_span(stored.workflow_id, f"once {record.host}", record.turn)
            parent = deployment_span(stored.workflow_id)
            await write(_turn_and_steps(stored, record, ("once", own, parent), {}))

    async def deployment(
        self, before: "StoredDeployment", ended: "StoredDeployment", rows: Sequence["HostRow"]
    ) -> None:
        """Tell of a deployment that has ended, and of its batches."""
        if before.ended_at is None:
            _count_deployment(ended)
        trace = trace_of(ended)
        _LOG.info("deployment ended", deployment=ended.label, state=ended.state, trace_id=trace.id)
        if writer():
            await write([_deployment(ended), *_batches(ended, rows)])

    def _traces(self, stored: "StoredDeployment", record: TurnRecord) -> bool:
        if stored.hosts <= self.turns_traced or record.outcome not in _WELL:
            return True
        return share_of(stored.workflow_id, record.host) < self.turns_traced / stored.hosts


def trace_of(stored: "StoredDeployment") -> Trace:
    """The trace that a deployment belongs to."""
    return Trace.of(stored.workflow_id, str(stored.request.get("traceparent", "")))


def _deployment(ended: "StoredDeployment") -> Span:
    trace = trace_of(ended)
    assert ended.ended_at
    return Span(
        name="deployment",
        trace=trace.id,
        id=deployment_span(ended.workflow_id),
        parent=trace.parent,
        sampled=trace.sampled,
        kind="consumer",
        began=ended.opened_at,
        ended=ended.ended_at,
        failed="" if ended.state in _ENDED_WELL else f"{ended.state}: {ended.detail}"[:_TOLD],
        attributes={
            **_about(ended),
            "apollo.kind": ended.kind,
            "apollo.previous_release": ended.previous_release,
            "apollo.state": str(ended.state),
            "apollo.hosts": ended.hosts,
            "apollo.by": ended.by,
            "temporal.workflow_id": ended.workflow_id,
        },
    )


def _batches(ended: "StoredDeployment", rows: Sequence["HostRow"]) -> list[Span]:
    """Those of which a turn was recorded: it names its batch as its parent."""
    found: dict[Place, list[HostRow]] = defaultdict(list)
    for row in rows:
        if row.ended_at:
            found[Place(row.phase, row.wave, row.batch)].append(row)
    return [_batch(ended, place, some) for place, some in found.items()]


def _batch(ended: "StoredDeployment", place: Place, rows: list["HostRow"]) -> Span:
    trace, key = trace_of(ended), (place.phase, place.wave, place.batch)
    ends = [row.ended_at for row in rows if row.ended_at]
    failures = sum(row.outcome is not None and row.outcome.failure for row in rows)
    return Span(
        name="batch",
        trace=trace.id,
        id=batch_span(ended.workflow_id, *key),
        parent=deployment_span(ended.workflow_id),
        sampled=trace.sampled,
        began=min([*(row.started_at for row in rows if row.started_at), *ends]),
        ended=max(ends),
        attributes={
            **_about(ended),
            **_where(place),
            "apollo.batch": place.batch,
            "apollo.hosts": len(rows),
            "apollo.failures": failures,
        },
    )


def _turn(stored: "StoredDeployment", place: Place, record: TurnRecord) -> list[Span]:
    """A turn and its steps; the batch that is its parent is told of when the deployment ends."""
    own = turn_span(stored.workflow_id, record.host, record.turn)
    parent = batch_span(stored.workflow_id, place.phase, place.wave, place.batch)
    return _turn_and_steps(stored, record, ("turn", own, parent), _where(place))


def _turn_and_steps(
    stored: "StoredDeployment",
    record: TurnRecord,
    who: tuple[str, str, str],
    more: dict[str, Value],
) -> list[Span]:
    trace, (name, own, parent) = trace_of(stored), who
    began, ended = _times(stored, record)
    well = record.outcome in _WELL
    turn = Span(
        name=name,
        trace=trace.id,
        id=own,
        parent=parent,
        sampled=trace.sampled,
        began=began,
        ended=ended,
        failed="" if well else f"{record.error}: {record.message}"[:_TOLD],
        attributes={
            **_about(stored),
            **more,
            "apollo.host": record.host,
            "apollo.location": record.location,
            "apollo.turn": record.turn,
            "apollo.outcome": str(record.outcome),
            "apollo.attempts": record.attempts,
            "apollo.attached": ", ".join(record.attached),
            "error.type": record.error,
        },
    )
    return [turn, *(_step(stored, turn, step) for step in record.steps if _timed(step))]


def _times(stored: "StoredDeployment", record: TurnRecord) -> tuple[datetime, datetime]:
    """When it began and ended; a turn that nobody took has only been due."""
    began = record.began_at or stored.started_at or stored.opened_at
    return began, began + timedelta(seconds=record.seconds or 0)


def _timed(step: Step) -> bool:
    return step.began is not None and step.seconds is not None


def _step(stored: "StoredDeployment", turn: Span, step: Step) -> Span:
    """A step lies within its turn, however the clocks differ.

    What was staged ahead of the turn's wave has its own time, and its place in the deployment.
    """
    assert step.began is not None
    began = datetime.fromtimestamp(step.began, UTC)
    ended = began + timedelta(seconds=step.seconds or 0)
    ahead = step.name.split(".")[0] in _STAGING and ended <= turn.began
    if not ahead:
        began = min(max(began, turn.began), turn.ended)
        ended = min(max(ended, began), turn.ended)
    kept = ("apollo.deployment", "apollo.host", "apollo.turn")
    return Span(
        name=step.name,
        trace=turn.trace,
        id=step_span(turn.id, step.name),
        parent=deployment_span(stored.workflow_id) if ahead else turn.id,
        sampled=turn.sampled,
        began=began,
        ended=ended,
        failed=f"exit {step.exit}" if step.exit else "",
        attributes={
            **{name: turn.attributes[name] for name in kept},
            "apollo.step": step.name,
            "apollo.times": step.times,
            **({"apollo.ahead": True} if ahead else {}),
            **({} if step.exit is None else {"process.exit.code": step.exit}),
        },
    )


def _about(stored: "StoredDeployment") -> dict[str, Value]:
    return {
        "apollo.application": stored.application,
        "apollo.environment": stored.environment,
        "apollo.deployment": stored.label,
        "apollo.release": stored.release,
    }


def _where(place: Place) -> dict[str, Value]:
    return {"apollo.phase": place.phase, "apollo.wave": place.wave}


def _count_turn(stored: "StoredDeployment", phase: Phase, record: TurnRecord) -> None:
    said = {
        "application": stored.application,
        "environment": stored.environment,
        "location": record.location,
        "phase": phase,
        "outcome": str(record.outcome),
    }
    metrics.TURNS.add(1, **said)
    if record.seconds is not None:
        metrics.TURN_DURATION.record(record.seconds, **said)
    for step in record.steps:
        _count_step(stored, step)


def _count_step(stored: "StoredDeployment", step: Step) -> None:
    if step.seconds is not None:
        metrics.STEP_DURATION.record(
            step.seconds,
            application=stored.application,
            environment=stored.environment,
            step=step.name,
            ended="well" if step.exit == 0 else "badly",
        )


def _count_deployment(ended: "StoredDeployment") -> None:
    said = {
        "application": ended.application,
        "environment": ended.environment,
        "kind": ended.kind,
        "state": str(ended.state),
    }
    assert ended.ended_at
    metrics.DEPLOYMENTS.add(1, **said)
    took = (ended.ended_at - ended.opened_at).total_seconds()
    metrics.DEPLOYMENT_DURATION.record(took, **said)
