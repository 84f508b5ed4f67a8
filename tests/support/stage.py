"""A stage for workflows: a real Temporal server and catalog, and hosts that follow a script."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch
from uuid import uuid4

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client, WorkflowExecutionDescription, WorkflowHandle
from temporalio.common import HeaderCodecBehavior
from temporalio.exceptions import ApplicationError
from temporalio.testing import TimeSkipper
from temporalio.worker import Worker

from apollo import errors, names, planning
from apollo.activities import outline
from apollo.activities.alarms import AlarmActivities
from apollo.activities.deployments import DeploymentActivities
from apollo.activities.host_keys import KeyActivities
from apollo.activities.hosts import HostActivities
from apollo.activities.lending import LendingActivities
from apollo.activities.logs import LogActivities, PrintedActivities
from apollo.activities.notifications import NotificationActivities
from apollo.activities.once import OnceActivities
from apollo.activities.progress import ProgressActivities
from apollo.activities.promotions import PromotionActivities
from apollo.activities.staging import StagingActivities
from apollo.activities.steering import SteeringActivities
from apollo.activities.sync import LookActivities, SyncActivities
from apollo.alarms import AlarmReader
from apollo.artifacts.store import FolderStore
from apollo.catalog import Catalog
from apollo.catalog.records import AuditEntry, StoredDeployment
from apollo.client import Apollo, DeploymentHandle
from apollo.cluster import present
from apollo.codec import data_converter
from apollo.domain.alarms import Alarm, CommandAlarm, Reading, Standing
from apollo.domain.environment import Environment, Webhook
from apollo.domain.fleet import Fleet, Host
from apollo.domain.logs import HostLog, LogPart, LogRead
from apollo.domain.outputs import WELL, StepOutput, pack
from apollo.domain.pipeline import Stage as PipelineStage
from apollo.domain.plan import make_plan
from apollo.domain.release import Artifact, Release
from apollo.domain.rollout import DeploymentResult
from apollo.domain.setup import Setup
from apollo.domain.status import Outcome
from apollo.domain.strategy import Strategy
from apollo.domain.sync import Sight
from apollo.domain.turn import Step, TurnInput, TurnRecord
from apollo.domain.windows import parse_window
from apollo.hosts.secrets import ReferenceSecrets
from apollo.local.process import find_program
from apollo.local.temporal import TemporalServer
from apollo.ports import Footing, Reachable
from apollo.settings import Settings
from apollo.webhooks import post
from apollo.workers.worker import WORKFLOWS, activities_of

PATIENCE = 60.0
SKIPPING = {"frontend.WorkflowTimeSkippingEnabled": "true"}
LOCATIONS = ("fra1", "ams1", "lhr1", "iad1")
End = Outcome | type[errors.TurnError]


@dataclass
class Turn:
    """A turn that has begun."""

    given: TurnInput
    began: float
    ended: float | None = None
    cancelled: bool = False

    @property
    def host(self) -> str:
        return self.given.host.name


@dataclass
class Script:
    """What the hosts of one application do: by default every turn goes well at once."""

    ends: dict[str, list[End]] = field(default_factory=dict)
    """How the turns of a host end, one after the other; the last holds on."""
    seconds: float = 0
    held: set[str] = field(default_factory=set)
    """Hosts (or `*`) whose turns wait until they are let go."""
    turns: list[Turn] = field(default_factory=list)
    bugs: set[str] = field(default_factory=set)
    """Hosts on which the worker itself fails."""
    runs: dict[str, str | None] = field(default_factory=dict)
    """What each host runs; a test changes it as people do who log in."""
    unseen: set[str] = field(default_factory=set)
    """Hosts that cannot be looked at."""
    stagings: list[Turn] = field(default_factory=list)
    """What was staged ahead; it ends as `ends` says of `ahead h1`."""
    onces: list[Turn] = field(default_factory=list)
    """What ran once, and where; it ends as `ends` says of `once.before h1`."""
    alarms: dict[str, Standing] = field(default_factory=dict)
    """Alarm → how it stands; those that are not there are quiet."""
    shows: dict[str, str] = field(default_factory=dict)
    """The host key that a host shows while it is staged, and that is accepted."""
    prints: dict[str, str] = field(default_factory=dict)
    """What the start hook of each host has printed so far."""
    reads: list[LogRead] = field(default_factory=list)
    """How outputs were read."""
    looks: list[str] = field(default_factory=list)
    """The hosts that were looked at, in order."""
    steps: tuple[str, ...] = ()
    """What the turn of each host runs, one after the other, in the time that it takes."""

    def fail(self, *hosts: str, end: End = Outcome.REVERTED) -> None:
        for host in hosts:
            self.ends[host] = [end]

    def hold(self, *hosts: str) -> None:
        self.held |= set(hosts or ("*",))

    def let_go(self, *hosts: str) -> None:
        self.held -= set(hosts or self.held)

    def begun(self, phase: str = "forward") -> list[str]:
        """The hosts whose turns have begun, in order."""
        return [turn.host for turn in self.turns if turn.given.phase == phase]

    def running(self) -> list[str]:
        return [turn.host for turn in self.turns if turn.ended is None]

    @property
    def most_at_once(self) -> int:
        """How many turns were under way at the same time."""
        moments = [(turn.began, 1) for turn in self.turns]
        moments += [(turn.ended, -1) for turn in self.turns if turn.ended is not None]
        now = most = 0
        for _, step in sorted(moments):
            now += step
            most = max(most, now)
        return most

    def kept(self, given: TurnInput) -> list[Turn]:
        """Where turns like this one are kept."""
        if given.once:
            return self.onces
        return self.stagings if given.ahead else self.turns

    def holds(self, turn: TurnInput) -> bool:
        if turn.ahead:
            return bool(self.held & {"ahead", f"ahead {turn.host.name}"})
        return bool(self.held & {"*", turn.host.name, f"{turn.host.name}/{turn.turn}", turn.phase})

    async def let_go_of(self, turn: TurnInput) -> None:
        """Return when the turn is held no longer."""
        while True:
            if not self.holds(turn):
                return
            await asyncio.sleep(0.01)

    def end(self, given: TurnInput) -> End:
        if given.once:
            ends = self.ends.get(f"{given.once.step} {given.host.name}", [])
            done = sum(once.given == given for once in self.onces)
            return ends[min(done, len(ends)) - 1] if ends else Outcome.CURRENT
        if given.ahead:
            return self.ends.get(f"ahead {given.host.name}", [Outcome.CURRENT])[0]
        ends = self.ends.get(given.host.name, [])
        if given.phase == "rollback":
            ends = self.ends.get(f"back {given.host.name}", [])
        done = sum((t.host, t.given.phase) == (given.host.name, given.phase) for t in self.turns)
        good = Outcome.ROLLED_BACK if given.phase == "rollback" else Outcome.UPDATED
        return ends[min(done, len(ends)) - 1] if ends else good


@dataclass
class Actors:
    """The hosts of all applications: they follow their scripts."""

    scripts: dict[str, Script] = field(default_factory=dict)

    async def __call__(self, given: TurnInput, attempt_ms: int, footing: Footing) -> TurnRecord:
        script = self.scripts[given.application]
        turn = Turn(given, time.monotonic())
        script.kept(given).append(turn)
        try:
            if given.host.name in script.bugs:
                raise ApplicationError("a bug", type="KeyError", non_retryable=True)
            end = script.end(given)
            footing.step, footing.drained = "drain", isinstance(end, Outcome)
            await asyncio.sleep(script.seconds)
            await script.let_go_of(given)
            if given.once and isinstance(end, Outcome):
                return _once(given, end)
            if given.ahead and isinstance(end, Outcome):
                footing.host_key = script.shows.get(turn.host, "")
                return _record(given, end, script.runs.get(turn.host, given.running))
            if isinstance(end, Outcome):
                record = _record(given, end, script.runs.get(turn.host, given.running))
                record = record.model_copy(update={"steps": _steps(script, turn)})
                script.runs[turn.host] = None if end is Outcome.BROKEN else record.manifest
                return record
            raise end(f"{given.host.name}: played", host=given.host.name, step="connect")
        except asyncio.CancelledError:
            turn.cancelled = True
            raise
        finally:
            turn.ended = time.monotonic()

    async def read_printed(self, given: LogRead) -> HostLog:
        """What a host's turn has printed, as a test has put it there."""
        target, request = given.target, given.request
        assert target.host
        script = self.scripts[request.application]
        script.reads.append(given)
        if target.host.name in script.unseen:
            raise errors.ConnectFailed("played", host=target.host.name, step="connect")
        seen = request.seen.get("start", 0)
        text = script.prints.get(target.host.name, "")
        part = LogPart(step="start", text=text[seen:], begin=seen, end=len(text), running=True)
        return HostLog(
            label=target.label,
            deployment=target.deployment,
            turn=1,
            under_way=target.under_way,
            parts=(part,),
        )

    async def read_alarm(self, alarm: Alarm) -> Reading:
        """How an alarm of a play stands; one of Prometheus is really asked."""
        if alarm.prometheus:
            return await AlarmReader(ReferenceSecrets(()), pause=0.01)(alarm)
        application, _, name = alarm.label.partition(" ")
        standing = self.scripts[application].alarms.get(name, "quiet")
        return Reading(alarm=alarm.label, standing=standing, says="played")

    async def look(self, host: Reachable, root: str) -> Sight:
        """What a host runs, as a look finds it."""
        script, name = self.scripts[host.application], host.host.name
        script.looks.append(name)
        if name in script.unseen:
            return Sight(host=name, error="ConnectFailed", message=f"{name}: played")
        runs = script.runs.get(name)
        return Sight(host=name, manifest=runs, state="serving" if runs else "none")


