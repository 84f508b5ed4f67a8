"""Budgets, causes and end states (rules 5 to 7 and 10)."""

import asyncio

import pytest

from apollo.domain.rollout import DeploymentResult
from apollo.domain.status import Outcome
from apollo.domain.strategy import Strategy
from apollo.errors import AuthFailed, ConnectFailed, Fenced
from tests.support.falsify import broken_rules
from tests.support.stage import Play, Running, Stage, until


def adds_up(result: DeploymentResult, hosts: int) -> None:
    assert sum(result.outcomes.values()) == hosts
    assert "pending" not in result.outcomes


async def test_too_many_failures_roll_everything_back(stage: Stage) -> None:
    play = await stage.play(hosts=8)
    await play.deploy("1.0")
    play.script.turns.clear()
    play.script.fail("h5")
    result = await play.deploy("1.1")
    assert result.state == "rolled_back"
    assert "1 hosts failed, 0 were allowed" in result.detail
    assert result.outcomes["reverted"] == 1
    assert result.errors == {"HookFailed": 1}
    adds_up(result, 8)
    begun = play.script.begun()
    assert sorted(play.script.begun("rollback")) == sorted(begun)
    assert len(begun) < 8, "no host begins once the budget is exceeded"
    states = await stage.catalog.hosts.states(play.application, "prod")
    assert {states[host].release for host in states} <= {"1.0", None}
    assert await stage.catalog.deployments.current_release(play.application, "prod") == "1.0"


async def test_halt_leaves_hosts_as_they_are(stage: Stage) -> None:
    play = await stage.play(hosts=8, on_failure="halt", max_failures=1)
    play.script.fail("h2", "h3", "h4", end=Outcome.BROKEN)
    result = await play.deploy("1.1")
    assert (result.state, play.script.begun("rollback")) == ("halted", [])
    assert result.outcomes["broken"] in (2, 3)
    adds_up(result, 8)


async def test_failures_within_the_budget_are_partial(stage: Stage) -> None:
    play = await stage.play(hosts=6, max_failures=2, max_unavailable="50%")
    play.script.fail("h1", end=Outcome.BROKEN)
    play.script.fail("h4")
    result = await play.deploy("1.1")
    ends = {"updated": 4, "broken": 1, "reverted": 1}
    assert (result.state, result.outcomes) == ("partial", ends)


async def test_a_rollback_that_fails_too_often_is_said_to_have_failed(stage: Stage) -> None:
    play = await stage.play(hosts=6)
    await play.deploy("1.0")
    play.script.fail("h5")
    play.script.fail(*(f"back h{n}" for n in range(1, 7)), end=Outcome.BROKEN)
    result = await play.deploy("1.1")
    assert result.state == "rollback_failed"
    adds_up(result, 6)


async def test_a_host_that_was_broken_before_uses_no_failure(stage: Stage) -> None:
    play = await stage.play(hosts=8, max_unavailable="50%", max_failures=1)
    play.script.fail("h1", end=Outcome.BROKEN)
    assert (await play.deploy("1.0")).state == "partial"
    play.script.fail("h2")
    result = await play.deploy("1.1")
    ends = {"updated": 6, "broken": 1, "reverted": 1}
    assert (result.state, result.outcomes) == ("partial", ends)


@pytest.mark.parametrize("end", [ConnectFailed, AuthFailed])
async def test_unreachable_hosts_are_tried_again_once_at_the_end(
    stage: Stage, end: type[ConnectFailed]
) -> None:
    play = await stage.play(hosts=8, max_unreachable="50%")
    play.script.ends["h1"] = [end, Outcome.UPDATED]
    play.script.ends["h2"] = [end, end, Outcome.UPDATED]
    result = await play.deploy()
    assert (result.state, result.outcomes) == ("partial", {"updated": 7, "unreachable": 1})
    assert result.errors == {end.__name__: 1}
    begun = play.script.begun()
    assert sorted(begun[-2:]) == ["h1", "h2"]
    assert len(begun) == 10
    numbers = {(turn.host, turn.given.turn) for turn in play.script.turns}
    assert {("h1", 1), ("h1", 2), ("h2", 1), ("h2", 2)} <= numbers


async def test_too_many_unreachable_pause_and_resume_goes_on(stage: Stage) -> None:
    play = await stage.play(hosts=12, max_unavailable="50%")
    play.script.fail("h1", "h3", end=ConnectFailed)
    running = await play.start()
    stored = await running.until("paused")
    assert "2 hosts are unreachable, 1 are allowed (max_unreachable)" in stored.detail
    assert "resume goes on without them" in stored.detail
    begun = len(play.script.begun())
    await asyncio.sleep(0.3)
    assert len(play.script.begun()) == begun < 12
    await running.said.resume("they are being repaired")
    result = await running.result()
    assert (result.state, result.outcomes) == ("partial", {"updated": 10, "unreachable": 2})


async def test_each_unreachable_host_beyond_an_accepted_number_pauses_again(stage: Stage) -> None:
    play = await stage.play(hosts=8, locations=1, max_unreachable=0, max_unavailable=1)
    play.script.fail("h1", "h3", "h5", end=ConnectFailed)
    running = await play.start()
    for count in (1, 2, 3):
        assert "0 are allowed" in await paused_for(running, f"{count} hosts are unreachable")
        await running.said.resume()
    result = await running.result()
    assert (result.state, result.outcomes) == ("partial", {"updated": 5, "unreachable": 3})


