"""Windows hold turns, and nothing else; an override opens them."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
import pytest_asyncio
from temporalio.api.enums.v1 import EventType

from apollo.activities import deployments
from apollo.domain.deployment import DeploymentRequest
from apollo.domain.status import Outcome
from apollo.domain.windows import DAYS
from apollo.errors import NotFound, Refused
from apollo.names import CONTROL_QUEUE, deployment_id
from apollo.workflows.deployment import Deployment
from tests.support.hurry import hurried_windows
from tests.support.stage import Play, Running, Stage, open_stage, until

HOUR = timedelta(hours=1)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def skipping(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """A stage on which hours pass at once."""
    async with open_stage(tmp_path_factory.mktemp("skipping"), skipping=True) as stage:
        yield stage


def full_hour(hours: int) -> datetime:
    """The full hour after so many hours."""
    return datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + (hours + 1) * HOUR


def closed_now() -> str:
    """A window of tomorrow's day of the week, and of no other."""
    return f"{DAYS[(datetime.now(UTC).weekday() + 2) % 7]} 00:00-24:00 UTC"


async def has_shown(running: Running, state: str) -> bool:
    """Whether its search attributes ever had this state."""
    shown = [e.upsert_workflow_search_attributes_event_attributes for e in await running.events()]
    return any(f'"{state}"'.encode() in each.SerializeToString() for each in shown)


async def looks(running: Running) -> int:
    """How often the windows were looked at."""
    scheduled = [e.activity_task_scheduled_event_attributes for e in await running.events()]
    return sum(each.activity_type.name == "look_at_windows" for each in scheduled)


@pytest.fixture
def hurried() -> Iterator[None]:
    """From the first look on, at noon, a minute on the windows' clocks takes a second."""
    with hurried_windows():
        yield


async def test_a_deployment_awaits_its_window_before_it_asks_for_the_lease(
    skipping: Stage,
) -> None:
    opens = full_hour(5)
    window = f"{DAYS[opens.weekday()]} {opens:%H:%M}-{opens + 2 * HOUR:%H:%M} UTC"
    play = await skipping.play(windows=[window])
    running = await play.start()
    stored = await running.until("awaiting")
    assert stored.detail == f"outside its windows; opens {opens:%Y-%m-%d %H:%M} UTC"
    assert await skipping.catalog.leases.holder(play.application, "prod") is None

    await running.skip(4 * HOUR)
    assert (await running.stored()).state == "awaiting"
    assert play.script.turns == []
    await running.skip_to(opens + timedelta(seconds=1))
    result = await running.result()
    assert (result.state, result.outcomes) == ("succeeded", {"updated": 4})
    assert await looks(running) == 2
    await nothing_is_wrong(running)


async def test_a_freeze_holds_a_deployment_until_it_is_over(skipping: Stage) -> None:
    ends = full_hour(3)
    calendar = a_freeze("Black Friday", ends - timedelta(days=1), ends)
    play = await skipping.play(freezes={"freezes/sales.ics": calendar})
    running = await play.start()
    stored = await running.until("awaiting")
    opens = f"opens {ends:%Y-%m-%d %H:%M} UTC (frozen: Black Friday)"
    assert stored.detail == f"outside its windows; {opens}"

    await running.skip(2 * HOUR)
    assert play.script.turns == []
    await running.skip_to(ends + timedelta(seconds=1))
    result = await running.result()
    assert (result.state, result.outcomes) == ("succeeded", {"updated": 4})
    await nothing_is_wrong(running)


@pytest.mark.parametrize("override", ["", "the site is down"])
async def test_an_override_does_not_keep_to_a_freeze(stage: Stage, override: str) -> None:
    now = datetime.now(UTC)
    calendar = a_freeze("all", now - timedelta(days=1), now + timedelta(days=1))
    play = await stage.play(freezes={"all.ics": calendar})
    running = await play.start(override=override)
    if not override:
        await running.until("awaiting")
        await running.said.abort()
    assert (await running.result()).state == ("succeeded" if override else "aborted")


def a_freeze(name: str, begin: datetime, end: datetime) -> str:
    """A calendar with one event."""
    form = "%Y%m%dT%H%M%SZ"
    event = f"UID:1\nSUMMARY:{name}\nDTSTART:{begin:{form}}\nDTEND:{end:{form}}"
    return f"BEGIN:VCALENDAR\nBEGIN:VEVENT\n{event}\nEND:VEVENT\nEND:VCALENDAR\n"


async def test_without_windows_nothing_is_held_and_nobody_looks(stage: Stage) -> None:
    """The control."""
    play = await stage.play()
    running = await play.start()
    assert (await running.result()).state == "succeeded"
    assert await looks(running) == 0


