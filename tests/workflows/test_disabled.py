"""A host that is disabled while its batch is under way has no turn any more."""

import pytest

from tests.support.falsify import broken_rules
from tests.support.stage import Play, Running, Stage, failures, looks, until


async def six(stage: Stage) -> tuple[Play, Running]:
    """Six hosts that serve, in one batch; the first of each location are held in their turns."""
    play = await stage.play(hosts=6)
    await play.deploy("1.0")
    play.script.turns.clear()
    play.script.hold()
    running = await play.start("1.1")
    await play.began("h1", "h2")
    return play, running


async def looked(running: Running, batch: str = "") -> None:
    """Wait until the batch knows."""

    async def has() -> bool:
        return await looks(running, batch) > 0

    await until(has, "the batch has looked")


async def test_one_that_waits_has_no_turn_and_counts_as_out(stage: Stage) -> None:
    play, running = await six(stage)
    changed = await stage.apollo.disable(play.application, "prod", "h5", "its disk is dying")
    assert changed == ["h5"]
    await looked(running)
    play.script.let_go()
    stored = await running.until("paused")
    assert stored.detail.startswith("no room in fra1"), "it is out, and one may be"
    await running.said.pace("2", "h5 waits for its disk")
    await running.said.resume()
    result = await running.result()
    assert (result.state, result.outcomes) == ("partial", {"updated": 5, "not_started": 1})
    assert "h5" not in play.script.begun()
    assert await broken_rules(running) == {}
    assert failures(await running.events(running.batch())) == []


async def test_one_in_its_turn_ends_it(stage: Stage) -> None:
    play, running = await six(stage)
    await stage.apollo.disable(play.application, "prod", "h1", "its disk is dying")
    await running.said.pace("3")
    play.script.let_go()
    assert (await running.result()).outcomes == {"updated": 6}
    assert [turn.cancelled for turn in play.script.turns] == [False] * 6


async def test_one_that_is_enabled_in_time_has_its_turn(stage: Stage) -> None:
    play, running = await six(stage)
    await stage.apollo.disable(play.application, "prod", "h5", "its disk is dying")
    await stage.apollo.enable(play.application, "prod", "h5", "it was the cable")
    play.script.let_go()
    assert (await running.result()).outcomes == {"updated": 6}


async def test_without_being_told_the_batch_does_not_look(stage: Stage) -> None:
    """The control: written to the catalog only, as when the signal was lost."""
    play, running = await six(stage)
    await stage.catalog.hosts.disable(play.application, "prod", ["h5"], "ada", "its disk")
    play.script.let_go()
    assert (await running.result()).outcomes == {"updated": 6}
    assert await looks(running) == 0


@pytest.mark.parametrize("named", [True, False])
async def test_one_that_was_disabled_before_its_batch_began_is_left_out(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, named: bool
) -> None:
    """The batch does not give it a turn, and must know of it all the same."""
    if not named:
        monkeypatch.setattr("apollo.activities.deployments.kept_from", lambda rows, absent: {})
    play = await stage.play(hosts=6, waves=["2", "100%"], max_unavailable=2)
    await play.deploy("1.0")
    play.script.turns.clear()
    play.script.hold()
    running = await play.start("1.1")
    await play.began("h1", "h2")
    await stage.apollo.disable(play.application, "prod", "h5", "its disk is dying")
    play.script.hold("h3")
    play.script.let_go("*")
    await play.began("h3")
    assert "h5" in await running.said.skip("h5", reason="it goes to the shop")
    play.script.let_go()
    outcomes = (await running.result()).outcomes
    assert outcomes == {"updated": 5, ("skipped" if named else "not_started"): 1}
    assert "h5" not in play.script.begun()
    assert await broken_rules(running) == {}


async def test_it_is_no_host_of_a_rollback_either(stage: Stage) -> None:
    play = await stage.play(hosts=6, waves=["4", "100%"], rollback_max_unavailable=1)
    await play.deploy("1.0")
    play.script.hold("rollback")
    play.script.fail("h5")
    running = await play.start("1.1")
    await play.under_way(2)
    back = set(play.script.running())
    late = min({"h1", "h2", "h3", "h4"} - back)
    await stage.apollo.disable(play.application, "prod", late, "its disk is dying")
    await looked(running, running.batch(phase="rollback"))
    play.script.let_go()
    await running.result()
    assert late not in play.script.begun("rollback")
    assert back <= set(play.script.begun("rollback"))


async def test_a_deployment_that_cannot_be_told_keeps_nobody_from_disabling(stage: Stage) -> None:
    """Its workflow was ended from outside: it still has the lease, and hears nothing."""
    play, running = await six(stage)
    await running.handle.terminate("gone")
    changed = await stage.apollo.disable(play.application, "prod", "h5", "its disk is dying")
    assert changed == ["h5"]
    play.script.let_go()
