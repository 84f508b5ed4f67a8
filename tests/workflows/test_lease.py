"""One deployment per environment changes hosts (rule 11)."""

import asyncio
from typing import Any

import pytest

from apollo.domain.status import Outcome
from apollo.errors import ConnectFailed
from tests.support.stage import Play, Running, Stage, scheduled, until


async def busy(stage: Stage, **strategy: Any) -> tuple[Play, Running]:
    """An environment whose first deployment is under way, with two turns in flight."""
    play = await stage.play(hosts=8, max_unavailable="50%", **strategy)
    play.script.hold("h1", "h2")
    running = await play.start("1.0")
    await play.began("h1", "h2")
    return play, running


async def waits(running: Running) -> None:
    await running.until("waiting")
    await asyncio.sleep(1.2)
    assert (await running.stored()).state == "waiting"


async def test_a_busy_environment_refuses_by_default(stage: Stage) -> None:
    play, first = await busy(stage)
    second = await (await play.start("1.1")).result()
    assert (second.state, second.outcomes) == ("refused", {"not_started": 8})
    assert f"{play.application}/prod#1 is changing hosts" in second.detail
    assert "--if-busy wait" in second.detail
    assert (await first.stored()).state == "running"
    play.script.let_go()
    assert (await first.result()).state == "succeeded"


async def test_one_that_waits_begins_when_the_other_has_ended(stage: Stage) -> None:
    play, first = await busy(stage)
    second = await play.start("1.1", if_busy="wait")
    await waits(second)
    play.script.let_go()
    assert (await first.result()).state == "succeeded"
    assert (await second.result()).state == "succeeded"
    releases = [turn.given.release for turn in play.script.turns]
    assert releases == ["1.0"] * 8 + ["1.1"] * 8
    assert (await second.stored()).granted_ms > (await first.stored()).granted_ms


async def test_a_superseded_deployment_stops_at_the_next_host_boundary(stage: Stage) -> None:
    play, first = await busy(stage)
    play.script.hold()
    second = await play.start("1.1", if_busy="supersede")
    label = f"{play.application}/prod"
    await until(lambda: _heard(first, "supersede"), "the first is told")
    assert {turn.given.release for turn in play.script.turns} == {"1.0"}
    play.script.let_go()
    result = await first.result()
    assert (result.state, result.detail) == (
        "superseded",
        f"supersede: superseded by {label}#2 (ada)",
    )
    assert result.outcomes["updated"] == len(
        [turn for turn in play.script.turns if turn.given.release == "1.0"]
    )
    assert (await second.result()).outcomes == {"updated": 8}
    last = max(turn.ended or 0 for turn in play.script.turns if turn.given.release == "1.0")
    assert last <= min(turn.began for turn in play.script.turns if turn.given.release == "1.1")


async def test_hosts_that_came_into_service_while_it_waited_need_room(stage: Stage) -> None:
    """All were out when it was planned, before their first release; now half of them serve."""
    play = await stage.play(hosts=8, max_unavailable="50%")
    play.script.hold()
    first = await play.start("1.0")
    serving = await play.under_way(4)
    second = await play.start("1.1", if_busy="supersede")
    await until(lambda: _heard(first, "supersede"), "the first is told")
    assert all(row.was_out for row in await second.said.rows())
    play.script.let_go()
    assert (await first.result()).outcomes == {"updated": 4, "not_started": 4}
    assert (await second.result()).outcomes == {"updated": 8}
    begun = [turn.host for turn in play.script.turns if turn.given.release == "1.1"]
    assert set(begun[:4]).isdisjoint(serving), "as many are out as may be: these must wait"


async def test_a_newer_one_that_waits_supersedes_an_older(stage: Stage) -> None:
    play, first = await busy(stage)
    second = await play.start("1.1", if_busy="wait")
    await waits(second)
    third = await play.start("1.2", if_busy="wait")
    result = await second.result()
    assert result.state == "superseded"
    assert result.detail == f"{play.application}/prod#3 waits too, and is newer"
    assert (await third.stored()).state == "waiting"
    play.script.let_go()
    assert (await first.result()).state == "succeeded"
    assert (await third.result()).state == "succeeded"
    assert "1.1" not in {turn.given.release for turn in play.script.turns}


async def test_one_that_a_newer_one_has_overtaken_at_a_gate_is_superseded(stage: Stage) -> None:
    play = await stage.play(approval=True)
    old = await play.start("1.0")
    await old.until("awaiting")
    assert (await play.deploy_approved("1.1")).state == "succeeded"
    await old.said.approve()
    result = await old.result()
    assert result.state == "superseded"
    assert f"{play.application}/prod#2" in result.detail
    assert {turn.given.release for turn in play.script.turns} == {"1.1"}


async def test_one_that_waits_can_be_aborted_or_paused(stage: Stage) -> None:
    play, first = await busy(stage)
    second = await play.start("1.1", if_busy="wait")
    await waits(second)
    await second.said.abort()
    assert (await second.result()).state == "aborted"
    third = await play.start("1.2", if_busy="wait")
    await waits(third)
    await third.said.pause()
    play.script.let_go()
    assert (await first.result()).state == "succeeded"
    await asyncio.sleep(1.5)
    assert {turn.given.release for turn in play.script.turns} == {"1.0"}
    await third.said.resume()
    assert (await third.result()).state == "succeeded"


