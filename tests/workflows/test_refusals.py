"""Every word is refused where it makes no sense, however it is said, and changes nothing.

What is refused when, and with which text, is what `docs/controls.md` promises.
"""

import re
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from apollo.catalog.records import AuditEntry
from apollo.domain.controls import Controls
from apollo.domain.deployment import PaceControl
from apollo.domain.passage import Passage
from apollo.domain.pipeline import Stage as PipelineStage
from apollo.domain.promotion import PromotionState
from apollo.domain.status import DeploymentState
from apollo.domain.windows import DAYS, parse_window
from apollo.errors import Refused
from tests.support.hurry import hurried_windows
from tests.support.promotions import Promoted, pipeline, promote
from tests.support.stage import Running, Stage, failures, until
from tests.support.typing_desk import Desk

PAGE = (Path(__file__).parents[2] / "docs" / "controls.md").read_text(encoding="utf-8")
WORDS = ("pause", "resume", "abort", "rollback", "approve", "pace", "skip", "retry")
SIGNALS = ("pause", "resume", "abort", "rollback", "approve")
OF_HOSTS = ("skip", "retry")
OF_PROMOTIONS = ("approve", "reject", "hold", "resume")
INPUTS: Mapping[str, Mapping[str, str]] = {
    "pace": {"max_unavailable": "50%"},
    "skip": {"hosts": "h1"},
    "retry": {"hosts": "h1"},
}
ARGUMENTS: Mapping[str, tuple[str, ...]] = {"pace": ("50%",), "skip": ("h1",), "retry": ("h1",)}
CHANGES = (
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED,
    EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED,
)


class Said(Protocol):
    """A deployment or a promotion under way."""

    @property
    def id(self) -> str: ...
    async def audit(self) -> list[AuditEntry]: ...
    async def events(self) -> list[HistoryEvent]: ...


def promised(heading: str) -> dict[str, dict[str, str]]:
    """State → word → text, from the page's table of that heading."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    table = PAGE.partition(f"| {heading} | refuses | and says |\n")[2].partition("\n\n")[0]
    for line in table.splitlines()[1:]:
        state, word, text = (cell.strip() for cell in line.strip("|").split("|"))
        found[state][word.strip("`")] = text
    assert found
    return found


DEPLOYMENTS = promised("a deployment that")
PROMOTIONS = promised("a promotion that")


def fits(text: str, promise: str) -> bool:
    """`opens …; it goes on`; another `…` is the text's own."""
    parts = promise.replace("deploy … --", "deploy \0 --").split("…")
    return bool(
        re.fullmatch(".+".join(map(re.escape, parts)), text.replace("deploy … ", "deploy \0 "))
    )


# What is said, in the domain alone: the table is complete.


def controls(state: str) -> Controls:
    """As the workflow has set them in that state."""
    found = Controls()
    opens = "opens 2026-11-25 09:00 Europe/Amsterdam"
    found.base = {
        "waits for the lease": DeploymentState.WAITING,
        "waits for approval": DeploymentState.AWAITING,
        "waits for its windows": DeploymentState.AWAITING,
        "bakes": DeploymentState.BAKING,
        "rolls back": DeploymentState.ROLLING_BACK,
    }.get(state, DeploymentState.RUNNING)
    found.gate = "wave 2" if state == "waits for approval" else ""
    found.closed = opens if "windows" in state else ""
    found.over = state == "has had its last turn"
    if state == "is paused":
        found.pause("lunch")
    if state == "is being aborted":
        found.end("abort", "")
    return found


@pytest.mark.parametrize("state", DEPLOYMENTS)
@pytest.mark.parametrize("word", WORDS)
def test_what_a_deployment_refuses_is_in_the_table_and_nothing_else(state: str, word: str) -> None:
    refusal, promise = controls(state).refusal(word), DEPLOYMENTS[state].get(word)
    assert (refusal is None) == (promise is None), refusal
    assert refusal is None or promise is None or fits(refusal, promise), refusal


