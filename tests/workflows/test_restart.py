"""A restart goes by all the rules of a deployment, and brings no release."""

import pytest

from apollo.domain.status import Outcome
from apollo.errors import Refused
from tests.support.stage import Stage


async def test_each_host_keeps_what_it_runs(stage: Stage) -> None:
    """Also where hosts run different releases; the environment's release stays what it was."""
    play = await stage.play(hosts=8, waves=[1, "100%"])
    await play.deploy("1.0")
    await play.deploy("2.0", limit="h3")
    before = dict(play.script.runs)
    play.script.turns.clear()
    result = await play.restart()

    assert (result.state, result.outcomes, result.release) == ("succeeded", {"updated": 8}, "1.0")
    assert play.script.runs == before
    assert len(set(before.values())) == 2
    assert all(turn.given.restart for turn in play.script.turns)
    assert {turn.host: turn.given.manifest for turn in play.script.turns} == before
    assert play.script.most_at_once <= 2
    assert sorted({turn.given.wave for turn in play.script.turns}) == [1, 2]
    stored = await stage.catalog.deployments.get(play.application, "prod", 3)
    assert (stored.kind, stored.whole_fleet) == ("restart", False)
    assert await stage.catalog.deployments.current_release(play.application, "prod") == "1.0"


async def test_hosts_that_run_nothing_are_not_planned(stage: Stage) -> None:
    play = await stage.play(hosts=4, max_unavailable="100%")
    with pytest.raises(Refused, match="no host is known to run anything"):
        await play.restart()
    await play.deploy("1.0", limit="h1 | h2")
    result = await play.restart()
    assert (result.release, result.outcomes) == ("1.0", {"updated": 2})
    assert (await play.restart(limit="h2")).outcomes == {"updated": 1}
    with pytest.raises(Refused, match="no host is known"):
        await play.restart(limit="h3")


async def test_one_that_fails_halts_and_takes_nothing_back(stage: Stage) -> None:
    play = await stage.play(hosts=4, on_failure="rollback")
    await play.deploy("1.0")
    play.script.fail("h2")
    result = await play.restart()
    assert result.state == "halted"
    assert result.outcomes["reverted"] == 1
    assert play.script.begun("rollback") == []


async def test_a_broken_host_is_restarted_first_and_mended(stage: Stage) -> None:
    play = await stage.play(hosts=4, max_failures=1)
    await play.deploy("1.0")
    play.script.fail("h3", end=Outcome.BROKEN)
    assert (await play.restart()).outcomes == {"updated": 3, "broken": 1}
    del play.script.ends["h3"]
    play.script.turns.clear()
    assert (await play.restart()).state == "succeeded"
    assert "h3" in play.script.begun()[:2]  # one lane in each of the two locations


async def test_rollback_ends_it_at_the_next_host_boundary(stage: Stage) -> None:
    play = await stage.play(hosts=4)
    await play.deploy("1.0")
    play.script.turns.clear()
    play.script.hold()
    handle = await stage.apollo.restart(play.application, "prod")
    running = play.running(handle.workflow_id)
    begun = await play.under_way(2)
    await running.said.rollback("enough")
    await running.batch_heard("stop")
    play.script.let_go()
    result = await running.result()
    assert result.state == "aborted"
    assert result.detail.endswith("a restart has nothing to take back")
    assert result.outcomes == {"updated": 2, "not_started": 2}
    assert play.script.begun() == begun


async def test_what_makes_no_sense_is_refused(stage: Stage) -> None:
    play = await stage.play(hosts=2)
    await play.deploy("1.0")
    with pytest.raises(Refused, match=r"leave '1\.0' out"):
        await stage.apollo.plan(play.application, "prod", "1.0", restart=True)
    with pytest.raises(Refused, match="ask for one"):
        await stage.apollo.plan(play.application, "prod", None, restart=True, only="outdated")
