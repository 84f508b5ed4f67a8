"""Batches run side by side where more hosts may be out than one batch has."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from apollo.domain import engine, relay
from apollo.domain.known import Known
from apollo.domain.status import DeploymentState
from apollo.workflows.batches import Batches
from tests.support.falsify import broken_rules
from tests.support.stage import (
    Play,
    Running,
    Stage,
    batches_have_ended,
    failures,
    heard,
    looks,
    small_batches,
    until,
)

BATCH = 4
HOSTS = [f"h{n}" for n in range(1, 25)]


@pytest.fixture(autouse=True)
def batches_of_four() -> Iterator[None]:
    with small_batches(BATCH):
        yield


async def play(stage: Stage, **strategy: Any) -> Play:
    """24 hosts that serve, twelve of which may be out: three batches."""
    found = await stage.play(len(HOSTS), 2, max_unavailable="50%", **strategy)
    assert (await found.deploy("1.0")).state is DeploymentState.SUCCEEDED
    found.script.turns.clear()
    return found


async def test_three_batches_at_once(stage: Stage) -> None:
    shop = await play(stage)
    shop.script.hold()
    running = await shop.start("2.0")
    at_once = await shop.under_way(12)
    shop.script.let_go()
    result = await running.result()

    assert sorted(at_once) == sorted(HOSTS[:12])
    assert result.state is DeploymentState.SUCCEEDED
    assert shop.script.most_at_once == 12
    assert sorted(shop.script.begun()) == sorted(HOSTS)
    assert failures(await running.events()) == []


async def test_the_next_batch_begins_where_one_has_ended(stage: Stage) -> None:
    shop = await play(stage)
    shop.script.hold(*HOSTS[4:12])
    running = await shop.start("2.0")
    await shop.began(*HOSTS)
    assert set(await shop.under_way(8)) == set(HOSTS[4:12])
    shop.script.let_go()

    assert (await running.result()).outcomes == {"updated": 24}


async def test_only_who_follows_a_batch_looks_who_is_out_when_it_has_ended(stage: Stage) -> None:
    shop = await play(stage)
    shop.script.hold("h1", *HOSTS[4:])
    running = await shop.start("2.0")
    await shop.began("h13")

    async def looked(number: int) -> int:
        return await looks(running, running.batch(1, number))

    async def has_looked() -> bool:
        return await looked(4) == 1

    assert [await looked(number) for number in (1, 2, 3, 4)] == [0, 0, 0, 0]
    shop.script.let_go("h1")
    await until(has_looked, "the fourth batch, which has the first one's lanes, has looked")
    assert [await looked(number) for number in (1, 2, 3)] == [0, 0, 0]
    shop.script.let_go()

    assert (await running.result()).outcomes == {"updated": 24}
    assert failures(await running.events()) == []


async def test_budgets_add_up(stage: Stage) -> None:
    """Two failures of different batches, one is allowed: no host begins a turn any more."""
    shop = await play(stage, max_failures=1, on_failure="halt")
    shop.script.fail("h1", "h5")
    shop.script.hold(*HOSTS)
    running = await shop.start("2.0")
    await shop.under_way(12)
    shop.script.let_go("h1", "h5")
    await until(lambda: _told(running, {1: 1, 2: 1}), "both failures are told")
    shop.script.let_go()
    result = await running.result()

    assert result.state is DeploymentState.HALTED
    assert result.outcomes["reverted"] == 2
    assert len(shop.script.begun()) == 12
    assert "2 hosts failed, 1 were allowed" in result.detail


@pytest.mark.parametrize("each_is_told", [True, False])
async def test_where_few_failures_are_left_each_is_told(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, each_is_told: bool
) -> None:
    """Six are allowed, each batch tells of three at the earliest, seven of all of them fail."""
    monkeypatch.setattr(engine, "TOLD_AT_MOST", 1)
    monkeypatch.setattr(engine, "UNTOLD_PART", 1)
    monkeypatch.setattr(relay, "RELAYS", 1)
    if not each_is_told:
        monkeypatch.setattr(engine, "each_counts", lambda *given: False)
    shop = await play(stage, max_failures=6, on_failure="halt")
    shop.script.fail("h1", "h2", "h3", "h5", "h6", "h9", "h10")
    shop.script.hold(*HOSTS)
    running = await shop.start("2.0")
    await shop.under_way(12)
    shop.script.let_go("h1", "h2", "h3")
    await until(lambda: _told(running, {1: 3}), "the first has told of three")
    if each_is_told:
        for number in (2, 3):
            await running.batch_heard("each_failure", number=number)
    shop.script.let_go("h5", "h6", "h9", "h10")
    await shop.under_way(5)
    if each_is_told:
        await until(lambda: _told(running, {1: 3, 2: 2, 3: 2}), "all seven are told")
    shop.script.let_go("h4")
    if not each_is_told:
        await shop.began("h13", "h14", "h15", "h16")
    shop.script.let_go()
    result = await running.result()

    assert result.state is DeploymentState.HALTED
    assert "7 hosts failed, 6 were allowed" in result.detail
    assert (sorted(shop.script.begun()) == sorted(HOSTS[:12])) is each_is_told


@pytest.mark.parametrize("adds_up", [True, False])
async def test_a_batch_returns_with_the_failure_that_is_one_too_many(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, adds_up: bool
) -> None:
    """It is the batch's last end, which it tells by returning."""
    monkeypatch.setattr(relay, "RELAYS", 1)
    if not adds_up:
        told = Batches._add_failures_up
        monkeypatch.setattr(
            Batches, "_add_failures_up", lambda self, returned=False: returned or told(self)
        )
    shop = await play(stage, max_failures=6, on_failure="halt")
    shop.script.fail("h1", "h2", "h3", "h4", "h5", "h6", "h7")
    shop.script.hold(*HOSTS)
    running = await shop.start("2.0")
    await shop.under_way(12)
    shop.script.let_go("h1", "h2", "h3", "h5", "h6", "h7")
    await until(lambda: _told(running, {1: 3, 2: 3}), "six are told")
    shop.script.let_go("h4")
    if not adds_up:
        await shop.began("h13")
    await until(lambda: batches_have_ended(running, 1), "the first has returned")
    shop.script.let_go()
    result = await running.result()

    assert result.state is DeploymentState.HALTED
    assert "7 hosts failed, 6 were allowed" in result.detail
    assert (sorted(shop.script.begun()) == sorted(HOSTS[:12])) is adds_up


