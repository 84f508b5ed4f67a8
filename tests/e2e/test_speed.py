"""A deployment takes little more time than its hooks and soaks need on its lanes."""

import sys
import time
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from apollo.catalog.records import HostRow
from apollo.domain.status import DeploymentState
from tests.support.show import AT_ONCE, FLEET
from tests.support.world import World

HOOKS = {"install", "stop", "start", "validate"}
ONE_SECOND_HOOKS = 'variables: {HOOK_SECONDS: "1"}'
SOAK = 0.5
MOST = 1.5


def needed(rows: Iterable[HostRow]) -> float:
    """The seconds that hooks and soaks need on the critical path of the lanes.

    A quarter of each of these locations is one host: a location is one lane, on which a host needs
    its four hooks, as long as the host's journal says that they ran, and the soak. There is no
    balancer, so there is nothing else to wait for. A wave is as long as its longest lane; waves
    follow one another. Apollo's own steps count as overhead.
    """
    lanes: dict[int, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for row in rows:
        assert row.record
        hooks = [step.seconds or 0.0 for step in row.record.steps if step.name in HOOKS]
        assert len(hooks) == len(HOOKS)
        lanes[row.wave][row.location] += sum(hooks) + SOAK
    return sum(max(wave.values()) for wave in lanes.values())


async def test_twelve_hosts(tmp_path: Path) -> None:
    async with World(tmp_path, FLEET, f"{ONE_SECOND_HOOKS}\n    {AT_ONCE}") as world:
        world.start_worker()
        for version in ("1.0.0", "2.0.0"):
            await world.release(version)
        assert (await world.deploy("1.0.0")).state is DeploymentState.SUCCEEDED
        await world.apply(f"{ONE_SECOND_HOOKS}\n    strategy: {{max_unavailable: 25%}}")
        began = time.monotonic()
        deployment = await world.apollo.deploy("shop", "prod", "2.0.0")
        result = await deployment.result()
        took = time.monotonic() - began
        status = await deployment.status()

    assert status
    assert result.state is DeploymentState.SUCCEEDED
    assert result.outcomes == {"updated": sum(FLEET.values())}
    least = needed(status.rows)
    sys.stdout.write(f"needed {least:.1f} s, took {took:.1f} s: {took / least:.2f} ×\n")
    assert took < MOST * least