async def test_every_grant_is_later_than_the_one_before(stage: Stage) -> None:
    play = await stage.play(hosts=2, locations=1)
    numbers = []
    for minor in range(3):
        running = await play.start(f"1.{minor}")
        await running.result()
        numbers.append((await running.stored()).granted_ms)
    assert numbers == sorted(set(numbers))
    given = {turn.given.granted_ms for turn in play.script.turns}
    assert given == set(numbers)


async def test_a_rollback_is_not_superseded(stage: Stage) -> None:
    play = await stage.play(hosts=4)
    await play.deploy("1.0")
    play.script.fail("h4")
    play.script.hold("rollback")
    first = await play.start("1.1")
    await play.under_way(2)
    second = await play.start("1.2", if_busy="supersede")
    await until(lambda: _heard(first, "supersede refused"), "the first refuses")
    play.script.let_go()
    result = await first.result()
    assert (result.state, result.outcomes) == ("rolled_back", {"rolled_back": 3, "reverted": 1})
    play.script.ends.clear()
    assert (await second.result()).state in ("succeeded", "rolled_back")


async def test_a_deployment_whose_lease_another_has_is_superseded(stage: Stage) -> None:
    play = await stage.play(hosts=4, waves=[{"share": 1, "approval": False}, "100%"])
    play.script.hold()
    running = await play.start()
    await play.under_way(1)
    await stage.catalog.leases.replace(play.application, "prod", running.id, "another", "run", 2, 1)
    play.script.let_go()
    result = await running.result()
    assert result.state == "superseded"
    assert "has lost its lease to another" in result.detail
    assert result.outcomes == {"updated": 1, "not_started": 3}
    holder = await stage.catalog.leases.holder(play.application, "prod")
    assert holder is not None
    assert holder.workflow_id == "another"


async def test_the_lease_of_a_terminated_one_waits_for_its_batches(stage: Stage) -> None:
    play, first = await busy(stage)
    play.script.hold()
    await play.under_way(4)
    begun = play.script.running()
    done = set(play.script.begun()) - set(begun)
    await first.handle.terminate()
    second = await play.start("1.1", if_busy="wait")
    await waits(second)
    assert {turn.given.release for turn in play.script.turns} == {"1.0"}
    play.script.let_go()
    assert (await second.result()).state == "succeeded"
    stored = await first.stored()
    assert (stored.state, stored.ended_at is None) == ("aborted", False)
    outcomes = await first.outcomes()
    assert {host for host, end in outcomes.items() if end == "updated"} == set(begun) | done


async def test_turns_that_a_dead_deployment_had_begun_count_as_out_and_come_first(
    stage: Stage,
) -> None:
    """Those that had ended are what they ended as, though nobody had recorded it."""
    play = await stage.play(hosts=12, max_unavailable="50%")
    await play.deploy("1.0")
    play.script.turns.clear()
    play.script.hold("h3", "h8")
    first = await play.start("1.1")
    await until(lambda: len(play.script.turns) == 12, "all have begun")
    await until(lambda: _have_returned(first, 10), "the server knows how ten of them ended")
    await first.handle.terminate()
    await stage.client.get_workflow_handle(first.batch()).terminate()
    play.script.turns.clear()

    second = await play.start("1.2", if_busy="refuse")
    await play.began("h3", "h8")
    outcomes = await first.outcomes()
    assert {host for host, end in outcomes.items() if end == "lost"} == {"h3", "h8"}
    assert {end for host, end in outcomes.items() if host not in ("h3", "h8")} == {"updated"}
    again = scheduled(await second.events(second.batch()))
    assert set(again[:2]) == {"h3", "h8"}
    states = await stage.catalog.hosts.states(play.application, "prod")
    assert states["h3"].serving == "lost"
    play.script.let_go()
    assert (await second.result()).state == "succeeded"


async def _have_returned(running: Running, count: int) -> bool:
    events = await running.events(running.batch())
    ends = [event.activity_task_completed_event_attributes for event in events]
    turns = {event.event_id for event in events if scheduled([event])}
    return sum(end.scheduled_event_id in turns for end in ends) == count


async def test_a_host_that_was_being_tried_again_is_lost_too(stage: Stage) -> None:
    """Its first turn is recorded as unreachable; that of its second is not known."""
    play = await stage.play(hosts=4, max_unreachable="50%")
    play.script.ends["h4"] = [ConnectFailed, Outcome.UPDATED]
    play.script.hold("h4/2")
    first = await play.start("1.0")
    await until(lambda: play.script.begun().count("h4") == 2, "h4 is tried again")
    await until(lambda: _recorded(first, "h4"), "its first turn is recorded")
    await first.handle.terminate()
    await stage.client.get_workflow_handle(first.batch()).terminate()
    play.script.ends.clear()
    second = await play.start("1.1")
    play.script.let_go()
    await second.result()
    assert (await first.outcomes())["h4"] == "lost"


@pytest.mark.parametrize("policy", ["refuse", "wait", "supersede"])
async def test_a_free_environment_takes_any_policy(stage: Stage, policy: str) -> None:
    play = await stage.play(hosts=2)
    assert (await play.deploy(if_busy=policy)).state == "succeeded"


async def _heard(running: Running, action: str) -> bool:
    return action in [entry.action for entry in await running.audit()]


async def _recorded(running: Running, host: str) -> bool:
    return (await running.outcomes())[host] == "unreachable"
