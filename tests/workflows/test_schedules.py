"""Schedules on a real server without workers: what they start stays where it is."""

import asyncio
import base64
import json
import shlex
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
import pytest_asyncio
from google.protobuf.timestamp_pb2 import Timestamp
from temporalio import workflow
from temporalio.api.history.v1 import WorkflowExecutionStartedEventAttributes
from temporalio.api.workflowservice.v1 import ListScheduleMatchingTimesRequest
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleIntervalSpec,
    ScheduleSpec,
    ScheduleUpdate,
    ScheduleUpdateInput,
)
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from apollo import names
from apollo.cli.run import run
from apollo.client import Apollo
from apollo.domain.environment import Environment
from apollo.domain.fleet import Fleet, Host
from apollo.errors import ApolloError, InvalidSchedule, NotFound, Refused
from apollo.local.process import find_program
from apollo.local.temporal import TemporalServer
from apollo.settings import Settings
from tests.support.stage import until

WEEKLY = "0 10 * * TUE"


@dataclass
class Desk:
    """A server without workers, and one application on it."""

    address: str
    home: Path
    apollo: Apollo
    client: Client
    application: str = "shop"

    async def other(self) -> "Desk":
        """The same with an application of its own."""
        application = f"shop-{uuid4().hex[:8]}"
        for name in ("dev", "staging", "prod", "attic"):
            environment = Environment(
                application=application,
                name=name,
                fleet=Fleet(hosts=(Host(name="h1", location="fra1", address="10.0.0.1"),)),
            )
            pipeline = ["dev", "staging", "prod"]
            await self.apollo.catalog.environments.apply(environment, pipeline, "ada")
        return Desk(self.address, self.home, self.apollo, self.client, application)

    async def weekly(self, name: str = "weekly", **options: Any) -> Any:
        wanted = {"from_": "staging", "to": "prod", "cron": WEEKLY, "timezone": "Europe/Amsterdam"}
        made = await self.apollo.schedules.create_promotion(
            self.application, name, **{**wanted, **options}
        )

        async def listed() -> bool:
            found = await self.apollo.schedules.list(self.application)
            return name in [each.name for each in found]

        await until(listed, "Temporal lists it")
        return made

    async def temporal(self, line: str) -> Any:
        """What the `temporal` program says, as JSON."""
        process = await asyncio.create_subprocess_exec(
            find_program("temporal"),
            *shlex.split(line),
            *("--address", self.address, "-o", "json"),
            stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await process.communicate()
        assert process.returncode == 0
        return json.loads(out)

    async def started(self, workflow_id: str) -> WorkflowExecutionStartedEventAttributes:
        handle = self.client.get_workflow_handle(workflow_id)
        async for event in handle.fetch_history_events():
            return event.workflow_execution_started_event_attributes
        raise AssertionError("it has no history")

    async def audit(self) -> list[tuple[str, str, str, str]]:
        entries = await self.apollo.catalog.audit.list(self.application)
        return [
            (entry.action, entry.environment, entry.reason, entry.detail.get("schedule", ""))
            for entry in reversed(entries)
            if entry.action.startswith("schedule")
        ]

    async def count(self, name: str) -> int:
        handle = self.client.get_schedule_handle(names.schedule_id(self.application, name))
        info = (await handle.describe()).info
        return info.num_actions + info.num_actions_skipped_overlap


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Desk]:
    folder = tmp_path_factory.mktemp("schedules")
    settings = Settings(home=folder / "home", identity="ada")
    with pytest.MonkeyPatch.context() as patch:
        async with TemporalServer(folder / "temporal") as temporal:
            patch.setenv("TEMPORAL_ADDRESS", temporal.address)
            patch.setenv("APOLLO_HOME", str(settings.home))
            patch.setenv("APOLLO_IDENTITY", "ada")
            async with Apollo.connect(settings) as apollo:
                client = await apollo.temporal()
                yield Desk(temporal.address, settings.home, apollo, client)


@pytest_asyncio.fixture(loop_scope="session")
async def desk(server: Desk) -> Desk:
    return await server.other()


async def refused(doing: Awaitable[Any]) -> ApolloError:
    with pytest.raises(ApolloError) as caught:
        await doing
    return caught.value


