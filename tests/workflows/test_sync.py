"""A sync brings the current release to hosts that are new, missed it, or run it no longer."""

import asyncio
import contextlib
from typing import Any
from uuid import uuid4

import pytest
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError
from temporalio.service import RPCError

from apollo import names
from apollo.domain.status import Outcome
from apollo.domain.sync import Drift, Finding, Found, LookRequest
from apollo.errors import ApolloError, ConnectFailed, NotFound, Refused
from tests.support.stage import Play, Stage, failures, until


async def served(stage: Stage, **options: Any) -> Play:
    """Four hosts on 1.0, all of which may be out."""
    play = await stage.play(hosts=4, max_unavailable="100%", **options)
    result = await play.deploy_approved("1.0") if options.get("approval") else await play.deploy()
    assert result.state == "succeeded"
    play.script.turns.clear()
    return play


async def numbers(play: Play) -> int:
    return len(await play.stage.catalog.deployments.list(play.application, "prod"))


async def test_new_hosts_get_the_current_release_in_one_wave(stage: Stage) -> None:
    """No approval, no bake, no other host."""
    waves = [{"share": 1, "bake": "1h", "approval": True}, "100%"]
    play = await stage.play(hosts=2, max_unavailable="100%")
    await play.deploy("1.0")
    strategy = play.environment.strategy.model_validate({"waves": waves})
    await play.apply(hosts=["h1", "h2", "h3", "h4"], approval=True, strategy=strategy)
    play.script.turns.clear()
    assert await play.look() == {"h3": "new", "h4": "new", "h1": "current", "h2": "current"}

    result = await play.sync(reason="two more")
    assert (result.state, result.outcomes, result.release) == ("succeeded", {"updated": 2}, "1.0")
    assert sorted(play.script.begun()) == ["h3", "h4"]
    assert {turn.given.wave for turn in play.script.turns} == {1}
    stored = await stage.catalog.deployments.get(play.application, "prod", 2)
    assert (stored.kind, stored.whole_fleet, stored.reason) == ("sync", False, "two more")
    assert set((await play.look()).values()) == {"current"}


async def test_nothing_to_do_takes_no_number(stage: Stage) -> None:
    play = await served(stage)
    result = await play.sync()
    assert (result.label, result.state, result.outcomes) == ("", "succeeded", {})
    assert result.detail == "nothing to do: 4 hosts run 1.0"
    assert await numbers(play) == 1
    assert play.script.begun() == []
    assert sorted(play.script.looks) == ["h1", "h2", "h3", "h4"]


async def test_without_a_current_release_or_beside_another_deployment(stage: Stage) -> None:
    play = await stage.play(hosts=4, max_unavailable="100%")
    assert "runs no release yet" in (await play.sync()).detail
    await play.deploy("1.0")
    play.script.hold()
    running = await play.start("2.0")
    await play.under_way(4)
    result = await play.sync()
    assert result.detail == f"nothing to do: {play.application}/prod#2 is running"
    assert await numbers(play) == 2
    play.script.let_go()
    await running.result()
    assert play.script.looks == []


async def test_a_dead_deployment_holds_no_sync(stage: Stage) -> None:
    """Its hosts are somebody's open case; the others are not."""
    play = await served(stage)
    play.script.hold()
    running = await play.start("2.0", limit="h1")
    await play.under_way(1)
    await running.handle.terminate()
    play.script.let_go()
    batch = stage.client.get_workflow_handle(running.batch())

    async def closed() -> bool:
        return (await batch.describe()).status is not WorkflowExecutionStatus.RUNNING

    await until(closed, "the batch has ended")
    play.script.runs["h2"] = None
    result = await play.sync()
    assert (result.state, result.outcomes) == ("succeeded", {"updated": 1})
    assert result.detail == f"left to an open deployment: h1 ({play.application}/prod#2)"


async def test_one_that_could_not_be_reached_then_is_brought_when_it_returns(stage: Stage) -> None:
    play = await served(stage, max_unreachable=1)
    play.script.fail("h3", end=ConnectFailed)
    assert (await play.deploy("2.0")).state == "partial"
    del play.script.ends["h3"]
    play.script.unseen.add("h3")
    result = await play.sync()
    assert (result.label, result.detail) == (
        "",
        "nothing to do: 3 hosts run 2.0; unreachable: h3",
    )
    play.script.unseen.clear()
    assert (await play.look())["h3"] == "missed"
    assert (await play.sync()).outcomes == {"updated": 1}
    assert set((await play.look()).values()) == {"current"}


async def test_one_that_fails_is_left_for_a_person(stage: Stage) -> None:
    """Or a schedule would break it again every five minutes, and number it each time."""
    play = await served(stage, max_unreachable="100%")
    play.script.runs["h2"] = None
    play.script.fail("h2", end=Outcome.BROKEN)
    assert (await play.sync()).outcomes == {"broken": 1}
    count, turns = await numbers(play), len(play.script.turns)
    for _ in range(2):
        result = await play.sync()
        assert (result.label, await numbers(play), len(play.script.turns)) == ("", count, turns)
        assert f"failed before: h2 ({play.application}/prod#2)" in result.detail

    # A person mends it and says so.
    del play.script.ends["h2"]
    assert (await play.deploy("1.0", limit="h2")).state == "succeeded"
    assert set((await play.look()).values()) == {"current"}


async def test_hosts_of_an_open_case_are_left_alone(stage: Stage) -> None:
    """Halted: somebody is about to go on, or back."""
    play = await served(stage, waves=[1, "100%"], on_failure="halt")
    play.script.fail("h3")
    assert (await play.deploy("2.0")).state == "halted"
    found = await play.look()
    changed = [host for host, finding in found.items() if finding == "open"]
    assert changed
    assert "h3" not in changed, "it was put back and runs the current release"
    count = await numbers(play)
    result = await play.sync()
    assert "left to an open deployment" in result.detail
    assert await numbers(play) == count
    del play.script.ends["h3"]
    assert (await play.deploy("2.0")).state == "succeeded"
    assert set((await play.look()).values()) == {"current"}


