"""Hosts that appear or vanish while a deployment runs (the inventory was applied anew)."""

from apollo.domain.status import Outcome
from apollo.errors import ConnectFailed
from tests.support.stage import Stage, until


def left(*hosts: str) -> list[str]:
    """The fleet of eight without these."""
    return [f"h{n}" for n in range(1, 9) if f"h{n}" not in hosts]


async def test_a_host_that_appears_waits_for_the_next_sync(stage: Stage) -> None:
    play = await stage.play(hosts=2)
    play.script.hold()
    running = await play.start("1.0")
    await play.began("h1", "h2")
    await play.apply(hosts=["h1", "h2", "h3"])
    play.script.let_go()
    result = await running.result()
    assert (result.state, result.outcomes) == ("succeeded", {"updated": 2})
    assert (await play.sync()).outcomes == {"updated": 1}
    assert play.script.begun()[-1] == "h3"


async def test_one_that_is_gone_before_its_wave_is_skipped(stage: Stage) -> None:
    """Here a whole wave; the deployment goes on."""
    waves = [1, "50%", "100%"]
    play = await stage.play(hosts=8, waves=waves, max_unreachable=0)
    play.script.hold()
    running = await play.start("1.0")
    await play.under_way(1)
    stored = await running.stored()
    rows = await stage.catalog.plans.rows(stored.uuid)
    second = [row.host for row in rows if row.wave == 2]
    assert len(second) == 3
    await play.apply(hosts=left(*second))
    play.script.fail(*second, end=ConnectFailed)
    play.script.let_go()
    result = await running.result()
    assert (result.state, result.outcomes) == ("partial", {"updated": 5, "skipped": 3})
    assert not set(second) & set(play.script.begun())
    assert await stage.catalog.deployments.current_release(play.application, "prod") == "1.0"


async def test_one_that_is_gone_before_its_turn_is_skipped(stage: Stage) -> None:
    """Of the batch that is under way; one in its turn ends its turn."""
    play = await stage.play(hosts=8)
    play.script.hold()
    running = await play.start("1.0")
    await play.began("h1", "h2")
    await play.apply(hosts=left("h1", "h7", "h8"))
    play.script.hold("h5", "h6")
    play.script.let_go("*")

    async def told() -> bool:
        return list((await running.outcomes()).values()).count("skipped") == 2

    await until(told, "those that wait are skipped")
    play.script.let_go()
    result = await running.result()
    assert result.outcomes == {"updated": 6, "skipped": 2}
    assert not {"h7", "h8"} & set(play.script.begun())


async def test_one_that_is_gone_uses_no_budget(stage: Stage) -> None:
    """Its machine is no more: it could not be reached, and nobody waits for it."""
    play = await stage.play(hosts=8, max_unreachable=0)
    await play.deploy("1.0")
    play.script.turns.clear()
    play.script.hold()
    play.script.fail("h1", end=ConnectFailed)
    running = await play.start("2.0")
    await play.began("h1")
    await play.apply(hosts=left("h1"))
    play.script.let_go()
    result = await running.result()
    assert (result.state, result.outcomes) == ("partial", {"updated": 7, "skipped": 1})
    assert play.script.begun().count("h1") == 1


async def test_one_that_stays_uses_its_budget(stage: Stage) -> None:
    """The control."""
    play = await stage.play(hosts=8, max_unreachable=0)
    play.script.fail("h1", end=ConnectFailed)
    running = await play.start("2.0")
    stored = await running.until("paused")
    assert "1 hosts are unreachable, 0 are allowed" in stored.detail
    await running.said.abort()
    await running.result()


async def test_one_that_is_gone_is_not_taken_back(stage: Stage) -> None:
    play = await stage.play(hosts=8, waves=["50%", "100%"], on_failure="rollback")
    await play.deploy("1.0")
    play.script.turns.clear()
    play.script.hold("h5", "h6")
    play.script.fail("h5", "h6")
    running = await play.start("2.0")
    await play.began("h5", "h6")
    await play.apply(hosts=left("h1"))
    play.script.let_go()
    result = await running.result()
    assert result.state == "rolled_back"
    assert set(play.script.begun("rollback")) >= {"h2", "h3", "h4"}
    assert "h1" not in play.script.begun("rollback")
    assert result.outcomes["rolled_back"] == 3
    assert result.outcomes["updated"] == 1, "it is left as it was"


async def test_one_that_is_gone_and_out_needs_no_room(stage: Stage) -> None:
    """Capacity is of the fleet as planned; nobody misses a host that was taken out of it."""
    play = await stage.play(hosts=4, waves=["50%", "100%"], max_failures=1)
    await play.deploy("1.0")
    play.script.turns.clear()
    play.script.fail("h1", end=Outcome.BROKEN)
    play.script.hold("h2")
    running = await play.start("2.0")
    await play.began("h1", "h2")
    await play.apply(hosts=["h2", "h3", "h4"])
    play.script.let_go()
    result = await running.result()
    assert (result.state, result.outcomes) == ("partial", {"broken": 1, "updated": 3})