async def test_an_open_window_holds_nothing(stage: Stage) -> None:
    play = await stage.play(windows=["DAILY 00:00-24:00 Asia/Tokyo", closed_now()])
    running = await play.start()
    assert (await running.result()).state == "succeeded"
    assert await looks(running) == 1
    assert not await has_shown(running, "awaiting")
    assert await has_shown(running, "succeeded"), "the control"


async def test_windows_that_cannot_be_looked_at_hold_and_say_so(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: object) -> None:
        raise NotFound("no zone Mars/Olympus")

    monkeypatch.setattr(deployments, "standing", unknown)
    play = await stage.play(windows=["DAILY 00:00-24:00 UTC"])
    running = await play.start()
    stored = await running.until("awaiting")
    told = "outside its windows; when they open is not known: NotFound: no zone Mars/Olympus"
    assert stored.detail == told
    assert play.script.turns == []
    await running.said.abort()
    assert (await running.result()).state == "aborted"


async def test_approval_comes_before_the_windows(stage: Stage) -> None:
    play = await stage.play(approval=True, windows=[closed_now()])
    running = await play.start()
    assert (await running.until("awaiting")).detail == "the deployment waits for approval"
    assert await looks(running) == 0
    await running.said.approve()
    await outside(running)
    assert play.script.turns == []
    await running.said.abort()
    assert (await running.result()).outcomes == {"not_started": 4}


@pytest.mark.usefixtures("hurried")
async def test_a_window_that_closes_lets_the_turn_in_flight_end_and_no_other_begin(
    stage: Stage,
) -> None:
    play = await stage.play(hosts=6, locations=1, windows=["DAILY 12:00-12:03 UTC"])
    play.script.hold()
    running = await play.start()
    await play.under_way(1)
    stored = await running.until("paused")
    assert stored.detail == "its windows have closed; opens 2026-11-25 12:00 UTC"

    play.script.let_go()
    await until(lambda: _recorded(running), "its end is recorded")
    await asyncio.sleep(1)
    assert play.script.begun() == ["h1"]
    assert [entry.action for entry in await running.audit()] == []
    await running.said.abort("not today")
    result = await running.result()
    assert (result.state, result.outcomes) == ("aborted", {"updated": 1, "not_started": 5})
    await nothing_is_wrong(running)


@pytest.mark.usefixtures("hurried")
async def test_when_it_opens_again_the_next_turn_begins_by_itself(stage: Stage) -> None:
    """Turns go on all the time, but for the seconds between the two windows."""
    windows = ["DAILY 12:00-12:03 UTC", "TUE 12:05-14:00 UTC"]
    play = await stage.play(hosts=60, locations=1, windows=windows)
    play.script.seconds = 0.1
    running = await play.start()
    await running.until("paused")
    await running.until("running")
    await running.said.pace("100%")
    result = await running.result()
    assert (result.state, result.outcomes) == ("succeeded", {"updated": 60})
    begins = [turn.began for turn in play.script.turns]
    gaps = sorted(after - before for before, after in pairwise(begins))
    assert gaps[-1] > 1.5, "two seconds, and what it takes to tell"
    assert gaps[-2] < 1.5, "the control: it is the only one"
    assert await looks(running) == 3
    await nothing_is_wrong(running)


@pytest.mark.usefixtures("hurried")
async def test_the_windows_hold_and_a_persons_pause_are_two(stage: Stage) -> None:
    play = await stage.play(hosts=3, windows=["DAILY 12:00-12:03 UTC", "TUE 12:07-14:00 UTC"])
    play.script.hold()
    running = await play.start()
    await running.until("paused")
    with pytest.raises(Refused, match=r"nobody has paused it: its windows have closed; opens .*"):
        await running.said.resume()
    with pytest.raises(Refused, match=r"--override REASON"):
        await running.said.approve()

    await running.said.pause("lunch")
    stored = await running.stored()
    await until(lambda: _says(running, "paused: lunch (ada); its windows"), "both are told")
    assert stored.state == "paused"
    assert "its windows have closed; opens" in await running.said.resume()
    await running.said.pause("lunch again")
    play.script.let_go()
    await until(lambda: _says(running, "paused: lunch again (ada)", whole=True), "they open")
    begun = len(play.script.turns)
    assert begun == 2
    assert await running.said.resume() == "resume: running"
    assert (await running.result()).state == "succeeded"


async def test_a_bake_goes_on_while_it_is_closed_and_the_wave_after_it_waits(
    skipping: Stage,
) -> None:
    play = await skipping.play(
        hosts=4, windows=[open_for(1)], waves=[{"share": 1, "bake": "5h"}, "100%"]
    )
    running = await play.start()
    await running.until("baking")
    await running.skip(3 * HOUR)
    await until(lambda: _says(running, "outside its windows; opens"), "the window has closed")
    assert (await running.stored()).state == "baking"
    await running.skip(2 * HOUR + timedelta(minutes=1))
    stored = await running.until("paused")
    assert stored.detail.startswith("its windows have closed; opens")
    assert len(play.script.turns) == 1

    await running.skip(7 * 24 * HOUR)
    result = await running.result()
    assert (result.state, result.outcomes) == ("succeeded", {"updated": 4})
    await nothing_is_wrong(running)