async def test_temporal_sees_what_was_created(desk: Desk) -> None:
    made = await desk.weekly(reason="every week")

    shown = await desk.temporal(f"schedule describe -s apollo/{desk.application}/weekly")
    action = shown["schedule"]["action"]["startWorkflow"]
    assert action["workflowType"]["name"] == "Promotion"
    assert action["taskQueue"]["name"] == "apollo"
    assert action["workflowId"] == f"promotion/{desk.application}/schedule/weekly"
    summary = base64.b64decode(action["userMetadata"]["summary"]["data"]).decode()
    assert summary == f'"{desk.application}: promote staging to prod (weekly)"'
    policies = shown["schedule"]["policies"]
    assert policies["overlapPolicy"] == "SCHEDULE_OVERLAP_POLICY_SKIP"
    assert policies["catchupWindow"] == "600s"
    assert not policies.get("pauseOnFailure")
    assert shown["schedule"]["spec"]["timezoneName"] == "Europe/Amsterdam"
    listed = await desk.temporal("schedule list")
    assert f"apollo/{desk.application}/weekly" in [each["scheduleId"] for each in listed]

    assert (made.change, made.times) == ("promote staging -> prod", WEEKLY)
    assert made.note == "made by ada: every week"


async def test_a_trigger_starts_a_promotion_with_exactly_this_input(desk: Desk) -> None:
    await desk.weekly(reason="every week")

    started = await desk.apollo.schedules.trigger(desk.application, "weekly", "now")

    assert started.workflow_id.startswith(f"promotion/{desk.application}/schedule/weekly-20")
    found = await desk.started(started.workflow_id)
    assert found.workflow_type.name == "Promotion"
    assert found.task_queue.name == names.CONTROL_QUEUE
    (given,) = found.input.payloads
    assert json.loads(given.data) == {
        "application": desk.application,
        "from": "staging",
        "to": "prod",
        "by": "ada",
        "reason": "every week",
    }


async def test_a_sync_starts_a_deployment_of_what_is_outdated(desk: Desk) -> None:
    made = await desk.apollo.schedules.sync_every(desk.application, "prod", "5m")
    assert (made.name, made.kind, made.times) == ("sync-prod", "sync", "every 5m")
    handle = desk.client.get_schedule_handle(f"apollo/{desk.application}/sync-prod")
    assert (await handle.describe()).schedule.policy.catchup_window == timedelta(minutes=5)

    await desk.apollo.schedules.pause(desk.application, "sync-prod", "work on the network")
    again = await desk.apollo.schedules.sync_every(
        desk.application, "prod", timedelta(seconds=10), "faster"
    )
    assert (again.times, again.paused) == ("every 10s", True)
    assert again.note == "paused by ada: work on the network"
    assert all(at.second % 10 == 0 for at in again.next)

    started = await desk.apollo.schedules.trigger(desk.application, "sync-prod")
    assert started.workflow_id.startswith(f"deployment/{desk.application}/prod/sync-20")
    found = await desk.started(started.workflow_id)
    assert found.workflow_type.name == "Deployment"
    assert json.loads(found.input.payloads[0].data) == {
        "application": desk.application,
        "environment": "prod",
        "only": "outdated",
        "by": "ada",
        "reason": "faster",
    }


@dataclass(frozen=True)
class Wall:
    """A time as a clock on the wall shows it, and whether it shows it twice."""

    at: datetime
    twice: bool


def wall_times(first: datetime, last: datetime, zone: str, matches: Any) -> dict[datetime, Wall]:
    """The times in UTC that match, found by looking at the clock every minute."""
    found = {}
    while first < last:
        local = first.astimezone(ZoneInfo(zone))
        naive = local.replace(tzinfo=None, fold=0)
        if matches(naive):
            offsets = {local.replace(fold=fold).utcoffset() for fold in (0, 1)}
            found[first] = Wall(naive, len(offsets) > 1)
        first += timedelta(minutes=1)
    return found


CHANGES = [(2027, 3, 12), (2027, 3, 26), (2027, 10, 29), (2027, 11, 5)]


