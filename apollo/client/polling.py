"""Who polls which queue, and what waits for somebody who does."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from temporalio.api.enums.v1 import PendingActivityState
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from apollo import names
from apollo.client.connection import Connection
from apollo.cluster import ABSENT, Poller, pollers
from apollo.errors import Unavailable

SOON = timedelta(seconds=5)
"""How long what is offered to workers, or what one has taken, is not told of."""
ASKED_AT_ONCE = 10
_ON_HOSTS = ("turn", "once", "stage_ahead")
_STARTED = PendingActivityState.PENDING_ACTIVITY_STATE_STARTED


@dataclass(frozen=True)
class QueueWorkers:
    """A queue, and who has polled it in the last minutes."""

    queue: str
    location: str
    """Whose own workers poll it; empty: that of control, or of all other hosts."""
    needed: bool
    """Whether something waits there when nobody polls it."""
    known: tuple[Poller, ...]
    """Who was seen last comes first; the server forgets them after some minutes."""

    @property
    def here(self) -> tuple[Poller, ...]:
        """Those that poll it now, as far as the server knows."""
        now = datetime.now(UTC)
        return tuple(each for each in self.known if now - each.seen < ABSENT)

    @property
    def command(self) -> str:
        """What starts a worker for it."""
        if self.queue == names.CONTROL_QUEUE:
            return "apollo worker --role control"
        where = f" --locations {self.location}" if self.location else ""
        return f"apollo worker --role hosts{where}"


@dataclass(frozen=True)
class Waiting:
    """Work of a deployment that no worker of a queue has taken, or of which none gives signs."""

    queue: str
    location: str
    """Whose own workers poll it; empty: the hosts' that have none."""
    turns: int
    since: datetime
    workers: QueueWorkers

    @property
    def text(self) -> str:
        """What waits, and for what."""
        many = f"{self.turns} turns wait" if self.turns > 1 else "a turn waits"
        what = f"{self.location or 'hosts'}: {many} since {self.since:%H:%M:%S} UTC"
        if not self.workers.here:
            return f"{what}: no worker polls {self.queue} ({self.workers.command})"
        last = self.workers.here[0]
        return (
            f"{what}: {last.identity} polled {self.queue} last at {last.seen:%H:%M:%S} UTC; "
            "its line is cut, or its slots are taken"
        )


class Polling(Connection):
    """Words about workers."""

    async def workers(
        self, application: str | None = None, environment: str | None = None
    ) -> list[QueueWorkers]:
        """Who polls which queue: of all environments, those of an application, or one.

        Raises:
            NotFound: The environment was never applied.
            Unavailable: Temporal does not answer.
        """
        if application and environment:
            applied = [await self.catalog.environments.get(application, environment)]
        else:
            applied = await self.catalog.environments.list(application)
        own: dict[str, bool] = {}
        shared = not applied
        for each in applied:
            for location in each.environment.fleet.locations():
                mine = location in each.environment.own_workers
                own[location] = own.get(location, False) or mine
                shared = shared or not mine
        client = await self.temporal()
        asked = [(names.CONTROL_QUEUE, "", True), (names.hosts_queue(), "", shared)]
        asked += [(names.hosts_queue(place), place, mine) for place, mine in sorted(own.items())]
        gate = asyncio.Semaphore(ASKED_AT_ONCE)

        async def ask(queue: str, location: str, needed: bool) -> QueueWorkers:
            async with gate:
                found = await pollers(client, queue)
            return QueueWorkers(queue, location, needed, tuple(found))

        told = await asyncio.gather(*(ask(*each) for each in asked))
        return [each for each in told if each.needed or each.here]


async def waits(client: Client, workflow_id: str) -> list[Waiting]:
    """What of a deployment waits for workers, by queue.

    Raises:
        Unavailable: Temporal does not answer.
    """
    now, late = datetime.now(UTC), defaultdict[str, list[datetime]](list)
    for one in await _under_way(client, workflow_id):
        if one.activity_type.name in _ON_HOSTS and (since := _waits_since(one, now)):
            late[one.activity_options.task_queue.name].append(since)
    return [await _waiting(client, queue, since) for queue, since in sorted(late.items()) if queue]


async def _waiting(client: Client, queue: str, since: Iterable[datetime]) -> Waiting:
    location = queue.removeprefix(names.HOSTS_QUEUE).removeprefix("-")
    times = list(since)
    workers = QueueWorkers(queue, location, True, tuple(await pollers(client, queue)))
    return Waiting(queue, location, len(times), min(times), workers)


async def _under_way(client: Client, workflow_id: str) -> list[PendingActivityInfo]:
    """The activities of a workflow and of its children."""
    try:
        told = (await client.get_workflow_handle(workflow_id).describe()).raw_description
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:  # it has just ended
            return []
        raise Unavailable(f"Temporal does not answer: {error}") from error
    found = list(told.pending_activities)
    for child in told.pending_children:
        found += await _under_way(client, child.workflow_id)
    return found


def _waits_since(one: PendingActivityInfo, now: datetime) -> datetime | None:
    """Since when nobody has taken it, or gives signs of life of it; none: all is well."""
    missed = one.last_failure.HasField("timeout_failure_info")
    started, heard = (
        each.ToDatetime(UTC) for each in (one.last_started_time, one.last_heartbeat_time)
    )
    if one.state == _STARTED and (heard > started or not missed):
        return None
    since = one.scheduled_time.ToDatetime(UTC)
    if missed and one.HasField("last_heartbeat_time"):
        since = heard
    elif one.HasField("next_attempt_schedule_time"):  # it is tried again, after a pause
        since = max(since, one.next_attempt_schedule_time.ToDatetime(UTC))
    return since if now - since > SOON else None
