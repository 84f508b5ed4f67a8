"""A batch: up to 500 hosts of a wave, each with its turn, within the grant of its deployment."""

import asyncio
import contextlib
from collections.abc import Sequence
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, FailureError
from temporalio.exceptions import TimeoutError as TimeoutError_

with workflow.unsafe.imports_passed_through():
    from pydantic import ValidationError

    from apollo import names
    from apollo.activities.deployments import DeploymentActivities
    from apollo.activities.hosts import HostActivities
    from apollo.domain.progress import Pulse
    from apollo.domain.rolling import Rolling
    from apollo.domain.rollout import (
        BatchControl,
        BatchHosts,
        BatchInput,
        BatchResult,
        Held,
        HostTurn,
        LookInput,
        RecordInput,
    )
    from apollo.domain.status import Outcome
    from apollo.domain.turn import TurnInput, TurnRecord, handfuls
    from apollo.workflows.inputs import first_only, one_input
    from apollo.workflows.options import quick, turn_options

RECORD_EVERY = timedelta(seconds=5)
RECORD_AT_ONCE = 50
"""Turns that were written at once at the most before their texts alone decided."""
ROUNDS = 10
"""Into how many a batch's ends are gathered at the most, where they come faster than that."""
RECORD_LARGEST = 200_000
"""Characters; each failed turn brings the end of its output along."""
AT_ONCE = 100
"""Turns that begin in one task of the workflow, which must end within two seconds."""
BREATH = timedelta(milliseconds=1)
BEGIN_BY_HANDFULS = "begin by handfuls"
RECORD_BY_SIZE = "record by size"
FITS_IDLE = "who has no turn under way has come down"
LEFT_ARE_OUT = "hosts left out are out if they were"
RECORD_IN_ROUNDS = "record in rounds"
RECORD_BY_SIZE_ALONE = "record by size alone"