async def test_what_was_given_on_purpose_stays(stage: Stage) -> None:
    """A release on one host, and a configuration on another, that the others do not have."""
    play = await served(stage)
    await play.deploy("2.0", limit="h1")
    await play.apply(variables={"A": "1"})
    await play.deploy("1.0", limit="h2")
    await play.apply(variables={"A": "2"})
    assert await play.look() == {"h1": "open", **dict.fromkeys(["h2", "h3", "h4"], "current")}
    assert (await play.sync()).label == ""
    play.script.runs["h1"] = None
    assert (await play.sync()).outcomes == {"updated": 1}


async def test_disabled_and_gone_hosts_are_shown_and_not_touched(stage: Stage) -> None:
    play = await served(stage)
    await stage.catalog.hosts.disable(play.application, "prod", ["h1"], "ada", "memory")
    await play.apply(hosts=["h1", "h2", "h3"])
    play.script.runs.clear()
    drift = await stage.apollo.look(play.application, "prod")
    assert {each.host: str(each.finding) for each in drift.found} == {
        "h1": "disabled",
        "h2": "drifted",
        "h3": "drifted",
        "h4": "gone",
    }
    assert not drift.fine
    assert sorted(set(play.script.looks)) == ["h2", "h3"]
    assert await play.look(limit="h3") == {"h3": "drifted"}
    with pytest.raises(Refused, match="h9"):
        await play.look(limit="h9")
    with pytest.raises(NotFound):
        await stage.apollo.look(play.application, "nosuch")
    assert (await play.sync(limit="h2")).outcomes == {"updated": 1}
    assert (await play.sync()).outcomes == {"updated": 1}
    assert (await stage.apollo.look(play.application, "prod")).fine


async def test_hosts_are_looked_at_by_those_who_reach_them(stage: Stage) -> None:
    play = await served(stage)
    await play.apply(own_workers=("ams1",))
    handle = await stage.apollo.sync(play.application, "prod")
    look = stage.client.get_workflow_handle(names.look_id(handle.workflow_id))

    async def queues() -> list[str]:
        events = [event async for event in look.fetch_history_events()]
        scheduled = [event.activity_task_scheduled_event_attributes for event in events]
        return sorted(e.task_queue.name for e in scheduled if e.activity_type.name == "look")

    async def asked() -> bool:
        with contextlib.suppress(RPCError):  # it may not have begun
            return len(await queues()) == 2
        return False

    await until(asked, "both queues are asked")
    assert await queues() == ["apollo-hosts", "apollo-hosts-ams1"]
    await look.terminate()
    with pytest.raises(ApolloError):
        await handle.result()
    assert await numbers(play) == 1


async def test_a_schedule_starts_it_with_plain_json(stage: Stage) -> None:
    play = await served(stage)
    play.script.runs["h4"] = None
    asked = {"application": play.application, "environment": "prod", "only": "outdated"}
    handle = await stage.client.start_workflow(
        "Deployment", asked, id=f"raw/{play.application}", task_queue=names.CONTROL_QUEUE
    )
    assert (await handle.result())["outcomes"] == {"updated": 1}
    assert failures([event async for event in handle.fetch_history_events()]) == []


async def test_abort_while_it_looks_changes_nothing(stage: Stage) -> None:
    play = await served(stage)
    play.script.runs.clear()
    handle = await stage.apollo.sync(play.application, "prod")
    with_stop = stage.client.get_workflow_handle(handle.workflow_id)
    await with_stop.signal("abort")
    result = await asyncio.wait_for(handle.result(), 30)
    if result.label == "":  # it was heard before the hosts were known
        assert (result.state, play.script.begun()) == ("aborted", [])
    else:
        assert result.state in ("aborted", "succeeded")


async def test_a_sync_takes_nothing_back(stage: Stage) -> None:
    """What it gave to other hosts is the environment's release, whatever fails elsewhere."""
    play = await served(stage, on_failure="rollback")
    play.script.runs["h1"] = play.script.runs["h2"] = None
    play.script.fail("h2")
    result = await play.sync()
    assert result.state == "halted"
    assert play.script.begun("rollback") == []
    assert (await play.look())["h1"] == "current"


async def test_a_look_at_a_large_fleet_goes_on_in_another_run(stage: Stage) -> None:
    """As a run does that was suggested to continue as new."""
    play = await served(stage)
    play.script.runs["h4"] = None
    before = Drift(counts={"new": 1}, found=(Found(host="h1", finding=Finding.NEW),))
    given = LookRequest(
        application=play.application, environment="prod", first=1, revision=1, so_far=before
    )
    drift = await stage.client.execute_workflow(
        "Look", given, id=f"look/{play.application}", task_queue="apollo", result_type=Drift
    )
    assert sorted(play.script.looks) == ["h2", "h3", "h4"]
    assert drift.counts == {"new": 1, "current": 2, "drifted": 1}
    assert drift.bring == ("h1", "h4")


@pytest.mark.parametrize("arguments", [(), (None,), (7,), ({},), ({}, {})], ids=str)
async def test_a_look_started_by_hand_ends(stage: Stage, arguments: tuple[Any, ...]) -> None:
    handle = await stage.client.start_workflow(
        "Look", args=arguments, id=f"look/{uuid4()}", task_queue="apollo"
    )
    with pytest.raises(WorkflowFailureError):
        await asyncio.wait_for(handle.result(), 30)
    assert failures([event async for event in handle.fetch_history_events()]) == []