def _steps(script: Script, turn: Turn) -> tuple[Step, ...]:
    """They share the time since the turn began."""
    took = time.monotonic() - turn.began
    began, each = time.time() - took, took / max(1, len(script.steps))
    return tuple(
        Step(name=name, exit=0, seconds=round(each, 3), began=round(began + number * each, 3))
        for number, name in enumerate(script.steps)
    )


def _host(name: str) -> Host:
    number = int(name[1:])
    return Host(name=name, location=LOCATIONS[(number - 1) % 2], address=f"10.0.0.{number % 250}")


def _record(given: TurnInput, end: Outcome, before: str | None) -> TurnRecord:
    forward = given.phase == "forward"
    well = end in (Outcome.UPDATED, Outcome.CURRENT, Outcome.ROLLED_BACK)
    return TurnRecord(
        host=given.host.name,
        turn=given.turn,
        outcome=end,
        manifest=given.manifest if well else before,
        release=(given.release if forward and well else given.previous_release) or None,
        error="" if well else "HookFailed",
        step="" if well else "start",
        message="" if well else f"{given.host.name}: start exit 3, expected 0",
    )


def _once(given: TurnInput, end: Outcome) -> TurnRecord:
    assert given.once
    step, well = given.once.step, end.good
    printed = [StepOutput(step=step, text=f"{step} was here\n")]
    return TurnRecord(
        host=given.host.name,
        turn=given.turn,
        outcome=end,
        steps=(Step(name=step, exit=0 if well else 3, seconds=1.5),),
        error="" if well else "HookFailed",
        step="" if well else step,
        message="" if well else f"{given.host.name}: {step} exit 3, expected 0",
        output="" if well else "no such table",
        outputs=pack(printed, WELL),
    )