@workflow.defn(failure_exception_types=[ValidationError])
class Batch:
    """Gives each host its turn as lanes and capacity allow, and records how it ended."""

    @workflow.init
    @one_input(least=1)
    def __init__(self, given: BatchInput) -> None:
        self._given = given
        self._rolling = Rolling(given, (), {})
        self._controls: list[BatchControl] = []
        self._closing = False
        self._vanished = 0
        self._looks = self._looked = given.looks
        self._pulse = Pulse(given.progress_deadline)
        self._slow: tuple[str, ...] = ()
        self._told: BatchResult | None = None
        """What the deployment was told last."""
        self._accepted: dict[str, str] = {}
        """Host keys accepted at first use; another turn of the same host must see them again."""

    @workflow.run
    async def run(self, given: BatchInput) -> BatchResult:
        """Return when every turn has ended, and nothing more may or can begin.

        A cancelled batch begins no more turns; those under way end.
        """
        work = asyncio.create_task(self._work())
        while not work.done():
            try:
                await asyncio.shield(work)
            except asyncio.CancelledError:
                self.control(BatchControl(stop=True))
        return work.result()

    @workflow.signal(description="From the deployment: pause, resume, stop or a new pace.")
    @first_only
    def control(self, word: BatchControl = BatchControl()) -> None:
        """Take the deployment's word; one that comes before the hosts are loaded is kept."""
        if not isinstance(word, BatchControl):
            return
        self._controls.append(word)
        self._looks = max(self._looks, word.looks)
        paused, asked = self._rolling.paused, word.each_failure != self._rolling.each_failure
        self._tell(self._rolling, word)
        if self._given.held:
            self._pulse.under_way(self._rolling.busy, workflow.now())
        if paused != self._rolling.paused or not (self._given.held or asked):
            self._pulse.rest(workflow.now())
            self._slow = ()

    def _tell(self, rolling: Rolling, word: BatchControl) -> None:
        if word.skip:
            rolling.left_are_out = workflow.patched(LEFT_ARE_OUT)
        if word.narrows:
            rolling.fits_idle = workflow.patched(FITS_IDLE)
        rolling.control(word)

    async def _work(self) -> BatchResult:
        hosts = await workflow.execute_activity_method(
            DeploymentActivities.load_batch, self._given.load, **quick("load hosts")
        )
        self._rolling = rolling = Rolling(self._given, hosts.turns, hosts.out, hosts.disabled)
        for word in self._controls:
            self._tell(rolling, word)
        if self._given.held:
            self._pulse.under_way(rolling.busy, workflow.now())
        while True:
            vanished = self._vanished
            recorder = asyncio.create_task(self._record())
            watch = asyncio.create_task(self._watch())
            await self._roll(hosts)
            watch.cancel()
            self._closing = True
            await recorder
            if self._vanished == vanished:
                return rolling.result()
            self._closing = False  # what was written last told of hosts that nobody waits for

    async def _roll(self, hosts: BatchHosts) -> None:
        """Give turns until nothing more may or can begin."""
        rolling = self._rolling
        tasks: list[asyncio.Task[None]] = []
        while True:
            await self._look_again()
            seen = rolling.moves
            begun = rolling.begin()
            tasks += [asyncio.create_task(self._turn(hosts, turn)) for turn in begun[:AT_ONCE]]
            if (more := begun[AT_ONCE:]) and workflow.patched(BEGIN_BY_HANDFULS):
                tasks += await self._begin_more(hosts, more)
            else:
                tasks += [asyncio.create_task(self._turn(hosts, turn)) for turn in more]
            if rolling.finished:
                break
            await workflow.wait_condition(lambda seen=seen: rolling.moves != seen)  # type: ignore[misc]
            tasks = [task for task in tasks if not _ended(task)]

    async def _look_again(self) -> None:
        """Somebody has asked which hosts are disabled: no turn begins before that is known."""
        while self._looked < self._looks:
            self._looked = self._looks
            found = await workflow.execute_activity_method(
                DeploymentActivities.look_again,
                LookInput(deployment=self._given.load.deployment, hosts=self._rolling.hosts),
                **quick("which hosts are disabled"),
            )
            self._rolling.look(found.disabled, found.out)

    async def _begin_more(
        self, hosts: BatchHosts, turns: Sequence[HostTurn]
    ) -> list[asyncio.Task[None]]:
        """A task of the workflow in which hundreds of turns begin takes too long for one."""
        tasks: list[asyncio.Task[None]] = []
        for first in range(0, len(turns), AT_ONCE):
            await workflow.sleep(BREATH, summary="more turns begin")
            some = turns[first : first + AT_ONCE]
            tasks += [asyncio.create_task(self._turn(hosts, turn)) for turn in some]
        return tasks

    async def _watch(self) -> None:
        """Tell of locations that end no turn for too long, and when they move again."""
        if not self._given.progress_deadline:
            return
        while True:
            await workflow.wait_condition(lambda: self._pulse.busy and not self._rolling.paused)
            wait = self._pulse.next_look(workflow.now())
            await workflow.sleep(wait, summary="do all locations move?")
            await self._tell_slow()

    async def _tell_slow(self) -> None:
        slow = () if self._rolling.paused else self._pulse.slow(workflow.now())
        if slow or self._slow:
            self._slow = slow
            await self._tell_deployment()

    async def _turn(self, hosts: BatchHosts, turn: HostTurn) -> None:
        given = hosts.turn(self._given.load, turn).knowing(self._accepted.get(turn.host.name, ""))
        options = turn_options(given, turn.own_workers, self._given)
        began = workflow.now()
        self._pulse.begun(turn.host.location, began)
        try:
            record = await workflow.execute_activity_method(HostActivities.turn, given, **options)
        except ActivityError as error:
            record = failed_turn(turn, error).taking_since(began, workflow.now())
        if record.host_key:
            self._accepted[record.host] = record.host_key
        self._rolling.end(record)
        self._pulse.ended(turn.host.location, workflow.now(), self._rolling.busy)
        if self._slow:
            await self._tell_slow()

    async def _record(self) -> None:
        """Write what ended within seconds, or as many as there are lanes, and tell of it."""
        rolling = self._rolling
        while not self._closing or rolling.unrecorded:
            await workflow.wait_condition(
                lambda: bool(rolling.unrecorded) or self._closing or self._waited_for
            )
            if not self._closing:
                await self._gather_ends()
            records, rolling.unrecorded = tuple(rolling.unrecorded), []
            largest = RECORD_LARGEST if workflow.patched(RECORD_BY_SIZE) else None
            in_rounds = workflow.patched(RECORD_IN_ROUNDS)
            most = None if workflow.patched(RECORD_BY_SIZE_ALONE) else RECORD_AT_ONCE
            for some in handfuls(records, most, largest):
                await self._write(some)
                if not in_rounds:
                    await self._tell_deployment()
            held = rolling.hand_over() if self._given.hands_over else None
            owed = rolling.tell() or self._owes or held is not None
            if owed or (in_rounds and self._is_news()):
                await self._tell_deployment(held)

    @property
    def _waited_for(self) -> bool:
        """Whether others may begin, or must stop, as soon as what has ended is recorded."""
        hands_over = self._given.hands_over and self._rolling.may_hand_over
        return hands_over or self._rolling.waited_for or self._owes

    @property
    def _owes(self) -> bool:
        """Whether the deployment must know of each failure, and does not."""
        return not self._closing and self._rolling.owes(self._told)

    def _is_news(self) -> bool:
        """Whether the deployment must know before this batch returns how far it is."""
        news = self._given.news
        if news is None:
            return True
        return not self._closing and news.worth(self._rolling.result(), self._told)

    async def _gather_ends(self) -> None:
        """Each round costs tasks of this workflow and of its deployment: hence not too many."""
        rolling = self._rolling
        least = len(rolling.hosts) // ROUNDS if workflow.patched(RECORD_IN_ROUNDS) else 0
        with contextlib.suppress(TimeoutError):
            await workflow.wait_condition(
                lambda: (
                    self._closing
                    or self._waited_for
                    or len(rolling.unrecorded) > max(rolling.lanes, least)
                ),
                timeout=RECORD_EVERY,
                timeout_summary="gather ends",
            )

    async def _write(self, records: tuple[TurnRecord, ...]) -> None:
        load = self._given.load
        told = await workflow.execute_activity_method(
            DeploymentActivities.record,
            RecordInput(
                deployment=load.deployment,
                phase=load.phase,
                records=records,
                wave=load.wave,
                batch=load.batch,
            ),
            **quick(f"record {len(records)} hosts"),
        )
        if told and self._rolling.gone(told.gone):  # an older worker says nothing
            self._vanished += 1

    async def _tell_deployment(self, held: tuple[Held, ...] | None = None) -> None:
        if parent := workflow.info().parent:
            handle = workflow.get_external_workflow_handle(parent.workflow_id)
            stalled = bool(self._slow) and self._pulse.stalled(workflow.now())
            stalled = stalled or self._rolling.idle
            self._told = progress = self._rolling.result().model_copy(
                update={"slow": self._slow, "stalled": stalled, "held": held}
            )
            with contextlib.suppress(ApplicationError):  # the deployment may just have ended
                await handle.signal(names.PROGRESS, progress)


