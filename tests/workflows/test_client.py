"""The Python client against a running deployment: requests, watching, what is recorded."""

import asyncio
import logging

import pytest
from temporalio.api.enums.v1 import ApplicationErrorCategory, EventType
from temporalio.client import WorkflowFailureError

from apollo import names
from apollo.client import Apollo, deployments
from apollo.domain.status import Outcome
from apollo.errors import Abandoned, ConnectFailed, Refused
from tests.support.stage import PATIENCE, Running, Stage


async def test_the_same_request_attaches_to_its_running_deployment(stage: Stage) -> None:
    play = await stage.play()
    play.script.hold()
    first = await play.start("1.0", request="build-7")
    await play.under_way(2)
    ours = play.application, "prod"
    again = await stage.apollo.deploy(*ours, "1.0", request="build-7", reason="told twice")
    assert again.workflow_id == first.id
    await play.release("2.0")
    with pytest.raises(Refused, match=r"asked for something else.*1.0.*, not .*2.0"):
        await stage.apollo.deploy(*ours, "2.0", request="build-7")
    play.script.let_go()

    assert (await again.result()).label == f"{play.application}/prod#1"
    assert sorted(play.script.begun()) == ["h1", "h2", "h3", "h4"]
    assert len(await stage.apollo.history(*ours)) == 1


async def test_a_request_that_was_used_up_is_refused(stage: Stage) -> None:
    play = await stage.play()
    await play.deploy("1.0", request="build-7")
    with pytest.raises(Refused, match=r"'build-7' was used by .* ended \(completed\): .*1\.0"):
        await play.start("1.0", request="build-7")

    assert (await play.deploy("1.0", request="build-8")).label.endswith("#2")


@pytest.mark.parametrize("arguments", [(), ("nonsense",), ([1],)], ids=str)
async def test_a_request_of_which_something_else_was_made_is_refused(
    stage: Stage, arguments: tuple[object, ...]
) -> None:
    play = await stage.play()
    name = names.deployment_id(play.application, "prod", "mine")
    handle = await stage.client.start_workflow(
        "Deployment", args=arguments, id=name, task_queue=names.CONTROL_QUEUE
    )
    with pytest.raises(WorkflowFailureError):
        await handle.result()

    with pytest.raises(Refused, match="'mine' was used"):
        await play.start("1.0", request="mine")


async def _watched(running: Running) -> list[str]:
    async with asyncio.timeout(PATIENCE):
        return [status.deployment.state async for status in running.said.watch()]


async def test_watching_ends_when_the_workflow_was_terminated(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deployments, "ASK_TEMPORAL", 0)
    play = await stage.play()
    play.script.hold()
    running = await play.start()
    await play.under_way(2)
    watching = asyncio.create_task(_watched(running))
    await running.said.pause()
    await running.until("paused")
    assert not watching.done(), "a pause is no end"
    await running.handle.terminate("test")

    with pytest.raises(Abandoned, match=r"#1: its workflow .* \(terminated at ") as caught:
        await watching
    assert "deploy again" in caught.value.hint
    with pytest.raises(Abandoned):
        await running.said.result()
    play.script.let_go()


async def test_watching_goes_on_when_another_deployment_has_taken_over(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    play = await stage.play()
    play.script.hold()
    running = await play.start()
    await play.under_way(2)
    await running.handle.terminate("test")
    play.script.let_go()
    await (await play.start("2.0", if_busy="wait")).result()
    monkeypatch.setattr(deployments, "ASK_TEMPORAL", 0)

    assert (await _watched(running))[-1] == "aborted"


async def test_watching_goes_on_without_temporal(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deployments, "ASK_TEMPORAL", 0)
    monkeypatch.setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")
    play = await stage.play()
    play.script.hold()
    running = await play.start()
    await play.under_way(2)
    async with Apollo.connect(stage.apollo.settings) as elsewhere:
        handle = await elsewhere.deployment(play.application, "prod")
        states = []
        async with asyncio.timeout(PATIENCE):
            async for status in handle.watch():
                states.append(status.deployment.state)
                play.script.let_go()

    assert handle.workflow_id == running.id
    assert states[-1] == "succeeded"


async def test_a_failing_host_is_red_in_the_history_and_silent_in_the_log(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    play = await stage.play(max_failures="100%", max_unreachable="100%", on_failure="halt")
    play.script.fail("h1")
    play.script.fail("h2", end=ConnectFailed)
    play.script.bugs.add("h3")
    with caplog.at_level(logging.INFO, logger="temporalio.activity"):
        running = await play.start()
        await running.result()

    failed = {}
    for event in await running.events(running.batch()):
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED:
            info = event.activity_task_failed_event_attributes.failure.application_failure_info
            failed[info.type] = info.category
    benign = ApplicationErrorCategory.APPLICATION_ERROR_CATEGORY_BENIGN
    plain = ApplicationErrorCategory.APPLICATION_ERROR_CATEGORY_UNSPECIFIED
    assert failed == {"HookFailed": benign, "ConnectFailed": benign, "KeyError": plain}
    texts = [record.getMessage() for record in caplog.records if play.application in str(record)]
    complaints = [text for text in texts if "Completing activity as failed" in text]
    assert len(complaints) == 1, complaints
    assert "turn:h3:" in complaints[0], "a bug still shows"


async def test_turns_are_recorded_with_their_times(stage: Stage) -> None:
    play = await stage.play(2, 1, max_unavailable="100%", max_failures="100%", on_failure="halt")
    play.script.seconds = 0.3
    play.script.fail("h2")
    running = await play.start()
    await running.result()

    for row in await running.said.rows():
        assert row.record
        assert row.started_at
        assert row.ended_at
        assert row.record.seconds
        assert 0.3 <= row.record.seconds < PATIENCE
        assert row.started_at < row.ended_at
        assert row.outcome is (Outcome.REVERTED if row.host == "h2" else Outcome.UPDATED)


async def test_what_is_refused_leaves_no_traceback_on_the_worker(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    play = await stage.play()
    with caplog.at_level(logging.INFO):
        running = await play.start(None)
        with pytest.raises(Refused, match="runs no release yet"):
            await running.result()

    assert [each for each in caplog.records if each.name == "temporalio.activity"] == []
    assert any(each.exc_info for each in caplog.records) is False