@dataclass
class Play:
    """One application, by default with one environment, on the stage that all share."""

    stage: "Stage"
    application: str
    environment: Environment
    script: Script
    setup: dict[str, Any] = field(default_factory=dict)

    async def release(self, version: str) -> None:
        """A release, of which nothing but its name and what runs once matters."""
        release = Release(
            application=self.application,
            version=version,
            artifact=Artifact(sha256="a" * 64, size=1),
            setup=Setup.model_validate({"root": "/srv/shop", **self.setup}),
        )
        await self.stage.catalog.releases.add(release, "ada")

    async def start(self, version: str | None = "1.0", **options: Any) -> "Running":
        """Start a deployment."""
        if version:
            await self.release(version)
        handle = await self.stage.apollo.deploy(self.application, "prod", version, **options)
        return self.running(handle.workflow_id)

    async def deploy(self, version: str = "1.0", **options: Any) -> DeploymentResult:
        """Deploy, and wait for the end."""
        return await (await self.start(version, **options)).result()

    async def restart(self, **options: Any) -> DeploymentResult:
        """Restart, and wait for the end."""
        handle = await self.stage.apollo.restart(self.application, "prod", **options)
        return await self.running(handle.workflow_id).result()

    async def sync(self, **options: Any) -> DeploymentResult:
        """Sync, and wait for the end."""
        handle = await self.stage.apollo.sync(self.application, "prod", **options)
        return await self.running(handle.workflow_id).result()

    async def look(self, **options: Any) -> dict[str, str]:
        """What a look at the hosts comes to."""
        drift = await self.stage.apollo.look(self.application, "prod", **options)
        return {each.host: str(each.finding) for each in drift.found}

    async def apply(self, **changes: Any) -> None:
        """Apply the environment with changes; `hosts` are the names of those that stay or come."""
        hosts = changes.pop("hosts", None)
        if hosts is not None:
            known = {host.name: host for host in self.environment.fleet.hosts}
            fresh = [known.get(name) or _host(name) for name in hosts]
            changes["fleet"] = Fleet(hosts=tuple(fresh))
        self.environment = self.environment.model_copy(update=changes)
        await self.stage.catalog.environments.apply(self.environment, ["prod"], "ada")

    async def deploy_approved(self, version: str = "1.0") -> DeploymentResult:
        """Deploy to an environment that asks for approval."""
        running = await self.start(version)
        await running.until("awaiting")
        await running.said.approve()
        return await running.result()

    def running(self, workflow_id: str) -> "Running":
        """A deployment that was started some other way."""
        return Running(self, DeploymentHandle(self.stage.apollo, workflow_id))

    async def began(self, *hosts: str, phase: str = "forward") -> None:
        """Wait until these hosts have begun their turns."""
        await until(lambda: set(hosts) <= set(self.script.begun(phase)), f"{hosts} begin")

    async def under_way(self, count: int) -> list[str]:
        """Wait until so many turns are under way; whose."""
        await until(lambda: len(self.script.running()) == count, f"{count} turns under way")
        return self.script.running()