async def _told(running: Running, failures: dict[int, int]) -> bool:
    """Whether these batches have told of so many failures."""
    told = {told["batch"]: told["failures"] for _, told in await heard(running)}
    return {number: told.get(number, 0) for number in failures} == failures


async def test_a_pause_holds_all_of_them(stage: Stage) -> None:
    shop = await play(stage)
    shop.script.hold()
    running = await shop.start("2.0")
    await shop.under_way(12)
    await running.said.pause()
    await running.until("paused")
    shop.script.let_go()
    await shop.under_way(0)
    assert len(shop.script.begun()) == 12
    await running.said.resume()

    assert (await running.result()).outcomes == {"updated": 24}


@pytest.mark.parametrize("together", [True, False])
async def test_all_come_down_to_a_lower_pace_before_another_host_begins(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, together: bool
) -> None:
    """Six may be out: while eight of two batches are under way the fourth must not begin."""
    if not together:
        monkeypatch.setattr(Known, "narrowing", False)
    shop = await play(stage)
    shop.script.hold(*HOSTS)
    running = await shop.start("2.0")
    await shop.under_way(12)
    await running.said.pace("25%", "latency is up")
    for number in (1, 2, 3):
        await running.batch_heard("narrows", number=number)
    shop.script.let_go(*HOSTS[8:12])
    await until(lambda: _has_begun(running, 4), "the fourth batch has begun")
    await shop.under_way(8 if together else 10)
    await asyncio.sleep(1)
    assert len(shop.script.running()) == (8 if together else 10)
    shop.script.let_go("h1", "h2")
    if together:
        await shop.under_way(6)
        shop.script.let_go("h5", "h6")
        await shop.began("h13", "h14")
        assert set(shop.script.running()) == {"h3", "h4", "h7", "h8", "h13", "h14"}
    shop.script.let_go()
    result = await running.result()

    assert result.outcomes == {"updated": 24}
    assert failures(await running.events()) == []
    if together:
        assert await broken_rules(running) == {}


async def _has_begun(running: Running, number: int) -> bool:
    begun = [e.child_workflow_execution_started_event_attributes for e in await running.events()]
    return running.batch(number=number) in [each.workflow_execution.workflow_id for each in begun]


async def test_who_does_not_come_down_is_told_of_and_it_pauses_itself(stage: Stage) -> None:
    shop = await play(stage, progress_deadline="2s")
    shop.script.hold(*HOSTS)
    running = await shop.start("2.0")
    await shop.under_way(12)
    await running.said.pace("25%", "latency is up")
    shop.script.let_go(*HOSTS[4:])
    stored = await running.until("paused")
    assert stored.detail.startswith("no turn has ended for 2s in ")
    assert set(shop.script.running()) == set(HOSTS[:4])
    shop.script.let_go()
    result = await running.result()

    assert result.outcomes == {"updated": 24}
    assert failures(await running.events()) == []


async def test_an_abort_ends_all_of_them(stage: Stage) -> None:
    shop = await play(stage)
    shop.script.hold()
    running = await shop.start("2.0")
    await shop.under_way(12)
    await running.said.abort()
    for number in (1, 2, 3):
        await running.batch_heard("stop", number=number)
    shop.script.let_go()
    result = await running.result()

    assert result.state is DeploymentState.ABORTED
    assert result.outcomes == {"updated": 12, "not_started": 12}


async def test_a_role_waits_for_the_one_before(stage: Stage) -> None:
    """A new role's batch is a barrier: nothing runs beside what comes before it."""
    shop = await play(
        stage,
        order=["web", "worker"],
        labels=lambda n: {"role": "worker" if n % 3 == 0 else "web"},
    )
    shop.script.hold("h1")
    running = await shop.start("2.0")
    web = [f"h{n}" for n in range(1, 25) if n % 3]
    await shop.began(*web)
    assert sorted(shop.script.begun()) == sorted(web)
    shop.script.let_go()

    assert (await running.result()).outcomes == {"updated": 24}


async def test_hosts_of_any_of_them_are_skipped(stage: Stage) -> None:
    shop = await play(stage)
    shop.script.hold()
    running = await shop.start("2.0")
    await shop.under_way(12)
    await running.said.skip("h13 | h24")
    shop.script.let_go()
    result = await running.result()

    assert result.outcomes == {"updated": 22, "skipped": 2}


async def test_without_room_for_shares_they_run_alone(stage: Stage) -> None:
    """Four disabled hosts take the two that one of three batches may have out in each location."""
    shop = await play(stage)
    disabled = ["h1", "h2", "h3", "h4"]
    await stage.catalog.hosts.disable(shop.application, "prod", disabled, "ada", "burnt")
    running = await shop.start("2.0")
    result = await running.result()

    assert result.outcomes == {"updated": 20}
    assert shop.script.most_at_once <= BATCH
    assert len(await running.events(running.batch(number=5))) > 0
