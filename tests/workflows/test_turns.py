"""Turns in flight end, whoever pauses, aborts, cancels or terminates what carries them."""

import asyncio

from temporalio.client import WorkflowExecutionStatus

from tests.support.stage import Running, Stage, failures, until


async def test_while_paused_no_turn_begins_and_turns_in_flight_end(stage: Stage) -> None:
    play = await stage.play(hosts=8)
    play.script.hold()
    running = await play.start()
    begun = await play.under_way(2)
    await running.said.pause()
    await running.batch_heard("paused")
    play.script.let_go()
    await play.under_way(0)
    await asyncio.sleep(0.5)
    assert play.script.begun() == begun
    assert (await running.stored()).state == "paused"
    await running.said.resume()
    result = await running.result()
    assert result.outcomes == {"updated": 8}
    assert len(play.script.begun()) == 8


async def test_cancelling_the_workflow_is_abort_and_cancels_no_turn(stage: Stage) -> None:
    play = await stage.play(hosts=8)
    play.script.hold()
    running = await play.start()
    await play.under_way(2)
    await stage.temporal("workflow", "cancel", "-w", running.id)
    await running.batch_heard("stop")
    await asyncio.sleep(0.5)
    assert len(play.script.running()) == 2
    play.script.let_go()
    result = await running.result()
    assert (result.state, result.outcomes) == ("aborted", {"updated": 2, "not_started": 6})
    assert not any(turn.cancelled for turn in play.script.turns)
    assert [entry.action for entry in await running.audit()] == ["abort"]
    assert await stage.catalog.leases.holder(play.application, "prod") is None


async def test_cancelling_a_rollback_lets_its_turns_end(stage: Stage) -> None:
    play = await stage.play(hosts=4)
    await play.deploy("1.0")
    play.script.hold("rollback")
    play.script.fail("h4")
    running = await play.start("1.1")
    await play.under_way(2)
    await running.handle.cancel()
    await running.handle.cancel()
    await asyncio.sleep(1.2)
    play.script.let_go()
    result = await running.result()
    assert result.state == "aborted"
    assert not any(turn.cancelled for turn in play.script.turns)
    assert sum(result.outcomes.values()) == 4


async def test_cancelling_one_that_waits_at_a_gate(stage: Stage) -> None:
    play = await stage.play(approval=True)
    running = await play.start()
    await running.until("awaiting")
    await running.handle.cancel()
    assert (await running.result()).state == "aborted"


async def test_a_terminated_batch_pauses_the_deployment_and_resume_attaches(stage: Stage) -> None:
    play = await stage.play(hosts=8)
    play.script.hold()
    running = await play.start()
    begun = await play.under_way(2)
    await stage.temporal("workflow", "terminate", "-w", running.batch())
    stored = await running.until("paused")
    assert "batch 1 was ended from outside" in stored.detail
    assert "resume attaches" in stored.detail
    await running.said.resume()
    await until(lambda: len(play.script.turns) >= 4, "the hosts' turns are taken up again")
    play.script.let_go()
    result = await running.result()
    assert (result.state, result.outcomes) == ("succeeded", {"updated": 8})
    numbers = {(turn.host, turn.given.turn) for turn in play.script.turns}
    assert {(host, 1) for host in begun} <= numbers
    assert all(turn == 1 for _, turn in numbers)


async def test_a_cancelled_batch_pauses_the_deployment(stage: Stage) -> None:
    play = await stage.play(hosts=8)
    play.script.hold()
    running = await play.start()
    begun = await play.under_way(2)
    await stage.temporal("workflow", "cancel", "-w", running.batch())
    await asyncio.sleep(0.5)
    play.script.let_go()
    stored = await running.until("paused")
    assert "stopped from outside" in stored.detail
    assert play.script.begun() == begun
    await running.said.resume()
    assert (await running.result()).outcomes == {"updated": 8}
    assert len(play.script.begun()) == 8


async def test_a_terminated_deployment_leaves_its_batch_to_end_its_turns(stage: Stage) -> None:
    play = await stage.play(hosts=8)
    play.script.hold()
    running = await play.start()
    begun = await play.under_way(2)
    await running.handle.terminate()
    await until(lambda: _cancelled(running), "the server has asked the batch to end")
    play.script.let_go()
    batch = stage.client.get_workflow_handle(running.batch())
    await until(lambda: _closed(batch), "the batch ends")
    assert play.script.begun() == begun
    assert not any(turn.cancelled for turn in play.script.turns)
    outcomes = await running.outcomes()
    assert {host: outcomes[host] for host in begun} == dict.fromkeys(begun, "updated")
    assert failures(await running.events(running.batch())) == []


async def _cancelled(running: Running) -> bool:
    kinds = [each.WhichOneof("attributes") for each in await running.events(running.batch())]
    return "workflow_execution_cancel_requested_event_attributes" in kinds


async def _closed(handle: object) -> bool:
    found = await handle.describe()  # type: ignore[attr-defined]
    return bool(found.status is not WorkflowExecutionStatus.RUNNING)
