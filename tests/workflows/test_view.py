"""What people see in the Temporal UI: search attributes, details, summaries, red failures."""

import re

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.api.sdk.v1 import WorkflowMetadata

from apollo import names
from apollo.domain.details import GAP
from apollo.domain.status import Outcome
from apollo.errors import ConnectFailed
from tests.support.stage import Running, Stage, until


async def metadata(running: Running) -> WorkflowMetadata:
    found: WorkflowMetadata = await running.handle.query(
        "__temporal_workflow_metadata", result_type=WorkflowMetadata
    )
    return found


async def details(running: Running) -> str:
    return str((await metadata(running)).current_details).replace(GAP, "")


async def found(stage: Stage, query: str) -> list[str]:
    return [each.id async for each in stage.client.list_workflows(query)]


async def test_deployments_are_found_by_their_search_attributes(stage: Stage) -> None:
    play = await stage.play(max_failures=4)
    play.script.hold()
    play.script.fail("h4")
    running = await play.start("1.4.2")
    await play.under_way(2)
    await running.said.pause()
    paused = "ApolloEnvironment='prod' AND ApolloState='paused'"
    await until(lambda: _finds(stage, paused, running), "it is found as paused")
    label = f"{play.application}/prod#1"
    assert await found(stage, f"ApolloDeployment='{label}'") == [running.id]
    await running.said.resume()
    play.script.let_go()
    await running.result()
    described = await running.describe()
    attributes = described.typed_search_attributes
    assert attributes[names.STATE] == "partial"
    assert attributes[names.RELEASE] == "1.4.2"
    assert attributes[names.HOSTS] == 4
    assert attributes[names.FAILURES] == 1
    assert await described.static_summary() == f"{play.application}/prod 1.4.2"
    assert not await _finds(stage, paused, running)


async def test_details_show_waves_by_location_and_the_next_words(stage: Stage) -> None:
    waves = [{"share": 2, "approval": False}, {"share": "100%", "approval": True}]
    play = await stage.play(hosts=6, waves=waves, max_failures=6)
    play.script.fail("h2")
    running = await play.start("1.1")
    await running.until("awaiting")
    text = await details(running)
    assert text.splitlines()[0] == f"**{play.application}/prod#1** nothing → 1.1: **awaiting**"
    assert "wave 2 waits for approval" in text
    assert "|  | fra1 | ams1 |" in text
    assert "| wave 1 (2 hosts) | 1 ended | 1 ended, 1 failed |" in text
    assert "| wave 2 (4 hosts) | · | · |" in text
    assert "`approve`" in text
    await running.said.pause("<img src=x> [click](http://evil) | `rm`")
    await running.until("paused")
    text = await details(running)
    assert re.search(r"(?<!\\)<img", text) is None
    assert "[click]" not in text
    assert "`resume`" in text
    await running.handle.signal("pause")
    await until(lambda: _shows(running, "pause was ignored: it is paused already"), "it says so")
    await running.said.resume()
    await running.said.approve()
    await running.result()
    text = await details(running)
    assert "**partial**" in text
    assert "ignored" not in text
    assert len(text) < 8000


async def test_details_show_a_rollback(stage: Stage) -> None:
    play = await stage.play(hosts=4)
    await play.deploy("1.0")
    play.script.fail("h4")
    running = await play.start("1.1")
    await running.result()
    text = await details(running)
    assert "**rolled_back**" in text
    assert "1.0 → 1.1" in text
    assert "| rollback | 2 ended" in text


async def test_handlers_say_what_they_take(stage: Stage) -> None:
    play = await stage.play()
    running = await play.start()
    await running.result()
    definition = (await metadata(running)).definition
    for definitions in (definition.signal_definitions, definition.update_definitions):
        described = {each.name: each.description for each in definitions}
        assert {"pause", "resume", "abort", "rollback", "approve"} <= described.keys()
        assert all(described.values())
        assert '{"by"' in described["pause"]


async def test_turns_carry_their_host_and_failures_are_red(stage: Stage) -> None:
    play = await stage.play(hosts=4, max_failures=4, max_unreachable="50%")
    play.script.fail("h2", end=Outcome.REVERTED)
    play.script.fail("h3", end=ConnectFailed)
    running = await play.start()
    await running.result()
    events = await running.events(running.batch())
    summaries = {}
    for event in events:
        given = event.activity_task_scheduled_event_attributes
        if given.activity_id.startswith("turn:"):
            (text,) = await stage.client.data_converter.decode([event.user_metadata.summary], [str])
            summaries[given.activity_id] = text
    first = {f"turn:h{n}:1": f"h{n}" for n in range(1, 5)}
    assert summaries == {**first, "turn:h3:2": "h3"}
    failed = [
        event.activity_task_failed_event_attributes.failure
        for event in events
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED
    ]
    kinds = sorted(each.application_failure_info.type for each in failed)
    assert kinds == ["ConnectFailed", "ConnectFailed", "HookFailed"]
    assert any("h2: start exit 3" in each.message for each in failed)


@pytest.mark.parametrize("outcome", [Outcome.UPDATED, Outcome.REVERTED])
async def test_two_hundred_hosts_stay_within_events_and_payloads(
    stage: Stage, outcome: Outcome
) -> None:
    play = await stage.play(hosts=200, locations=4, max_unavailable="10%", max_failures="100%")
    play.script.fail(*(f"h{n}" for n in range(1, 201)), end=outcome)
    running = await play.start()
    result = await running.result()
    assert result.outcomes == {str(outcome): 200}
    batch, deployment = await running.events(running.batch()), await running.events()
    sizes = [event.ByteSize() for event in (*batch, *deployment)]
    print(
        f"200 hosts {outcome}: {len(batch) / 200:.2f} events a host in the batch, "
        f"{len(deployment)} in the deployment; {sum(sizes) // 200} bytes a host, "
        f"the largest event {max(sizes)} bytes"
    )
    assert len(batch) / 200 <= 6
    assert len(deployment) <= 140
    assert max(sizes) < 256 * 1024
    assert play.script.most_at_once <= 20


async def _finds(stage: Stage, query: str, running: Running) -> bool:
    return running.id in await found(stage, query)


async def _shows(running: Running, words: str) -> bool:
    return words in await details(running)
