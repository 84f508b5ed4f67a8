"""What people say to a deployment: updates that refuse with a reason, or are recorded."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from temporalio.client import WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

from apollo.errors import Refused
from tests.support.stage import Running, Stage, failures

Say = Callable[[Running], Awaitable[str]]


async def refused(say: Awaitable[Any]) -> str:
    with pytest.raises(Refused) as caught:
        await say
    return caught.value.message.partition(" is refused: ")[2]


async def accepted(running: Running) -> int:
    """How many updates its history has; of one that is refused, it has nothing."""
    kinds = [each.WhichOneof("attributes") for each in await running.events()]
    return kinds.count("workflow_execution_update_accepted_event_attributes")


async def test_accepted_words_are_in_the_audit_with_who_when_and_why(stage: Stage) -> None:
    play = await stage.play(hosts=8, max_unavailable=1)
    play.script.hold()
    running = await play.start()
    await play.under_way(2)
    before = datetime.now(UTC) - timedelta(seconds=5)

    assert await running.said.pause("latency is up") == "pause: paused"
    stored = await running.until("paused")
    assert stored.detail == "paused: latency is up (ada)"
    assert await running.said.pace("50%", "faster") == "pace: paused"
    assert await running.said.resume("false alarm") == "resume: running"
    assert await running.said.rollback("it was none") == "rollback: running"
    play.script.let_go()
    assert (await running.result()).state == "rolled_back"

    audit = await running.audit()
    assert [(entry.action, entry.reason) for entry in audit] == [
        ("pause", "latency is up"),
        ("pace", "faster"),
        ("resume", "false alarm"),
        ("rollback", "it was none"),
    ]
    assert {entry.identity for entry in audit} == {"ada"}
    assert audit[1].detail == {"detail": "50%"}
    assert all(before < entry.at < datetime.now(UTC) for entry in audit)


async def test_what_makes_no_sense_is_refused_and_leaves_no_trace(stage: Stage) -> None:
    play = await stage.play()
    play.script.hold()
    running = await play.start()
    await play.under_way(2)
    await running.until("running")

    assert await refused(running.said.resume()) == "it is not paused: it is running"
    assert await refused(running.said.approve()) == "nothing waits for approval: it is running"
    assert "expected a count such as 3 or a percentage" in await refused(running.said.pace("fast"))
    assert "use pause" in await refused(running.said.pace("0%"))
    assert "use pause" in await refused(running.said.pace("0"))
    assert "try" in await refused(running.said.pace(""))
    assert await accepted(running) == 0
    assert await running.audit() == []

    await running.said.abort()
    assert await accepted(running) == 1, "the control"
    assert "already ending: abort" in await refused(running.said.resume())
    assert "already ending: abort" in await refused(running.said.rollback())
    play.script.let_go()
    assert (await running.result()).state == "aborted"
    assert "ended" in await refused(running.said.pause())
    assert [entry.action for entry in await running.audit()] == ["abort"]


async def test_what_a_paused_deployment_refuses(stage: Stage) -> None:
    play = await stage.play()
    play.script.hold()
    running = await play.start()
    await play.under_way(2)
    await running.said.pause()
    assert "already" in await refused(running.said.pause("again"))
    await running.said.abort("enough")
    await running.batch_heard("stop")
    play.script.let_go()
    result = await running.result()
    assert (result.state, result.detail) == ("aborted", "abort: enough (ada)")
    assert result.outcomes == {"updated": 2, "not_started": 2}


async def test_a_rollback_cannot_be_rolled_back_but_paused_and_resumed(stage: Stage) -> None:
    play = await stage.play(hosts=4, max_failures=0)
    await play.deploy("1.0")
    play.script.fail("h3")
    play.script.hold("rollback")
    running = await play.start("1.1")
    await running.until("rolling_back")
    await play.under_way(2)
    assert await refused(running.said.rollback()) == "it is rolling back already"

    await running.said.pause("wait")
    await running.until("paused")
    play.script.let_go()
    await play.under_way(0)
    await asyncio.sleep(0.3)
    assert len(play.script.begun("rollback")) == 2
    await running.said.resume()
    result = await running.result()
    assert result.state == "rolled_back"
    assert sum(result.outcomes.values()) == 4


@pytest.mark.parametrize(
    "word", [None, "nonsense", 7, [1, 2], {"by": 7}, {"reason": ["x"]}, True, [], {"by": "\x00"}]
)
async def test_updates_with_no_input_or_the_wrong_one(stage: Stage, word: object) -> None:
    """None at all and unknown fields are fine; the wrong shape is refused; neither does harm."""
    play = await stage.play()
    play.script.hold()
    running = await play.start()
    await play.under_way(2)
    arguments = [] if word is None else [word]
    with contextlib.suppress(WorkflowUpdateFailedError):
        await running.handle.execute_update("pause", args=arguments)
        await running.said.resume()
    play.script.let_go()
    assert (await running.result()).state == "succeeded"
    assert failures(await running.events()) == []


async def test_the_wrong_shape_is_refused_in_a_sentence_and_a_pace_may_be_a_number(
    stage: Stage,
) -> None:
    play = await stage.play(hosts=8, max_unavailable=1)
    play.script.hold()
    running = await play.start()
    await play.under_way(2)
    for name, word, found in (
        ("pause", "latency", 'the input: expected a JSON object, found "latency"'),
        ("pause", {"by": 7}, "by: expected text, found 7"),
        ("pace", {"max_unavailable": ["20%"]}, 'max_unavailable: expected text, found ["20%"]'),
    ):
        with pytest.raises(WorkflowUpdateFailedError) as caught:
            await running.handle.execute_update(name, word)
        refusal = caught.value.cause
        assert isinstance(refusal, ApplicationError)
        assert refusal.message.startswith(f"{found}; an example: {{")
        assert refusal.type == "Refused"
        assert refusal.failure
        assert not refusal.failure.stack_trace
    assert await running.handle.execute_update("pace", {"max_unavailable": 2}) == "pace: running"
    await play.under_way(4)
    play.script.let_go()
    await running.result()


async def test_two_inputs_unknown_fields_and_unknown_updates(stage: Stage) -> None:
    play = await stage.play()
    play.script.hold()
    running = await play.start()
    await play.under_way(2)
    with pytest.raises(WorkflowUpdateFailedError):
        await running.handle.execute_update("pause", args=[{}, {}])
    with pytest.raises(WorkflowUpdateFailedError):
        await running.handle.execute_update("explode", {})
    with pytest.raises(WorkflowUpdateFailedError):
        await running.handle.execute_update("pace", {"speed": "20%"})
    word = {"by": "eve", "why": "unknown field", "reason": "r" * 5000}
    assert await running.handle.execute_update("pause", word) == "pause: paused"
    stored = await running.until("paused")
    assert len(stored.detail) < 1000
    play.script.let_go()
    await running.said.resume()
    assert (await running.result()).state == "succeeded"
    assert failures(await running.events()) == []
    assert [entry.identity for entry in await running.audit()] == ["eve", "ada"]


async def test_a_word_with_an_id_of_its_own_is_recorded_once_for_each_action(stage: Stage) -> None:
    play = await stage.play()
    play.script.hold()
    running = await play.start()
    await play.under_way(2)
    for action in ("pause", "resume"):
        await running.handle.execute_update(action, {"by": "eve", "id": "ticket-7"})
    play.script.let_go()
    await running.result()
    assert [entry.action for entry in await running.audit()] == ["pause", "resume"]
