"""Sixty hosts in three uneven locations, behind HAProxy and under load; a fifth of them fail.

Requests are judged at the clients, capacity at HAProxy, hooks by what they wrote themselves.
"""

import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Literal

import pytest

from apollo.local.judge import CapacitySampler, read_hook_log, repeated_hooks
from apollo.local.traffic import TrafficProcess
from apollo.testing.artifact import Fault
from tests.support.capacity import HaproxyView
from tests.support.haproxy import HaproxyServer
from tests.support.scene import until_out
from tests.support.show import AT_ONCE, HASTY, more_requests
from tests.support.witness import hooks_of, locations, versions
from tests.support.world import World

FLEET = {"fra1": 31, "ams1": 19, "lhr1": 10}
SEED = 20261126
KINDS: tuple[Literal["health", "start", "validate", "install"], ...] = (
    "health",
    "start",
    "validate",
    "install",
)
ALLOWED = {"fra1": 6, "ams1": 3, "lhr1": 2}
"""A fifth of each location, rounded down."""
STRATEGY = (
    "strategy: {waves: [1, 30%, 100%], max_unavailable: 20%, max_failures: 25%, "
    "max_unreachable: 10%}"
)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with World(tmp_path, FLEET, f"{HASTY}\n    {AT_ONCE}") as world:
        world.start_worker()
        await world.release("1.0.0")
        result = await world.deploy("1.0.0")
        assert result.outcomes == {"updated": 60}
        yield world


async def test_a_fifth_fail_and_some_are_away(
    world: World, tmp_path: Path, program: Callable[[str], str]
) -> None:
    """No request is lost, the end states add up, and each host serves what its end state says."""
    program("haproxy")
    places = locations(world.fleet)
    chance = random.Random(SEED)
    print(f"seed {SEED}")
    unlucky = chance.sample(sorted(places), 15)
    failing, away = unlucky[:12], unlucky[12:]
    faults = [Fault(kind=chance.choice(KINDS), hosts=(host,)) for host in failing]
    await world.release("2.0.0", *faults)
    for host in away:
        await world.fleet.refuse(host)
    upstreams = {host.name: host.app_port for host in world.fleet.hosts}
    async with HaproxyServer(tmp_path / "haproxy", upstreams) as haproxy:
        at = f'haproxy: {{at: ["{haproxy.addresses[0]}"], backends: [shop]}}'
        await world.apply(f"balancer: {{drain: {{wait: 5s}}, {at}}}\n    {STRATEGY}")
        view = HaproxyView(haproxy)
        await until_out(view, set())
        traffic = TrafficProcess(haproxy.port)
        async with CapacitySampler(view, places) as sampler, traffic:
            await more_requests(traffic)
            result = await world.deploy("2.0.0")
            await more_requests(traffic)
        served = await versions(world.fleet)
    proof = await (await world.apollo.deployment("shop", "prod")).prove()

    assert (result.state, result.outcomes) == (
        "partial",
        {"updated": 45, "reverted": 12, "unreachable": 3},
    )
    assert traffic.report.lost == []
    assert set(traffic.report.by_version) == {"1.0.0", "2.0.0"}
    assert {host for host, version in served.items() if version == "1.0.0"} == {*failing, *away}
    capacity = sampler.capacity
    assert capacity.in_fleet <= 12
    assert all(capacity.by_location[place] <= allowed for place, allowed in ALLOWED.items())
    assert capacity.ever_out >= set(places) - set(unlucky)
    hooks = hooks_of(read_hook_log(world.hook_log), result.label)
    assert repeated_hooks(hooks) == {}
    ran = Counter(run.step for run in hooks)
    assert ran["install"] == 57
    assert not {run.host for run in hooks} & set(away)
    print(*proof, sep="\n")
    assert len(proof) == 15
    assert [each for each in proof if each.verdict == "broken"] == []