def passage(state: str) -> Passage:
    """As the workflow has set it in that state."""
    found = Passage()
    found.open([PipelineStage(environment="dev")])
    base = {
        "waits for approval": PromotionState.AWAITING,
        "bakes": PromotionState.BAKING,
        "is deployed to a stage": PromotionState.DEPLOYING,
    }.get(state, PromotionState.WAITING)
    found.go(base, "", datetime(2026, 11, 24, tzinfo=UTC))
    if state == "is held":
        found.hold("lunch")
    return found


@pytest.mark.parametrize("state", PROMOTIONS)
@pytest.mark.parametrize("word", OF_PROMOTIONS)
def test_what_a_promotion_refuses_is_in_the_table_and_nothing_else(state: str, word: str) -> None:
    assert passage(state).refusal(word) == PROMOTIONS[state].get(word)
    assert passage(state).refusal(word, "prod") == "it is at dev, not at prod"


# The same, said to real ones.


@pytest.fixture
def desk(
    stage: Stage,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Desk:
    return Desk.of(stage, tmp_path, monkeypatch, capfd, application="nobody-deploys-this")


def closed() -> str:
    """A window of the day after tomorrow."""
    return f"{DAYS[(datetime.now(UTC).weekday() + 2) % 7]} 00:00-24:00 UTC"


async def says(said: Running | Promoted, detail: str) -> bool:
    """Whether the catalog shows it."""
    return (await said.stored()).detail.startswith(detail)


async def waits_for_the_lease(stage: Stage) -> Running:
    play = await stage.play()
    play.script.hold()
    await play.start("1.0")
    await play.under_way(2)
    running = await play.start("1.1", if_busy="wait")
    await running.until("waiting")
    return running


async def waits_for_approval(stage: Stage) -> Running:
    running = await (await stage.play(approval=True)).start()
    await running.until("awaiting")
    return running


async def waits_for_its_windows(stage: Stage) -> Running:
    running = await (await stage.play(windows=[closed()])).start()
    await running.until("awaiting")
    return running


async def runs(stage: Stage, **options: Any) -> Running:
    play = await stage.play(**options)
    play.script.hold()
    running = await play.start()
    await play.under_way(2)
    await running.until("running")
    return running


async def is_held_by_its_windows(stage: Stage) -> Running:
    running = await runs(stage, windows=["DAILY 12:00-12:03 UTC"])
    await running.until("paused")
    return running


async def bakes(stage: Stage) -> Running:
    play = await stage.play(waves=[{"share": "100%", "bake": "1h"}])
    running = await play.start()
    await running.until("baking")
    return running


async def is_paused(stage: Stage) -> Running:
    running = await runs(stage)
    await running.said.pause("lunch")
    await running.until("paused")
    return running


async def has_had_its_last_turn(stage: Stage) -> Running:
    play = await stage.play(hosts=2)
    play.setup = {"once": {"after": "bin/announce"}}
    play.script.hold("h1/2", "h2/2")
    running = await play.start()
    await until(lambda: len(play.script.onces) == 1, "it runs once")
    return running


async def is_being_aborted(stage: Stage) -> Running:
    running = await runs(stage)
    await running.said.abort("enough")
    await until(lambda: says(running, "abort: enough (ada)"), "it is told")
    return running


async def rolls_back(stage: Stage) -> Running:
    play = await stage.play()
    await play.deploy("1.0")
    play.script.hold("rollback")
    play.script.fail("h4")
    running = await play.start("1.1")
    await running.until("rolling_back")
    await play.under_way(2)
    return running


Begin = Callable[[Stage], Awaitable[Running]]
SCENES: Mapping[str, Begin] = {
    begin.__name__.replace("_", " "): begin
    for begin in (
        waits_for_the_lease,
        waits_for_approval,
        waits_for_its_windows,
        runs,
        is_held_by_its_windows,
        bakes,
        is_paused,
        has_had_its_last_turn,
        is_being_aborted,
        rolls_back,
    )
}


async def changes(said: Said) -> int:
    """What updates that are accepted leave in a history, and failures."""
    return sum(event.event_type in CHANGES for event in await said.events())


async def answer(stage: Stage, said: Said, word: str) -> str:
    """What an update with nothing but Temporal is answered."""
    handle = stage.client.get_workflow_handle(said.id)
    with pytest.raises(WorkflowUpdateFailedError) as caught:
        await handle.execute_update(word, {"by": "eve", **INPUTS.get(word, {})})
    assert isinstance(caught.value.cause, ApplicationError)
    assert caught.value.cause.type == "Refused"
    return caught.value.cause.message


async def refused(say: Awaitable[Any]) -> str:
    with pytest.raises(Refused) as caught:
        await say
    return caught.value.message.partition(" is refused: ")[2]


async def heard(stage: Stage, said: Said, word: str) -> str:
    """What the audit tells of a signal that was refused."""
    handle = stage.client.get_workflow_handle(said.id)
    await handle.signal(word, {"by": "eve", "reason": "by mistake"})
    entries: list[AuditEntry] = []

    async def told() -> bool:
        entries[:] = [e for e in await said.audit() if e.action == f"{word} refused"]
        return bool(entries)

    await until(told, f"the audit tells of {word}")
    (entry,) = entries
    assert (entry.identity, entry.reason) == ("eve", "by mistake")
    return str(entry.detail["detail"])


def test_there_is_a_scene_for_every_state() -> None:
    assert [*SCENES] == [*DEPLOYMENTS]


@pytest.mark.parametrize("state", SCENES)
async def test_a_deployment_refuses_however_it_is_told(
    stage: Stage, desk: Desk, state: str
) -> None:
    hurried = hurried_windows() if state == "is held by its windows" else nullcontext()
    with hurried:
        running = await SCENES[state](stage)
        stored, before = await running.stored(), await changes(running)
        said, turns = await running.audit(), len(running.play.script.turns)
        promises = DEPLOYMENTS[state]
        for word, promise in promises.items():
            assert fits(await answer(stage, running, word), promise)
            argument = ARGUMENTS.get(word, ())
            told = await refused(getattr(running.said, word)(*argument))
            assert fits(told, promise)
            typed = await desk.type("apollo", word, stored.label, *argument)
            assert (typed.code, typed.out) == (5, "")
            assert f"{word} is refused: {told}" in typed.err
        assert await running.audit() == said, "what is refused leaves no trace"
        signals = [word for word in promises if word in SIGNALS]
        for word in signals:
            assert fits(await heard(stage, running, word), promises[word])
        after = await running.stored()
        assert (after.state, after.detail) == (stored.state, stored.detail)
        assert await changes(running) == before
        assert len(running.play.script.turns) == turns
        shown = await desk.type("apollo", "show", stored.label)
        assert [word for word in signals if f"eve (declared) said {word} refused" in shown.out] == (
            signals
        )
        await ended(running)
    assert failures(await running.events()) == []


async def ended(running: Running) -> None:
    """What it was told had no effect: it is as it was, and ends as it is told now."""
    running.play.script.let_go()
    if (await running.stored()).state in ("waiting", "running", "rolling_back"):
        assert (await running.result()).state in ("succeeded", "aborted", "rolled_back")
        return
    await running.said.abort("the end of the test")
    assert (await running.result()).state == "aborted"


async def test_one_that_has_ended_refuses_everything(stage: Stage, desk: Desk) -> None:
    play = await stage.play()
    running = await play.start("1.0")
    assert (await running.result()).state == "succeeded"
    label = (await running.stored()).label
    for word in WORDS:
        argument = ARGUMENTS.get(word, ())
        told = await refused(getattr(running.said, word)(*argument))
        assert told.partition(": ")[0] == "the deployment has ended"
        typed = await desk.type("apollo", word, label, *argument)
        assert typed.code == 5
        ends = "does not run, and only the last one is taken back"
        expected = ends if word == "rollback" else f"{word} is refused: {label} has ended"
        assert expected in typed.err
    for word in SIGNALS:
        with pytest.raises(RPCError) as caught:
            await running.handle.signal(word)
        assert caught.value.status is RPCStatusCode.NOT_FOUND
    assert await running.audit() == []


@pytest.mark.parametrize("pace", ["", "fast", "0", "0%", "101%"])
async def test_a_pace_that_is_none_is_told_what_one_is(stage: Stage, pace: str) -> None:
    running = await runs(stage)
    told = await refused(running.said.pace(pace))
    assert told.startswith("max_unavailable: ")
    assert await running.audit() == []
    assert PaceControl().max_unavailable == ""
    await ended(running)


# Promotions.


async def promotion_waits(stage: Stage) -> Promoted:
    windows = {"windows": (parse_window(closed()),)}
    promoted = await promote(await pipeline(stage, ["dev"], {"dev": windows}))
    await promoted.until("waiting", "dev")
    await until(lambda: says(promoted, "outside the windows of dev"), "it says why")
    return promoted


async def promotion_awaits(stage: Stage) -> Promoted:
    promoted = await promote(await pipeline(stage, ["dev"], {"dev": {"approval": True}}))
    await promoted.until("awaiting", "dev")
    return promoted


async def promotion_bakes(stage: Stage) -> Promoted:
    baked = PipelineStage(environment="dev", bake=timedelta(hours=1))
    promoted = await promote(await pipeline(stage, [baked]))
    await promoted.until("baking", "dev")
    return promoted


async def promotion_deploys(stage: Stage) -> Promoted:
    play = await pipeline(stage, ["dev"])
    play.script.hold()
    promoted = await promote(play)
    await play.under_way(1)
    await promoted.until("deploying", "dev")
    return promoted


async def promotion_is_held(stage: Stage) -> Promoted:
    promoted = await promotion_waits(stage)
    await promoted.said.hold("lunch")
    await promoted.until("held", "dev")
    return promoted


OF_STATE: Mapping[str, Callable[[Stage], Awaitable[Promoted]]] = {
    "waits for a window": promotion_waits,
    "waits for approval": promotion_awaits,
    "bakes": promotion_bakes,
    "is deployed to a stage": promotion_deploys,
    "is held": promotion_is_held,
}


def test_there_is_a_promotion_for_every_state() -> None:
    assert [*OF_STATE] == [*PROMOTIONS]


@pytest.mark.parametrize("state", OF_STATE)
async def test_a_promotion_refuses_however_it_is_told(stage: Stage, desk: Desk, state: str) -> None:
    promoted = await OF_STATE[state](stage)
    stored, before = await promoted.stored(), await changes(promoted)
    said, application = await promoted.audit(), promoted.play.application
    promises = PROMOTIONS[state]
    for word, promise in promises.items():
        assert await answer(stage, promoted, word) == promise
        assert await refused(getattr(promoted.said, word)()) == promise
        elsewhere = await refused(getattr(promoted.said, word)(environment="prod"))
        assert elsewhere == "it is at dev, not at prod"
        typed = await desk.type("apollo", word, f"{application}/dev")
        assert typed.code == 5
        deploys = state == "is deployed to a stage" and word in ("approve", "resume")
        says = f"{word} is refused: " if deploys else f"{word} is refused: {promise}"
        assert says in typed.err, "to the deployment, where one runs"
    assert await promoted.audit() == said
    for word in promises:
        assert await heard(stage, promoted, word) == promises[word]
    after = await promoted.stored()
    assert (after.state, after.detail, after.stages) == (stored.state, stored.detail, stored.stages)
    assert await changes(promoted) == before
    promoted.play.script.let_go()
    if state != "is deployed to a stage":
        await promoted.said.reject("the end of the test")
    expected = "succeeded" if state == "is deployed to a stage" else "rejected"
    assert (await promoted.result()).state == expected
    for word in OF_PROMOTIONS:
        told = await refused(getattr(promoted.said, word)())
        assert told.partition(": ")[0] == "the promotion has ended"
    assert failures(await promoted.events()) == []
