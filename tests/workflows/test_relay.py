"""A batch begins while the last turns of the one before end: nobody waits for one slow host."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from apollo.domain import relay
from apollo.domain.status import DeploymentState, Outcome
from tests.support.falsify import broken_rules
from tests.support.stage import Play, Running, Stage, failures, small_batches

BATCH = 4
HOSTS = [f"h{n}" for n in range(1, 17)]


@pytest.fixture(autouse=True)
def batches_of_four() -> Iterator[None]:
    with small_batches(BATCH):
        yield


async def play(stage: Stage, **strategy: Any) -> Play:
    """16 hosts in two locations, four of which may be out: one batch of four at a time."""
    found = await stage.play(len(HOSTS), 2, max_unavailable="25%", **strategy)
    assert (await found.deploy("1.0")).state is DeploymentState.SUCCEEDED
    found.script.turns.clear()
    return found


async def one_is_slow(stage: Stage, **strategy: Any) -> tuple[Play, Running]:
    shop = await play(stage, **strategy)
    shop.script.hold("h1")
    running = await shop.start("2.0")
    await shop.began(*HOSTS[:4])
    return shop, running


async def test_one_slow_host_holds_no_other_batch(stage: Stage) -> None:
    shop, running = await one_is_slow(stage)
    await shop.began(*HOSTS[:8])
    await shop.under_way(1)
    assert sorted(shop.script.begun()) == sorted(HOSTS[:8]), "a third batch waits for the first"
    shop.script.let_go()
    result = await running.result()

    assert result.outcomes == {"updated": 16}
    assert shop.script.most_at_once <= 4
    assert most_in_a_location(shop) <= 2
    assert failures(await running.events()) == []
    assert await broken_rules(running) == {}


async def test_with_very_many_batches_each_waits_for_the_one_before(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the control of the test before."""
    monkeypatch.setattr(relay, "RELAYS", 3)
    shop, running = await one_is_slow(stage)
    await shop.under_way(1)
    await asyncio.sleep(1)
    assert sorted(shop.script.begun()) == sorted(HOSTS[:4])
    shop.script.let_go()
    assert (await running.result()).outcomes == {"updated": 16}


async def test_failures_of_both_add_up(stage: Stage) -> None:
    shop = await play(stage, max_failures=1, on_failure="halt")
    shop.script.fail("h1", "h6")
    shop.script.hold("h1", "h5")
    running = await shop.start("2.0")
    await shop.began(*HOSTS[:6], "h8")
    await shop.under_way(2)
    shop.script.let_go("h1")
    await shop.under_way(1)
    shop.script.let_go()
    result = await running.result()

    assert result.state is DeploymentState.HALTED
    assert result.outcomes["reverted"] == 2
    assert "2 hosts failed, 1 were allowed" in result.detail
    assert not set(HOSTS[8:]) & set(shop.script.begun())


@pytest.mark.parametrize("end", [Outcome.BROKEN, Outcome.UPDATED])
async def test_a_host_that_breaks_in_the_last_turns_keeps_its_room(
    stage: Stage, end: Outcome
) -> None:
    """h1 and h3 have the two lanes of their location; where h3 serves again, h5 follows it."""
    shop = await play(stage, max_failures=3)
    shop.script.fail("h3", end=end)
    shop.script.hold("h1", "h3")
    running = await shop.start("2.0")
    await shop.began("h6", "h8")
    await shop.under_way(2)
    shop.script.let_go("h3")
    if end is Outcome.UPDATED:
        await shop.began("h5")
    else:
        await asyncio.sleep(1)
        assert "h5" not in shop.script.begun()
    shop.script.let_go()
    result = await running.result()

    broken = end is Outcome.BROKEN
    assert result.outcomes == ({"updated": 15, "broken": 1} if broken else {"updated": 16})
    assert most_in_a_location(shop, broken="h3" if broken else "") <= 2
    assert await broken_rules(running) == {}


async def test_a_pause_holds_both(stage: Stage) -> None:
    shop, running = await one_is_slow(stage)
    shop.script.hold("h1", "h6")
    await shop.began("h6")
    await running.said.pause()
    await running.until("paused")
    begun = set(shop.script.begun())
    shop.script.let_go()
    await shop.under_way(0)
    await asyncio.sleep(0.5)
    assert set(shop.script.begun()) == begun
    await running.said.resume()

    assert (await running.result()).outcomes == {"updated": 16}


async def test_a_batch_that_is_ended_from_outside_is_taken_up_again(stage: Stage) -> None:
    shop, running = await one_is_slow(stage)
    await shop.began(*HOSTS[:8])
    await shop.under_way(1)
    await stage.temporal("workflow", "terminate", "-w", running.batch(1, 1, "forward"))
    await running.until("paused")
    shop.script.let_go()
    await running.said.resume()

    assert (await running.result()).outcomes == {"updated": 16}
    assert shop.script.begun().count("h1") <= 2


async def test_a_role_waits_for_the_one_before(stage: Stage) -> None:
    """A batch in which a role begins waits for all before it."""
    shop = await play(
        stage,
        order=["web", "worker"],
        labels=lambda n: {"role": "worker" if n % 4 in (0, 3) else "web"},
    )
    shop.script.hold("h1")
    running = await shop.start("2.0")
    web = [f"h{n}" for n in range(1, 17) if n % 4 in (1, 2)]
    await shop.began(*web)
    await shop.under_way(1)
    assert sorted(shop.script.begun()) == sorted(web)
    shop.script.let_go()

    assert (await running.result()).outcomes == {"updated": 16}


def most_in_a_location(shop: Play, broken: str = "") -> int:
    """How many hosts of one location were out at the same time; hosts go round two of them."""
    moments = []
    for turn in shop.script.turns:
        assert turn.ended is not None
        place = int(turn.host[1:]) % 2
        moments.append((turn.began, 1, place))
        if turn.host != broken:
            moments.append((turn.ended, -1, place))
    now, most = [0, 0], 0
    for _, step, place in sorted(moments):
        now[place] += step
        most = max(most, *now)
    return most
