"""A host's turn, as Temporal sees it: one activity that heartbeats its step."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from apollo.activities.heartbeats import heartbeats
from apollo.domain.status import Outcome
from apollo.domain.turn import TurnInput, TurnRecord
from apollo.errors import TurnError
from apollo.ports import Footing, RunTurn
from apollo.telemetry.metrics import Value

EXPECTED = ApplicationErrorCategory.BENIGN
"""Hosts fail: that is recorded, and red in the history, but no reason for a worker's traceback."""
HANDED_OVER = "HandedOver"
AT_ONCE = timedelta(milliseconds=100)
_LOG: structlog.typing.FilteringBoundLogger = structlog.get_logger("apollo.turns")


@dataclass
class HostActivities:
    """What workers do to hosts."""

    run_turn: RunTurn
    _under_way: dict[object, tuple[TurnInput, Footing]] = field(default_factory=dict)
    _places: set[tuple[str, str, str]] = field(default_factory=set)
    """Where there were turns: what is told of a place does not end in silence."""

    @activity.defn
    async def turn(self, given: TurnInput) -> TurnRecord:
        """Give one host its turn: stage, drain, activate, verify, restore.

        Raises:
            ApplicationError: The host was put back, is broken, lost or unreachable; its type is
                the error's name and its detail the TurnRecord.
        """
        info = activity.info()
        return await self._attempt(given, _inherited(info.heartbeat_details, info.attempt))

    @activity.defn
    async def once(self, given: TurnInput) -> TurnRecord:
        """Run a hook that runs once per deployment; nothing else changes on the host.

        Raises:
            ApplicationError: It failed; or the host is unreachable, and then it is certain that
                the hook did not begin; or it is lost, and then nobody knows.
        """
        info = activity.info()
        kept = _inherited(info.heartbeat_details, info.attempt).host_key
        return await self._attempt(given, Footing(drained=info.attempt > 1, host_key=kept))

    async def _attempt(self, given: TurnInput, footing: Footing) -> TurnRecord:
        info = activity.info()
        given = given.knowing(footing.host_key)
        attempt_ms = int(info.current_attempt_scheduled_time.timestamp() * 1000)
        with self._told_of(given, footing):
            _LOG.info("turn begins", phase=given.phase, turn=given.turn, attempt=info.attempt)
            work = asyncio.ensure_future(self.run_turn(given, attempt_ms, footing))
            try:
                with heartbeats(footing.details):
                    record = await _see_through(work, footing)
            except TurnError as error:
                said = {"error": error.code, "step": error.step, "found": error.message}
                _LOG.warning("attempt failed", **said)
                raise failure_of(given, error, footing, info) from None
            if record is None:
                _LOG.info("turn handed over", step=footing.step)
                activity.heartbeat(footing.details())
                raise _handed_over()
            record = record.model_copy(update=_circumstances(given, footing, info))
            said = {"error": record.error, "step": record.step}
            _LOG.info("turn ended", outcome=str(record.outcome), **said)
        if record.outcome.good or record.outcome is Outcome.ROLLED_BACK:
            return record
        raise ApplicationError(
            record.message,
            record,
            type=record.error or "TurnFailed",
            non_retryable=True,
            category=EXPECTED if record.error else ApplicationErrorCategory.UNSPECIFIED,
        )

    def drained(self) -> list[Value]:
        """How many hosts turns have out of service, by place; for another thread."""
        out = Counter(dict.fromkeys(list(self._places), 0))
        out.update(
            _place(given)
            for given, footing in list(self._under_way.values())
            if footing.drained and not given.once
        )
        names = ("application", "environment", "location")
        return [(number, dict(zip(names, place, strict=True))) for place, number in out.items()]

    @contextlib.contextmanager
    def _told_of(self, given: TurnInput, footing: Footing) -> Iterator[None]:
        """Every line that the turn's task logs from here on says of which turn it tells."""
        mark = object()
        self._under_way[mark] = given, footing
        self._places.add(_place(given))
        said = {"deployment": given.label, "host": given.host.name, "wave": given.wave}
        structlog.contextvars.bind_contextvars(**said, trace_id=given.trace)
        try:
            yield
        finally:
            del self._under_way[mark]


def _place(given: TurnInput) -> tuple[str, str, str]:
    return given.application, given.environment, given.host.location


async def _see_through(work: asyncio.Future[TurnRecord], footing: Footing) -> TurnRecord | None:
    """Wait for the turn. One that has drained ends itself, even when nobody waits for it any more.

    None: the worker stops, and so the attempt. What runs on the host goes on there.
    """
    stopping = asyncio.ensure_future(activity.wait_for_worker_shutdown())
    try:
        while True:
            try:
                await asyncio.wait((work, stopping), return_when=asyncio.FIRST_COMPLETED)
            except asyncio.CancelledError:
                details = activity.cancellation_details()
                stops = activity.is_worker_shutdown() or (details and details.worker_shutdown)
                if work.done() or stops or not footing.drained:
                    await _give_up(work)
                    raise
                continue
            if not work.done():
                await _give_up(work)
            return None if work.cancelled() else work.result()
    finally:
        stopping.cancel()


async def _give_up(work: asyncio.Future[TurnRecord]) -> None:
    """End the attempt here; nothing that it has begun on the host ends."""
    work.cancel()
    with contextlib.suppress(asyncio.CancelledError, TurnError):
        await work


def _handed_over() -> ApplicationError:
    """The next attempt begins at once, not when this one's signs of life are missed."""
    return ApplicationError(
        "this worker stops; the next one goes on",
        type=HANDED_OVER,
        next_retry_delay=AT_ONCE,
        category=EXPECTED,
    )


def _inherited(details: Any, attempt: int) -> Footing:
    """What the attempt before had learnt; one that died without a word may have drained."""
    if details:
        last = details[0]
        return Footing(
            drained=bool(last["drained"]),
            attached=list(last["attached"]),
            host_key=last.get("host_key", ""),  # an older worker says nothing of it
        )
    return Footing(drained=attempt > 1)


def _circumstances(given: TurnInput, footing: Footing, info: activity.Info) -> dict[str, Any]:
    """What only the activity knows of a turn: its attempts and its time."""
    took = (datetime.now(UTC) - info.scheduled_time).total_seconds()
    return {
        "location": given.host.location,
        "attempts": info.attempt,
        "attached": tuple(footing.attached),
        "host_key": footing.host_key,
        "began_at": info.scheduled_time,
        "seconds": round(max(0.0, took), 3),
    }


def failure_of(
    given: TurnInput, error: TurnError, footing: Footing, info: activity.Info
) -> ApplicationError:
    """How an attempt ends for Temporal: another attempt, or the host's end state.

    | before the drain, for the host's own reasons | unreachable: tried again after the wave |
    | fenced: a newer turn has the host            | lost to this turn, no other attempt     |
    | anything else after the drain                | another attempt, `lost` when time is up |
    """
    unreachable = error.unreachable and not footing.drained
    final = unreachable or not (error.retried or error.unreachable)
    record = TurnRecord(
        host=given.host.name,
        turn=given.turn,
        outcome=Outcome.UNREACHABLE if unreachable else Outcome.LOST,
        error=error.code,
        step=error.step,
        message=error.message,
        left=error.left,
        hint=error.hint,
        **_circumstances(given, footing, info),
    )
    return ApplicationError(
        error.message,
        record,
        type=error.code,
        non_retryable=final,
        next_retry_delay=None if final else timedelta(seconds=min(2.0 * info.attempt, 15.0)),
        category=EXPECTED,
    )