def _ended(task: asyncio.Task[None]) -> bool:
    """Whether the turn's task has ended; what only a bug raises is raised here."""
    if task.done():
        task.result()
        return True
    return False


def failed_turn(turn: HostTurn | TurnInput, error: ActivityError) -> TurnRecord:
    """What a failed activity says of its host.

    The activity's own failure carries the record. Without one, contact was lost for longer than
    the turn may take, or Apollo itself failed: `lost` when an attempt had begun, else no worker
    ever took it.
    """
    cause = error.cause
    if isinstance(cause, ApplicationError) and cause.details:
        return TurnRecord.model_validate(cause.details[0])
    began = True
    if isinstance(cause, TimeoutError_):
        began = bool(cause.cause or cause.last_heartbeat_details)
    return TurnRecord(
        host=turn.host.name,
        location=turn.host.location,
        turn=turn.turn,
        outcome=Outcome.LOST if began else Outcome.UNREACHABLE,
        error="ContactLost" if began else "NoWorker",
        step="turn",
        message=f"{turn.host.name}: {cause.message if isinstance(cause, FailureError) else error}",
        left="unknown: contact ended after the turn had begun" if began else "nothing was changed",
        hint="the next deployment takes this host first and attaches to what it finds"
        if began
        else "start a worker for this location: apollo worker --role hosts",
    )