@pytest.mark.parametrize(
    ("cron", "zone", "matches", "skipped", "twice"),
    [
        (
            WEEKLY,
            "Europe/Amsterdam",
            lambda at: (at.hour, at.minute, at.weekday()) == (10, 0, 1),
            0,
            0,
        ),
        ("30 2 * * *", "Europe/Amsterdam", lambda at: (at.hour, at.minute) == (2, 30), 1, 1),
        (
            "15 1-3 * * *",
            "America/New_York",
            lambda at: at.hour in (1, 2, 3) and at.minute == 15,
            1,
            2,
        ),
        (
            "*/20 9-17 1,15 * *",
            "UTC",
            lambda at: at.hour in range(9, 18) and at.minute % 20 == 0 and at.day in (1, 15),
            0,
            0,
        ),
    ],
)
async def test_the_times_are_those_of_the_clock_on_the_wall(
    desk: Desk, cron: str, zone: str, matches: Any, skipped: int, twice: int
) -> None:
    """A time that a change of clocks skips does not come; one that comes twice may count twice."""
    made = await desk.weekly(cron=cron, timezone=zone)
    repeated = set()
    missing = came = 0
    for day in CHANGES:
        first = datetime(*day, tzinfo=UTC)
        last = first + timedelta(days=5)
        expected = wall_times(first, last, zone, matches)
        times = await _matching(desk, made.id, first, last)
        clear = [at for at, wall in expected.items() if not wall.twice]
        assert [at for at in times if at in clear or at not in expected] == clear
        shown = {wall.at for wall in expected.values() if wall.twice}
        assert {expected[at].at for at in times if at not in clear} == shown
        repeated |= shown
        came += sum(at in expected and at not in clear for at in times)
        missing += sum(
            matches(at) and at not in {wall.at for wall in expected.values()}
            for minute in range(24 * 60, 72 * 60)
            for at in [first.replace(tzinfo=None) + timedelta(minutes=minute)]
        )
    assert (missing, len(repeated)) == (skipped, min(twice, 1)), "the control: clocks do change"
    assert came == twice, "docs/schedules.md says how often"

    assert len(made.next) == 3
    assert all(matches(at.replace(tzinfo=None)) for at in made.next)
    assert {str(at.tzinfo) for at in made.next} == {zone}


async def _matching(desk: Desk, schedule: str, first: datetime, last: datetime) -> list[datetime]:
    request = ListScheduleMatchingTimesRequest(
        namespace="default",
        schedule_id=schedule,
        start_time=_stamp(first),
        end_time=_stamp(last),
    )
    answer = await desk.client.workflow_service.list_schedule_matching_times(request)
    return [at.ToDatetime(UTC) for at in answer.start_time]


def _stamp(at: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(at)
    return stamp


async def test_a_pause_holds_it_and_resume_goes_on(desk: Desk) -> None:
    other = await desk.other()
    for each in (desk, other):
        await each.apollo.schedules.sync_every(each.application, "prod", "10s")
        handle = each.client.get_schedule_handle(f"apollo/{each.application}/sync-prod")
        await handle.update(_every_second)
        await until(lambda each=each: _at_least(each, 1), "it starts things")  # type: ignore[misc]

    paused = await desk.apollo.schedules.pause(desk.application, "sync-prod", "network")
    assert (paused.paused, paused.note) == (True, "paused by ada: network")
    held, others = await desk.count("sync-prod"), await other.count("sync-prod")
    await until(lambda: _at_least(other, others + 1), "the other goes on")
    assert await desk.count("sync-prod") <= held + 1, "one may have been on its way"
    held, others = await desk.count("sync-prod"), await other.count("sync-prod")
    await until(lambda: _at_least(other, others + 2), "the other goes on")
    assert await desk.count("sync-prod") == held

    assert (
        "is paused already: paused by ada: network"
        in (await refused(desk.apollo.schedules.pause(desk.application, "sync-prod"))).message
    )
    resumed = await desk.apollo.schedules.resume(desk.application, "sync-prod", "mended")
    assert (resumed.paused, resumed.note) == (False, "resumed by ada: mended")
    await until(lambda: _at_least(desk, held + 1), "it goes on")
    assert (
        "is not paused"
        in (await refused(desk.apollo.schedules.resume(desk.application, "sync-prod"))).message
    )
    for each in (desk, other):
        await each.apollo.schedules.delete(each.application, "sync-prod")
    assert [(action, reason) for action, _, reason, _ in await desk.audit()] == [
        ("schedule create", ""),
        ("schedule pause", "network"),
        ("schedule resume", "mended"),
        ("schedule delete", ""),
    ]


async def _at_least(desk: Desk, count: int) -> bool:
    return await desk.count("sync-prod") >= count


def _every_second(found: ScheduleUpdateInput) -> ScheduleUpdate:
    schedule = found.description.schedule
    schedule.spec = ScheduleSpec(intervals=[ScheduleIntervalSpec(every=timedelta(seconds=1))])
    return ScheduleUpdate(schedule)


async def test_nothing_is_started_while_the_one_before_runs(desk: Desk) -> None:
    schedules = desk.apollo.schedules
    await desk.weekly()
    first = await schedules.trigger(desk.application, "weekly")
    assert first.state == "running"

    error = await refused(schedules.trigger(desk.application, "weekly"))
    assert isinstance(error, Refused)
    assert "started nothing: what it started before still runs" in error.message
    (status,) = await schedules.list(desk.application)
    assert (len(status.runs), status.skipped) == (1, 1)

    await desk.client.get_workflow_handle(first.workflow_id).terminate()
    second = await schedules.trigger(desk.application, "weekly")
    assert second.state == "running"
    (status,) = await schedules.list(desk.application)
    assert [run.state for run in status.runs] == ["running", "terminated"]


@workflow.defn(name="Promotion")
class Played:
    """What a schedule starts, in no time."""

    @workflow.run
    async def run(self, given: dict[str, str]) -> dict[str, str]:
        return {"state": "succeeded", "release": given["from"]}


async def test_the_last_results_are_shown(desk: Desk) -> None:
    await desk.weekly()
    started = await desk.apollo.schedules.trigger(desk.application, "weekly")

    async def over() -> bool:
        (status,) = await desk.apollo.schedules.list(desk.application)
        return [run.state for run in status.runs] == ["succeeded"]

    async with Worker(
        desk.client,
        task_queue=names.CONTROL_QUEUE,
        workflows=[Played],
        workflow_runner=UnsandboxedWorkflowRunner(),
    ):
        await desk.client.get_workflow_handle(started.workflow_id).result()
        await until(over, "its result is known")


async def test_a_list_has_only_those_of_apollo_and_of_the_application(desk: Desk) -> None:
    other = await desk.other()
    await desk.weekly()
    await other.weekly("monthly", cron="0 9 1 * *")
    await desk.client.create_schedule(
        f"somebody-{uuid4()}",
        Schedule(
            action=ScheduleActionStartWorkflow("Theirs", id="theirs", task_queue="theirs"),
            spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=timedelta(hours=1))]),
        ),
    )

    ours = await desk.apollo.schedules.list(desk.application)
    everyone = await desk.apollo.schedules.list()

    assert [each.label for each in ours] == [f"{desk.application}/weekly"]
    labels = [each.label for each in everyone]
    assert {f"{desk.application}/weekly", f"{other.application}/monthly"} <= set(labels)
    assert all(each.startswith("shop-") for each in labels)