@dataclass
class Running:
    """A deployment under way."""

    play: Play
    said: DeploymentHandle

    @property
    def id(self) -> str:
        return self.said.workflow_id

    @property
    def handle(self) -> WorkflowHandle[Any, Any]:
        return self.play.stage.client.get_workflow_handle(self.id)

    def batch(self, wave: int = 1, number: int = 1, phase: str = "forward") -> str:
        return names.batch_id(self.id, phase, wave, number)

    async def result(self) -> DeploymentResult:
        async with asyncio.timeout(PATIENCE * 2):
            return await self.said.result()

    async def stored(self) -> StoredDeployment:
        found = await self.play.stage.catalog.deployments.by_workflow(self.id)
        assert found is not None, "the deployment was not opened"
        return found

    async def until(self, state: str) -> StoredDeployment:
        """Wait until the catalog shows this state."""
        catalog = self.play.stage.catalog

        async def shown() -> bool:
            found = await catalog.deployments.by_workflow(self.id)
            return found is not None and found.state == state

        await until(shown, f"{self.id} is {state}")
        return await self.stored()

    async def batch_heard(self, word: str, **batch: Any) -> None:
        """Wait until a batch was told to hold ("paused"), to end ("stop") or another word."""

        async def told() -> bool:
            words = await heard(self, self.batch(**batch))
            return any(each.get(word) for _, each in words)

        await until(told, f"{self.batch(**batch)} has heard of {word}")

    async def audit(self) -> list[AuditEntry]:
        """What was said to it, the oldest first, without its start."""
        stored = await self.stored()
        entries = await self.play.stage.catalog.audit.list(deployment=stored.uuid)
        return [entry for entry in reversed(entries) if entry.action != "deploy"]

    async def outcomes(self) -> dict[str, str]:
        stored = await self.stored()
        ends = await self.play.stage.catalog.turns.ends(stored.uuid)
        return {end.host: str(end.outcome) for end in ends}

    async def signal(self, name: str, *words: str) -> None:
        """Signal as a person does, with the `temporal` program."""
        await self.play.stage.temporal("workflow", "signal", "-w", self.id, "--name", name, *words)

    async def now(self) -> datetime:
        """What its clock shows, on a stage that skips time."""
        return await self.play.stage.skipper.get_current_time(self.handle)

    async def skip(self, duration: timedelta) -> None:
        """Let so much time pass for it, and only for it: it must wait for nothing but time."""
        await self.play.stage.skipper.fast_forward(self.handle, duration)

    async def skip_to(self, moment: datetime) -> None:
        """Let its time pass until then."""
        await self.skip(moment - await self.now())

    async def describe(self) -> WorkflowExecutionDescription:
        return await self.handle.describe()

    async def events(self, workflow_id: str | None = None) -> list[HistoryEvent]:
        handle = self.play.stage.client.get_workflow_handle(workflow_id or self.id)
        return [event async for event in handle.fetch_history_events()]


