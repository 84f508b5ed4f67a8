"""A rollback long after its deployment has ended: a deployment of its own."""

from typing import Any

import pytest

from apollo.domain.status import Outcome
from apollo.errors import ConnectFailed, Refused
from tests.support.stage import Play, Running, Stage


async def go_back(play: Play, release: str | None = None, **options: Any) -> Running:
    handle = await play.stage.apollo.go_back(play.application, "prod", release, **options)
    return play.running(handle.workflow_id)


async def refusal(play: Play, release: str | None = None) -> str:
    with pytest.raises(Refused) as refused:
        await (await go_back(play, release)).result()
    return refused.value.message


def brought(play: Play) -> list[str]:
    """The hosts that had turns in the last deployment, in order."""
    last = play.script.turns[-1].given.deployment
    return [turn.host for turn in play.script.turns if turn.given.deployment == last]


async def test_each_host_gets_what_it_ran_before(stage: Stage) -> None:
    """To the digest: also the configuration of then."""
    play = await stage.play(hosts=4, max_unavailable=1, rollback_max_unavailable="100%")
    await play.deploy("1.0")
    before = dict(play.script.runs)
    await play.apply(variables={"LEVEL": "wild"})
    await play.deploy("2.0")
    assert set(play.script.runs.values()).isdisjoint(before.values())
    play.script.hold()
    running = await go_back(play, reason="customers call")
    await play.under_way(4)  # all at once: the pace is that of rollbacks
    play.script.let_go()
    result = await running.result()

    assert (result.state, result.outcomes) == ("succeeded", {"updated": 4})
    assert (result.release, result.previous_release) == ("1.0", "2.0")
    assert play.script.runs == before
    stored = await running.stored()
    assert (stored.kind, stored.reason) == ("rollback", "customers call")
    assert await stage.catalog.deployments.current_release(play.application, "prod") == "1.0"


async def test_it_is_held_by_no_gate(stage: Stage) -> None:
    """Rule 15; the control is the deployment that is."""
    play = await stage.play(hosts=2)
    await play.deploy("1.0")
    await play.deploy("2.0")
    await play.apply(approval=True)
    control = await play.start("3.0")
    await control.until("awaiting")
    await control.said.abort()
    await control.result()
    assert (await (await go_back(play, "1.0")).result()).outcomes == {"updated": 2}


async def test_only_hosts_that_were_changed_go_back(stage: Stage) -> None:
    """One that was not reached, and one that was put back, run it still."""
    play = await stage.play(
        hosts=4, locations=1, max_failures=1, max_unreachable=1, max_unavailable=3
    )
    await play.deploy("1.0")
    play.script.fail("h1", end=ConnectFailed)
    play.script.fail("h2", end=Outcome.REVERTED)
    assert (await play.deploy("2.0")).state == "partial"
    play.script.ends.clear()
    assert (await (await go_back(play)).result()).outcomes == {"updated": 2}
    assert sorted(brought(play)) == ["h3", "h4"]


async def test_what_has_gone_back_does_not_go_back_again(stage: Stage) -> None:
    """Nobody means to go forward with it, nor further back without saying so."""
    play = await stage.play(hosts=2)
    await play.release("1.0")
    assert "no deployment that could be taken back" in await refusal(play)
    await play.deploy("1.0")
    assert "changed no host that ran a release before" in await refusal(play)
    await play.deploy("2.0")
    await (await go_back(play)).result()
    assert "#3 has gone back already (succeeded)" in await refusal(play)
    play.script.fail("h1")
    await play.deploy("3.0")
    play.script.ends.clear()
    assert "#4 has gone back already (rolled_back)" in await refusal(play)
    assert (await (await go_back(play, "2.0")).result()).outcomes == {"updated": 2}


async def test_one_that_came_only_part_of_the_way_goes_on(stage: Stage) -> None:
    play = await stage.play(hosts=4, max_unreachable=1, rollback_max_unavailable="100%")
    await play.deploy("1.0")
    await play.deploy("2.0")
    play.script.fail("h3", end=ConnectFailed)
    first = await (await go_back(play)).result()
    assert (first.state, first.outcomes) == ("partial", {"updated": 3, "unreachable": 1})
    play.script.ends.clear()
    second = await (await go_back(play)).result()
    assert second.state == "succeeded"
    assert "h3" in brought(play)


async def test_a_release_by_name_comes_as_a_rollback_does(stage: Stage) -> None:
    """In one wave without a bake; of the whole fleet it is the current release then."""
    play = await stage.play(hosts=3, waves=[{"share": 1, "bake": "1h"}, "100%"], locations=1)
    await play.release("1.0")
    result = await (await go_back(play, "1.0", limit="h1 | h2")).result()
    assert (result.state, result.outcomes) == ("succeeded", {"updated": 2})
    assert await stage.catalog.deployments.current_release(play.application, "prod") is None
    assert (await (await go_back(play, "1.0")).result()).state == "succeeded"
    assert await stage.catalog.deployments.current_release(play.application, "prod") == "1.0"


async def test_too_many_failures_halt_it(stage: Stage) -> None:
    """There is nothing behind it to go back to."""
    play = await stage.play(hosts=4, max_unavailable=1, rollback_max_unavailable=1, locations=1)
    await play.deploy("1.0")
    await play.deploy("2.0")
    play.script.fail("h1", "h2", "h3", "h4")
    result = await (await go_back(play)).result()
    assert (result.state, result.outcomes) == ("halted", {"reverted": 1, "not_started": 3})


async def test_a_rollback_is_not_told_to_roll_back(stage: Stage) -> None:
    play = await stage.play(hosts=2, locations=1)
    await play.deploy("1.0")
    await play.deploy("2.0")
    play.script.hold()
    running = await go_back(play)
    await play.under_way(1)
    await running.said.rollback("forward again?")
    play.script.let_go()
    result = await running.result()
    assert result.state == "aborted"
    assert "a rollback is not taken back: deploy a release" in result.detail