async def test_a_name_is_taken_once_and_replaced_when_asked(desk: Desk) -> None:
    schedules = desk.apollo.schedules
    await desk.weekly(paused=True, reason="not yet")
    started = await schedules.trigger(desk.application, "weekly")

    error = await refused(desk.weekly(cron="0 11 * * *"))
    assert isinstance(error, Refused)
    assert "has a schedule named weekly" in error.message
    assert "--replace" in error.hint
    assert f"apollo schedule delete {desk.application}/weekly" in error.hint
    (kept,) = await schedules.list(desk.application)
    assert (kept.cron, kept.paused) == (WEEKLY, True)

    await desk.weekly(cron="0 11 * * *", replace=True, reason="later")
    (new,) = await schedules.list(desk.application)
    assert (new.cron, new.reason) == ("0 11 * * *", "later")
    assert (new.paused, new.note) == (True, "paused by ada: not yet")
    assert [run.workflow_id for run in new.runs] == [started.workflow_id]

    gone = await schedules.delete(desk.application, "weekly", "no longer")
    assert gone.label == f"{desk.application}/weekly"
    assert await schedules.list(desk.application) == []
    assert await desk.audit() == [
        ("schedule create", "prod", "not yet", "weekly"),
        ("schedule trigger", "prod", "", "weekly"),
        ("schedule replace", "prod", "later", "weekly"),
        ("schedule delete", "prod", "no longer", "weekly"),
    ]


