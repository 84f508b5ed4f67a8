"""The machinery is killed in the middle: nothing is lost and nothing is done twice."""

import asyncio
import os
import random
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

from apollo.client import DeploymentHandle
from apollo.domain.capacity import Allowance
from apollo.domain.setup import Once
from apollo.domain.status import DeploymentState
from apollo.local.judge import HookRun, repeated_hooks
from apollo.testing.artifact import write_artifact
from tests.support.gate import gated_release, open_gate, until_attached
from tests.support.scene import eventually
from tests.support.witness import hooks_of, locations, out_at_once, versions
from tests.support.world import World

TAKEOVER = 2
AT_ONCE = "strategy: {waves: [100%], max_unavailable: 100%}"


async def slow_release(world: World, version: str, seconds: int) -> None:
    """A release whose `start` takes so long."""
    dist = write_artifact(world.folder / f"dist-{version}", version)
    start = dist / "bin" / "start"
    text = start.read_text().replace(". bin/common\n", f". bin/common\nsleep {seconds}\n")
    start.write_text(text)
    await world.apollo.create_release("shop", version, world.project.setup, dist)


async def start_and_kill(world: World) -> DeploymentHandle:
    """A deployment whose worker is killed while `start` runs, which waits at its gate."""
    await gated_release(world, "1.0.0")
    world.start_worker()
    deployment = await world.apollo.deploy("shop", "prod", "1.0.0")

    await until_started(world, 1)
    world.kill_worker()
    return deployment


async def until_started(world: World, times: int) -> None:
    """Wait until `start` has begun so often."""

    async def started() -> bool:
        return begun(world, "start") == times

    await eventually(started, rounds=1200)


def begun(world: World, step: str) -> int:
    """How many hooks of that step have begun, or of any (`""`)."""
    return sum(step in ("", run.step) for run in world.hooks())


async def test_a_killed_workers_start_is_attached_to(tmp_path: Path) -> None:
    async with World(tmp_path, {"fra1": 1}, takeover=TAKEOVER) as world:
        deployment = await start_and_kill(world)
        world.start_worker()
        await until_attached(world)
        open_gate(world, "fra1")
        result = await deployment.result()
        status = await deployment.status()
        assert await versions(world.fleet) == {"fra1-01": "1.0.0"}

    assert result.state is DeploymentState.SUCCEEDED
    assert result.outcomes == {"updated": 1}
    runs = world.hooks()
    assert repeated_hooks(runs) == {}
    assert [run.step for run in runs] == ["install", "start", "validate"]
    assert status
    (row,) = status.rows
    assert "activate" in row.attached
    assert row.record
    assert row.record.attempts > 1


async def test_without_its_journal_a_hook_runs_twice(tmp_path: Path) -> None:
    """The control: what keeps a hook from being repeated is the host's journal, nothing else."""
    async with World(tmp_path, {"fra1": 1}, takeover=TAKEOVER) as world:
        deployment = await start_and_kill(world)
        shutil.rmtree(Path(world.fleet.host("fra1-01").folder) / "shop" / ".apollo")
        world.start_worker()
        await until_started(world, 2)
        open_gate(world, "fra1")
        await deployment.result()

    repeated = repeated_hooks(world.hooks())
    assert ("shop/prod#1", "fra1-01", "1", "start", "1.0.0") in repeated


async def migrating_release(world: World) -> DeploymentHandle:
    """A deployment whose worker is killed while its `once.before` runs, which waits at a gate."""
    dist = write_artifact(world.folder / "dist-1.0.0", "1.0.0")
    ran, gate = world.folder / "migrated", world.folder / "gate-once"
    (dist / "bin" / "migrate").write_text(
        f"#!/bin/sh\necho ran >>{ran}\nuntil [ -e {gate} ]; do sleep 0.1; done\n"
    )
    once = Once.model_validate({"before": "sh bin/migrate"})
    setup = world.project.setup.model_copy(update={"once": once})
    await world.apollo.create_release("shop", "1.0.0", setup, dist)
    world.start_worker()
    deployment = await world.apollo.deploy("shop", "prod", "1.0.0")
    await until_migrated(world, 1)
    world.kill_worker()
    return deployment


async def until_migrated(world: World, times: int) -> None:
    """Wait until `once.before` has begun so often."""
    ran = world.folder / "migrated"

    async def begun() -> bool:
        return ran.exists() and ran.read_text() == "ran\n" * times

    await eventually(begun, rounds=1200)


async def test_a_killed_workers_once_hook_is_attached_to(tmp_path: Path) -> None:
    async with World(tmp_path, {"fra1": 1}, takeover=TAKEOVER) as world:
        deployment = await migrating_release(world)
        world.start_worker()
        await until_attached(world)
        (world.folder / "gate-once").touch()
        result = await deployment.result()

    assert result.state is DeploymentState.SUCCEEDED
    assert (tmp_path / "migrated").read_text() == "ran\n"