@pytest.mark.usefixtures("hurried")
async def test_a_rollback_is_not_held(stage: Stage) -> None:
    """A turn in flight fails while the window is closed, until tomorrow."""
    play = await stage.play(hosts=6, max_unavailable=1, windows=["DAILY 12:00-12:03 UTC"])
    play.script.fail("h2", end=Outcome.REVERTED)
    play.script.hold()
    running = await play.start()
    assert sorted(await play.under_way(2)) == ["h1", "h2"]
    await running.until("paused")
    play.script.let_go()
    result = await running.result()
    assert result.state == "rolled_back"
    assert result.outcomes == {"rolled_back": 1, "reverted": 1, "not_started": 4}
    assert "h1" in play.script.begun("rollback")
    await nothing_is_wrong(running)


@pytest.mark.usefixtures("hurried")
async def test_a_person_may_roll_back_what_its_windows_hold(stage: Stage) -> None:
    play = await stage.play(hosts=3, windows=["DAILY 12:00-12:03 UTC"])
    play.script.hold("h1", "h2")
    running = await play.start()
    await running.until("paused")
    await running.said.rollback("latency")
    play.script.let_go()
    result = await running.result()
    assert (result.state, result.outcomes) == (
        "rolled_back",
        {"rolled_back": 2, "not_started": 1},
    )


async def test_an_override_opens_windows_and_approvals_and_is_audited(stage: Stage) -> None:
    waves = [{"share": 1}, {"share": "100%", "approval": True}]
    play = await stage.play(approval=True, windows=[closed_now()], waves=waves)
    held = await play.start()
    await held.until("awaiting")

    running = await play.start("1.1", override="the site is down")
    assert (await running.result()).state == "succeeded"
    assert await looks(running) == 0
    words = [(entry.action, entry.identity, entry.reason) for entry in await running.audit()]
    assert words == [("override", "ada", "the site is down")]
    assert (await running.stored()).request["override"] == "the site is down"
    details = await details_of(running)
    assert "Keeps to no window and waits for no approval: the site is down" in details

    assert len(play.script.turns) == 4
    await held.said.abort()
    await held.result()


async def test_what_was_approved_before_passes_the_first_gate_only(stage: Stage) -> None:
    waves = [{"share": 1}, {"share": "100%", "approval": True}]
    play = await stage.play(approval=True, waves=waves)
    running = await start_approved(play, "grace")
    stored = await running.until("awaiting")
    assert stored.detail == "wave 2 waits for approval"
    words = [(entry.action, entry.identity) for entry in await running.audit()]
    assert words == [("approve", "grace")]
    await running.said.approve()
    assert (await running.result()).state == "succeeded"


async def test_what_was_approved_before_still_keeps_to_the_windows(stage: Stage) -> None:
    play = await stage.play(approval=True, windows=[closed_now()])
    running = await start_approved(play, "grace")
    await outside(running)
    assert play.script.turns == []
    await running.said.abort()
    assert (await running.result()).state == "aborted"


def open_for(hours: int) -> str:
    """A window that is open now and for so many hours to come (and up to one more), weekly."""
    now, end = datetime.now(UTC), full_hour(hours)
    return f"{DAYS[now.weekday()]} {now:%H}:00-{end:%H}:00 UTC"


async def start_approved(play: Play, by: str) -> Running:
    await play.release("1.0")
    request = DeploymentRequest(
        application=play.application, environment="prod", release="1.0", approved=by
    )
    handle = await play.stage.client.start_workflow(
        Deployment.run,
        request,
        id=deployment_id(play.application, "prod", "approved"),
        task_queue=CONTROL_QUEUE,
    )
    return play.running(handle.id)


async def outside(running: Running) -> None:
    await until(lambda: _says(running, "outside its windows; opens"), "its windows hold it")
    assert (await running.stored()).state == "awaiting"


async def _says(running: Running, text: str, *, whole: bool = False) -> bool:
    found = await running.play.stage.catalog.deployments.by_workflow(running.id)
    detail = found.detail if found else ""
    return detail == text if whole else detail.startswith(text)


async def _recorded(running: Running) -> bool:
    status = await running.said.status()
    return status is not None and status.outcomes == {"updated": 1, "pending": 5}


async def details_of(running: Running) -> str:
    return await running.play.stage.temporal("workflow", "metadata", "-w", running.id)


async def nothing_is_wrong(running: Running) -> None:
    """No task of the workflow failed."""
    kinds = {event.event_type for event in await running.events()}
    assert EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED not in kinds
