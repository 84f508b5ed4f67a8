"""Who may change an environment's hosts: the lease, checked against Temporal (rule 11)."""

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.service import RPCError, RPCStatusCode

from apollo import names
from apollo.activities.trail import Place, Trail
from apollo.catalog.records import HostRow, Lease, StoredDeployment
from apollo.domain.deployment import Control
from apollo.domain.rollout import LeaseAnswer, LeaseInput, Phase
from apollo.domain.status import DeploymentState, Outcome
from apollo.domain.turn import TurnRecord
from apollo.errors import Undecryptable
from apollo.executions import runs

if TYPE_CHECKING:
    from temporalio.client import Client

    from apollo.catalog.catalog import Catalog


class _Turn(NamedTuple):
    """A turn as its activity's id names it: `TurnInput.activity_id`."""

    host: str
    number: int


@dataclass
class LeaseKeeper:
    """Asks for an environment's lease on behalf of one deployment."""

    catalog: "Catalog"
    client: "Client"
    trail: Trail = field(default_factory=Trail)
    _told: str = ""

    async def ask(self, given: LeaseInput) -> LeaseAnswer | None:
        """The lease, or why it will not be had; nothing while it is worth waiting."""
        leases = self.catalog.leases
        place = given.application, given.environment
        run, number = given.run_id, given.number
        if (newest := await leases.newest_granted(*place)) > number:
            text = f"{given.application}/{given.environment}#{newest} is newer, and was first"
            return LeaseAnswer(outcome="superseded", message=text)
        lease = await leases.take(*place, given.workflow_id, run, number, _now_ms())
        if lease is None:
            holder = await leases.holder(*place)
            if holder is None:
                return None
            if await self._closed(holder):
                dead, ours = holder.workflow_id, given.workflow_id
                lease = await leases.replace(*place, dead, ours, run, number, _now_ms())
            else:
                return await self._busy(given, holder)
        return LeaseAnswer(granted_ms=lease.granted_ms) if lease else None

    async def _busy(self, given: LeaseInput, holder: Lease) -> LeaseAnswer | None:
        label = f"{given.application}/{given.environment}"
        if given.if_busy == "refuse":
            text = (
                f"{label}#{holder.number} is changing hosts; wait for it with --if-busy wait, or "
                f"take over with --if-busy supersede"
            )
            return LeaseAnswer(outcome="refused", message=text)
        if newer := await self._newer(given):
            text = f"{label}#{newer} waits too, and is newer"
            return LeaseAnswer(outcome="superseded", message=text)
        if given.if_busy == "supersede" and self._told != holder.workflow_id:
            word = Control(by=given.by, reason=f"superseded by {label}#{given.number}")
            await self.client.get_workflow_handle(holder.workflow_id).signal("supersede", word)
            self._told = holder.workflow_id
        return None

    async def _newer(self, given: LeaseInput) -> int | None:
        for other in await self.catalog.deployments.running(given.application, given.environment):
            waits = other.state is DeploymentState.WAITING and other.plan is not None
            patient = other.request.get("if_busy") in ("wait", "supersede")
            if other.number > given.number and waits and patient:
                return other.number
        return None

    async def _closed(self, holder: Lease) -> bool:
        """Whether the holder and all its batches are closed; what it left behind is then recorded.

        A holder's children go on for a while after it was terminated.
        """
        if await runs(self.client, holder.workflow_id):
            return False
        stored = await self.catalog.deployments.by_workflow(holder.workflow_id)
        if stored is None:
            return True
        rows = await self.catalog.plans.rows(stored.uuid, records=False)
        batches = {
            names.batch_id(holder.workflow_id, row.phase, row.wave, row.batch): row.phase
            for row in rows
        }
        for batch in batches:
            if await runs(self.client, batch):
                return False
        await self._bury(stored, rows, batches)
        return True

    async def _bury(
        self, stored: StoredDeployment, rows: list[HostRow], batches: Mapping[str, Phase]
    ) -> None:
        """Record what a dead deployment had begun: turns without an end are lost."""
        by_host = {(row.host, row.phase): row for row in rows}
        for batch, phase in batches.items():
            for turn, end in await self._turns(batch):
                row = by_host.get((turn.host, phase))
                if row is None or row.turns >= turn.number:
                    continue
                record = end or _lost(turn, stored.label)
                news = await self.catalog.turns.record(stored.uuid, phase, [record])
                place = Place(phase, row.wave, row.batch)
                await self.trail.turns(stored, place, [record], news=bool(news))
        detail = "its workflow was ended from outside; another deployment took the lease over"
        ended = await self.catalog.deployments.end(stored.uuid, DeploymentState.ABORTED, detail)
        rows = await self.catalog.plans.rows(stored.uuid, records=False)
        await self.trail.deployment(stored, ended, rows)

    async def _turns(self, batch: str) -> list[tuple[_Turn, TurnRecord | None]]:
        """The turns that a closed batch had scheduled, with the ends that its history has.

        Ids can be read without any key; an end whose key was lost is none.
        """
        turns: dict[int, tuple[_Turn, TurnRecord | None]] = {}
        decode = self.client.data_converter.decode
        try:
            async for event in self.client.get_workflow_handle(batch).fetch_history_events():
                if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
                    scheduled = event.activity_task_scheduled_event_attributes
                    kind, _, name = scheduled.activity_id.partition(":")
                    host, _, number = name.rpartition(":")
                    if kind == "turn":
                        turns[event.event_id] = _Turn(host, int(number)), None
                elif (end := _end(event)) and end[0] in turns:
                    turn, _ = turns[end[0]]
                    with suppress(Undecryptable):
                        (record,) = await decode([end[1]], [TurnRecord])
                        turns[end[0]] = turn, record
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
        return list(turns.values())


def _end(event: HistoryEvent) -> tuple[int, Payload] | None:
    """Which scheduled activity ended in this event, with the payload of its record."""
    if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
        completed = event.activity_task_completed_event_attributes
        number, found = completed.scheduled_event_id, completed.result.payloads
    elif event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED:
        failed = event.activity_task_failed_event_attributes
        details = failed.failure.application_failure_info.details
        number, found = failed.scheduled_event_id, details.payloads
    else:
        return None
    return (number, found[0]) if found else None


def _lost(turn: _Turn, label: str) -> TurnRecord:
    return TurnRecord(
        host=turn.host,
        turn=turn.number,
        outcome=Outcome.LOST,
        error="ContactLost",
        step="turn",
        message=f"{turn.host}: {label} was ended in the middle of its turn",
        left="unknown",
        hint="the next deployment takes this host first",
    )


def _now_ms() -> int:
    return int(time.time() * 1000)