async def test_without_its_journal_a_once_hook_runs_twice(tmp_path: Path) -> None:
    async with World(tmp_path, {"fra1": 1}, takeover=TAKEOVER) as world:
        deployment = await migrating_release(world)
        shutil.rmtree(Path(world.fleet.host("fra1-01").folder) / "shop" / ".apollo")
        world.start_worker()
        await until_migrated(world, 2)
        (world.folder / "gate-once").touch()
        await deployment.result()


FLEET = {"fra1": 12, "ams1": 10, "lhr1": 8}
SLOWLY = """variables: {HOOK_SECONDS: "0.5"}
    strategy: {waves: [100%], max_unavailable: 40%}"""
ALLOWED = Allowance(locations={"fra1": 4, "ams1": 4, "lhr1": 3}, fleet=12)


KINDS = ("worker", "temporal", "both")


class Killer:
    """Kills the worker, the Temporal server or both, five times, and starts them again."""

    def __init__(self, world: World, chance: random.Random) -> None:
        self.kills: list[str] = []
        self.cut: list[float] = []
        """When a worker was killed."""
        self._world = world
        self._chance = chance
        self._victims = ["worker", "temporal", "both", *chance.choices(KINDS, k=2)]
        chance.shuffle(self._victims)

    async def run(self, deployment: DeploymentHandle) -> None:
        """Kill at random moments; each finds the deployment at work.

        The first of the workers to be killed has just begun a `start`.
        """
        for victim in self._victims:
            await self._hook_begins("" if self.cut or victim == "temporal" else "start")
            await asyncio.sleep(self._chance.uniform(0, 4))
            status = await deployment.status()
            assert status
            assert not status.deployment.state.ended, f"over after {self.kills}"
            self.kills.append(victim)
            await self._kill(victim)

    async def _hook_begins(self, step: str) -> None:
        """Wait until hosts are at work again: in that step, or in any."""
        known = begun(self._world, step)

        async def more() -> bool:
            return begun(self._world, step) > known

        await eventually(more)

    async def _kill(self, victim: str) -> None:
        if victim in ("temporal", "both"):
            await self._world.temporal.kill()
        if victim in ("worker", "both"):
            self.cut.append(time.time())
            await asyncio.to_thread(self._world.kill_worker)
        await asyncio.sleep(self._chance.uniform(0, 1))
        if victim in ("temporal", "both"):
            await self._world.temporal.restart()
        if victim in ("worker", "both"):
            self._world.start_worker()


@pytest.fixture
def chance() -> random.Random:
    seed = int(os.environ.get("APOLLO_SEED") or random.SystemRandom().randrange(2**32))
    sys.stdout.write(f"APOLLO_SEED={seed}\n")
    return random.Random(seed)


async def test_five_kills_lose_and_repeat_nothing(tmp_path: Path, chance: random.Random) -> None:
    async with World(tmp_path, FLEET, AT_ONCE, takeover=TAKEOVER) as world:
        world.start_worker()
        await world.release("1.0.0")
        await slow_release(world, "2.0.0", TAKEOVER + 8)
        assert (await world.deploy("1.0.0")).state is DeploymentState.SUCCEEDED
        await world.apply(SLOWLY)
        deployment = await world.apollo.deploy("shop", "prod", "2.0.0")
        killer = Killer(world, chance)
        await killer.run(deployment)
        result = await deployment.result()
        assert set((await versions(world.fleet)).values()) == {"2.0.0"}
        places = locations(world.fleet)

    sys.stdout.write(f"killed: {killer.kills}\n")
    assert result.state is DeploymentState.SUCCEEDED
    assert result.outcomes == {"updated": len(places)}
    runs = hooks_of(world.hooks(), result.label)
    assert_each_hook_once(runs, places)
    # Who was attached to can be forgotten: by an attempt that is killed before it tells of it.
    assert starting(runs, killer.cut), "no kill cut anything"
    capacity = out_at_once(runs, places)
    assert capacity.in_fleet <= ALLOWED.fleet
    for place, allowed in ALLOWED.locations.items():
        assert capacity.by_location[place] <= allowed
    # That more than one lane was at work at once makes the bounds above say something.
    assert capacity.in_fleet > len(FLEET)


def starting(runs: Sequence[HookRun], moments: Sequence[float]) -> set[str]:
    """The hosts whose `start` was at work at one of these moments: `validate` came later."""
    began = {(run.host, run.step): run.time for run in runs}
    return {
        run.host
        for run in runs
        if run.step == "start"
        and any(run.time < moment < began[run.host, "validate"] for moment in moments)
    }


def assert_each_hook_once(runs: Iterable[HookRun], hosts: Iterable[str]) -> None:
    ran = Counter((run.host, run.turn, run.step) for run in runs)
    steps = ("install", "stop", "start", "validate")
    assert ran == {(host, "1", step): 1 for host in hosts for step in steps}