@pytest.mark.parametrize(
    ("wrong", "told", "hint"),
    [
        ({"cron": "0 25 * * *"}, "cron: hour: expected 0 to 23; found '25'", "0 10 * * TUE"),
        ({"timezone": "Europe/Amsterdm"}, "found 'Europe/Amsterdm'", "mean Europe/Amsterdam"),
        ({"timezone": "amsterdam"}, "found 'amsterdam'", "mean Europe/Amsterdam"),
        ({"timezone": "New York"}, "found 'New York'", "America/New_York"),
        ({"to": "attic"}, "--to: expected a stage; found 'attic'", "dev -> staging -> prod"),
        ({"from_": "prod", "to": "staging"}, "comes after prod; found 'staging'", "the pipeline"),
        ({"name": "Weekly"}, "found 'Weekly'", "weekly"),
        ({"name": "sync-prod"}, "are those of syncs", "apollo sync"),
    ],
)
async def test_what_makes_no_sense_is_not_made(
    desk: Desk, wrong: dict[str, str], told: str, hint: str
) -> None:
    error = await refused(desk.weekly(**wrong))

    assert isinstance(error, InvalidSchedule)
    assert error.exit_code == 2
    assert told in error.message
    assert hint in error.hint
    assert await desk.apollo.schedules.list(desk.application) == []
    assert await desk.audit() == []
    await desk.weekly()
    assert len(await desk.apollo.schedules.list(desk.application)) == len(await desk.audit()) == 1


async def test_intervals_and_names_that_nobody_knows(desk: Desk) -> None:
    schedules = desk.apollo.schedules
    short = await refused(schedules.sync_every(desk.application, "prod", "9s"))
    assert short.message == "interval: expected 10s or more; found 9s"
    assert (
        "expected a duration such as 30s"
        in (await refused(schedules.sync_every(desk.application, "prod", "often"))).message
    )
    assert isinstance(await refused(schedules.sync_every(desk.application, "qa", "5m")), NotFound)

    await desk.weekly()
    unknown = await refused(schedules.trigger(desk.application, "wekly"))
    assert unknown.message == f"{desk.application} has no schedule named wekly"
    assert unknown.hint == "its schedules are: weekly"
    assert isinstance(await refused(schedules.list('x" OR ApolloApplication != "x')), NotFound)


async def test_the_command_line(desk: Desk, capfd: pytest.CaptureFixture[str]) -> None:
    application = desk.application

    async def apollo(line: str, code: int = 0) -> tuple[str, str]:
        capfd.readouterr()
        assert await asyncio.to_thread(run, ["schedule", *shlex.split(line)]) == code
        return capfd.readouterr()

    made = f'--from staging --to prod --cron "{WEEKLY}" --timezone Europe/Amsterdam'
    out, _ = await apollo(f"create {application}/weekly {made} --reason 'each week'")
    assert f"{application}/weekly  promote staging -> prod, {WEEKLY} Europe/Amsterdam" in out
    assert out.count("T10:00:00+0") == 3
    _, err = await apollo(f"create weekly --application {application} {made}", 5)
    assert "error[Refused]" in err
    assert "--replace" in err
    out, err = await apollo(f"create {application}/first {made.replace('* *', '1-7 *')}")
    assert "must both match" in err
    _, err = await apollo(f"create {application}/odd {made.replace('TUE', 'TUX')}", 2)
    assert "error[InvalidSchedule] cron: day of the week: expected 0 to 7" in err

    _, err = await apollo(f"pause {application}/weekly --reason holidays")
    assert "paused by ada: holidays" in err
    out, _ = await apollo(f"trigger weekly --application {application} --json")
    started = json.loads(out)["workflow_id"]
    out, _ = await apollo(f"list --application {application} --json")
    found = {each["name"]: each for each in json.loads(out)["schedules"]}
    weekly = found["weekly"]
    assert set(found) == {"first", "weekly"}
    assert (weekly["from"], weekly["to"], weekly["cron"]) == ("staging", "prod", WEEKLY)
    assert (weekly["paused"], weekly["note"]) == (True, "paused by ada: holidays")
    assert (weekly["by"], weekly["reason"], weekly["every"]) == ("ada", "each week", None)
    assert [each["workflow_id"] for each in weekly["runs"]] == [started]
    for at in weekly["next"]:
        assert datetime.fromisoformat(at["local"]) == datetime.fromisoformat(at["utc"])
        assert at["utc"].endswith("+00:00")
    out, _ = await apollo(f"list --application {application}")
    assert "  paused  paused by ada: holidays\n" in out
    assert out.count("held ") == out.count("next ") == 3
    out, _ = await apollo(f"resume {application}/weekly")
    assert "paused" not in out
    _, err = await apollo(f"delete {application}/weekly --yes --reason done")
    assert "deleted" in err
    out, _ = await apollo(f"delete {application}/first --json")
    assert json.loads(out)["name"] == "first"
    out, err = await apollo(f"list --application {application}")
    assert (out, "has no schedule yet" in err) == ("", True)
    assert [entry[0] for entry in await desk.audit()][-3:] == [
        "schedule resume",
        "schedule delete",
        "schedule delete",
    ]