async def test_nobody_is_accepted_for_one_that_is_retried_and_then_skipped(stage: Stage) -> None:
    play = await stage.play(hosts=8, locations=1, max_unreachable=0, max_unavailable=1)
    play.script.fail("h1", "h3", end=ConnectFailed)
    play.script.hold("h2")
    running = await play.start()
    await paused_for(running, "1 hosts are unreachable")
    await running.said.retry("h1")
    await running.said.skip("h1")
    await running.said.resume()
    await running.until("running")
    play.script.let_go()
    await paused_for(running, "1 hosts are unreachable")
    await running.said.resume()
    result = await running.result()
    assert result.outcomes == {"updated": 6, "skipped": 1, "unreachable": 1}


async def test_no_room_pauses_names_the_locations_and_resume_goes_on(stage: Stage) -> None:
    play = await stage.play(hosts=6, max_failures=6)
    await play.deploy("1.0")
    play.script.fail("h1", end=Outcome.BROKEN)
    running = await play.start("1.1")
    stored = await running.until("paused")
    assert stored.detail.startswith("no room in fra1: too many hosts are out (max_unavailable)")
    assert "change the pace" in stored.detail
    outcomes = await running.outcomes()
    assert [outcomes[host] for host in ("h2", "h4", "h6")] == ["updated"] * 3
    assert [outcomes[host] for host in ("h3", "h5")] == ["None", "None"]

    await running.said.resume()
    await asyncio.sleep(0.5)
    await paused_for(running, "no room in fra1")
    await running.said.pace("2", "h1 waits for a part")
    await running.said.resume()
    result = await running.result()
    assert (result.state, result.outcomes) == ("partial", {"broken": 1, "updated": 5})


async def test_a_host_disabled_while_it_waits_is_left_alone(stage: Stage) -> None:
    play = await stage.play(hosts=4, waves=[{"share": 2, "approval": False}, "100%"])
    play.script.hold()
    running = await play.start()
    await play.under_way(2)
    disabled = min({"h1", "h2", "h3", "h4"} - set(play.script.begun()))
    hosts = stage.catalog.hosts
    await hosts.disable(play.application, "prod", [disabled], "ada", "its disk is dying")
    play.script.let_go()
    result = await running.result()
    assert (result.state, result.outcomes) == ("partial", {"updated": 3, "not_started": 1})
    assert disabled not in play.script.begun()


async def one_broken(stage: Stage) -> Play:
    """Four hosts that may be out one at a time; one is."""
    play = await stage.play(hosts=4, locations=1, max_unavailable="25%", max_failures=1)
    await play.deploy("1.0")
    play.script.fail("h4", end=Outcome.BROKEN)
    assert (await play.deploy("1.1")).outcomes == {"updated": 3, "broken": 1}
    play.script.turns.clear()
    strategy = play.environment.strategy.model_copy(
        update={"waves": Strategy.model_validate({"waves": [1, "100%"]}).waves}
    )
    await play.apply(strategy=strategy)
    return play


async def test_the_one_box_is_the_host_whose_being_out_takes_all_the_room(stage: Stage) -> None:
    play = await one_broken(stage)
    play.script.ends["h4"] = [Outcome.UPDATED]
    running = await play.start("1.2")
    result = await running.result()
    assert (result.state, result.outcomes) == ("succeeded", {"updated": 4})
    assert play.script.begun()[0] == "h4"
    assert await broken_rules(running) == {}


async def test_when_it_stays_out_no_host_in_service_is_touched(stage: Stage) -> None:
    play = await one_broken(stage)
    play.script.ends["h4"] = [Outcome.BROKEN]
    running = await play.start("1.2")
    await paused_for(running, "no room in fra1")
    assert play.script.begun() == ["h4"]
    await running.said.abort()
    result = await running.result()
    assert result.outcomes == {"broken": 1, "not_started": 3}
    assert await broken_rules(running) == {}


async def test_a_fenced_turn_is_lost(stage: Stage) -> None:
    play = await stage.play(hosts=4, max_failures=1)
    play.script.fail("h4", end=Fenced)
    result = await play.deploy()
    assert (result.state, result.outcomes) == ("partial", {"updated": 3, "lost": 1})


async def test_a_bug_in_the_worker_does_not_pass_for_an_unreachable_host(stage: Stage) -> None:
    """It may have happened after the drain: the host must count as out, and as a failure."""
    play = await stage.play(hosts=4, max_failures=1)
    play.script.bugs.add("h4")
    result = await play.deploy()
    assert result.outcomes == {"updated": 3, "lost": 1}


async def paused_for(running: Running, why: str) -> str:
    """Wait until it has paused itself for this; all that it says."""
    catalog = running.play.stage.catalog

    async def shown() -> bool:
        stored = await catalog.deployments.by_workflow(running.id)
        return stored is not None and stored.state == "paused" and why in stored.detail

    await until(shown, f"it pauses as {why}")
    return (await running.stored()).detail