@dataclass
class Stage:
    """What all plays share."""

    folder: Path
    server: TemporalServer
    client: Client
    catalog: Catalog
    apollo: Apollo
    actors: Actors

    @property
    def skipper(self) -> TimeSkipper:
        """Moves the clocks of single workflows; only on a stage that skips time."""
        return TimeSkipper(self.client)

    async def play(
        self,
        hosts: int = 4,
        locations: int = 2,
        *,
        labels: Callable[[int], dict[str, str]] = lambda _: {},
        approval: bool = False,
        windows: Sequence[str] = (),
        freezes: Mapping[str, str] | None = None,
        application: str = "",
        pipeline: Sequence[PipelineStage | str] = ("prod",),
        environments: Mapping[str, Mapping[str, Any]] | None = None,
        notify: Sequence[Webhook] = (),
        alarms: Sequence[str | Alarm] = (),
        **strategy: Any,
    ) -> Play:
        """A new application with hosts `h1`, `h2` and so on, in the locations in turn.

        `environments` are those beside `prod`, with what they have that `prod` has not.
        """
        application = application or f"shop-{uuid4().hex[:8]}"
        fleet = Fleet(
            hosts=tuple(
                Host(
                    name=f"h{n}",
                    location=LOCATIONS[(n - 1) % locations],
                    address=f"10.0.0.{n % 250}",
                    labels=labels(n),
                )
                for n in range(1, hosts + 1)
            )
        )
        environment = Environment(
            application=application,
            name="prod",
            fleet=fleet,
            strategy=Strategy.model_validate({"waves": ["100%"], "max_unavailable": 1, **strategy}),
            approval=approval,
            windows=tuple(map(parse_window, windows)),
            freezes=dict(freezes or {}),
            notify=tuple(notify),
            alarms=tuple(
                Alarm(name=f"{application} {each}", command=CommandAlarm(run="played"))
                if isinstance(each, str)
                else each
                for each in alarms
            ),
        )
        for name, values in (environments or {}).items():
            other = environment.model_copy(update={"name": name, "approval": False, **values})
            await self.catalog.environments.apply(other, pipeline, "ada")
        await self.catalog.environments.apply(environment, pipeline, "ada")
        script = self.actors.scripts[application] = Script()
        return Play(self, application, environment, script)

    def worker(self, queue: str, **options: Any) -> Worker:
        """A control worker for this queue."""
        store = FolderStore(self.apollo.settings.store_folder)
        control = DeploymentActivities(self.catalog, store, self.client, timedelta(seconds=3))
        promotions = PromotionActivities(self.catalog, self.client)
        sync = SyncActivities(self.catalog, self.client)
        return Worker(
            self.client,
            task_queue=queue,
            workflows=WORKFLOWS,
            activities=activities_of(
                control,
                promotions,
                sync,
                OnceActivities(self.catalog, self.polling),
                ProgressActivities(self.catalog, self.polling),
                SteeringActivities(self.catalog),
                KeyActivities(self.catalog),
                LogActivities(self.catalog, store),
                LendingActivities(store),
                AlarmActivities(self.catalog, self.actors.read_alarm, every=0.1),
                _notifications(self.catalog),
            ),
            max_concurrent_workflow_tasks=20,
            **options,
        )

    async def polling(self, queue: str) -> int:
        """How many workers poll a queue, as Temporal says."""
        return await present(self.client, queue)

    async def temporal(self, *arguments: str) -> str:
        """Run the `temporal` program; what it says."""
        process = await asyncio.create_subprocess_exec(
            find_program("temporal"),
            *arguments,
            "--address",
            self.server.address,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        out, _ = await process.communicate()
        assert process.returncode == 0, out.decode()
        return out.decode()


async def until(
    condition: Callable[[], bool | Awaitable[bool]], what: str, patience: float = PATIENCE
) -> None:
    """Wait until it holds."""
    deadline = time.monotonic() + patience
    while True:
        found = condition()
        if found if isinstance(found, bool) else await found:
            return
        assert time.monotonic() < deadline, f"it never came about that {what}"
        await asyncio.sleep(0.03)


@contextmanager
def small_batches(size: int) -> Iterator[None]:
    """Plans whose batches have so many hosts; nothing else is different."""
    small = partial(make_plan, batch_size=size)
    with patch.object(planning, "make_plan", small), patch.object(outline, "BATCH", size):
        yield


@contextmanager
def held(owner: object, method: str) -> Iterator[tuple[asyncio.Event, asyncio.Event]]:
    """Calls of a method begin when the second event is set; the first tells that one waits."""
    call, asked, go = getattr(owner, method), asyncio.Event(), asyncio.Event()

    async def later(*given: Any) -> Any:
        asked.set()
        await go.wait()
        return await call(*given)

    with patch.object(owner, method, later):
        yield asked, go


async def heard(running: Running, workflow_id: str | None = None) -> list[tuple[str, Any]]:
    """The signals that a deployment, or a batch of it, has heard, with what each brought."""
    events = await running.events(workflow_id)
    signals = [e.workflow_execution_signaled_event_attributes for e in events]
    return [(s.signal_name, json.loads(s.input.payloads[0].data)) for s in signals if s.signal_name]


async def batches_have_ended(running: Running, count: int) -> bool:
    """Whether so many batches have returned to their deployment."""
    kinds = [event.WhichOneof("attributes") for event in await running.events()]
    return kinds.count("child_workflow_execution_completed_event_attributes") == count


async def ending_during_a_write(play: Play, hosts: int) -> Running:
    """A deployment that has ended: while the end of its first host was written, all others ended.

    All of them have their turns at the same time.
    """
    play.script.hold(*(f"h{number}" for number in range(1, hosts + 1)))
    running = await play.start("1.0")
    await play.under_way(hosts)
    with held(play.stage.catalog.turns, "record") as (asked, go):
        play.script.let_go("h1")
        await asked.wait()
        play.script.let_go()
        await until(lambda: _turns_have_ended(running, hosts), "all turns have ended")
        go.set()
        assert (await running.result()).outcomes == {"updated": hosts}
    return running


async def _turns_have_ended(running: Running, count: int) -> bool:
    kinds = [event.WhichOneof("attributes") for event in await running.events(running.batch())]
    ended = kinds.count("activity_task_completed_event_attributes") - 1  # the batch was loaded
    return ended == count


async def records(running: Running) -> list[int]:
    """How many ends its batch has written at once, each time."""
    found = []
    for event in await running.events(running.batch()):
        asked = event.activity_task_scheduled_event_attributes
        if asked.activity_type.name == "record":
            found.append(len(json.loads(asked.input.payloads[0].data)["records"]))
    return found


async def looks(running: Running, batch: str = "") -> int:
    """How often its batch asked which hosts are disabled."""
    events = await running.events(batch or running.batch())
    scheduled = [event.activity_task_scheduled_event_attributes for event in events]
    return sum(each.activity_type.name == "look_again" for each in scheduled)


@asynccontextmanager
async def open_stage(
    folder: Path, *, skipping: bool = False, encryption_key: str = "", codec_endpoint: str = ""
) -> AsyncIterator[Stage]:
    """A server, a catalog, and one worker for everything.

    With `skipping`, `Running.skip` moves the clock of a workflow: its timers fire at once.
    """
    settings = Settings(home=folder / "home", identity="ada", encryption_key=encryption_key)
    actors = Actors()
    server = TemporalServer(
        folder / "temporal",
        dynamic_config=SKIPPING if skipping else None,
        codec_endpoint=codec_endpoint,
    )
    async with server, Apollo.connect(settings) as apollo:
        apollo._temporal = await connected(server, encryption_key)
        client, catalog = apollo._temporal, apollo.catalog
        stage = Stage(folder, server, client, catalog, apollo, actors)
        async with (
            stage.worker(names.CONTROL_QUEUE),
            Worker(
                client,
                task_queue=names.HOSTS_QUEUE,
                activities=activities_of(
                    HostActivities(actors),
                    StagingActivities(actors),
                    LookActivities(actors.look),
                    PrintedActivities(actors.read_printed),
                ),
                max_concurrent_activities=500,
            ),
        ):
            yield stage
            for script in actors.scripts.values():
                script.let_go()


async def connected(server: TemporalServer, encryption_key: str = "") -> Client:
    """A client of that server's, as Apollo's own."""
    return await Client.connect(
        server.address,
        data_converter=data_converter(encryption_key),
        header_codec_behavior=HeaderCodecBehavior.CODEC,
    )


def _notifications(catalog: Catalog) -> NotificationActivities:
    return NotificationActivities(
        catalog, ReferenceSecrets(("env:APOLLO_SECRET_",)), "http://ui/{}".format, post
    )


def failures(events: Sequence[HistoryEvent]) -> list[HistoryEvent]:
    """Workflow tasks that failed: there must be none."""
    return [e for e in events if e.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED]


def scheduled(events: Sequence[HistoryEvent]) -> list[str]:
    """The hosts whose turns were scheduled, in order."""
    ids = [event.activity_task_scheduled_event_attributes.activity_id for event in events]
    return [name.split(":")[1] for name in ids if name.startswith("turn:")]
