"""A fleet that serves behind a real balancer, and what is seen of a deployment under traffic."""

import itertools
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from apollo.domain.rollout import DeploymentResult
from apollo.domain.status import DeploymentState
from apollo.local.caddy import CaddyServer
from apollo.local.judge import BalancerView, Capacity, CapacitySampler, HookRun, read_hook_log
from apollo.local.traffic import Report, TrafficProcess
from apollo.testing.artifact import Fault
from tests.support.scene import eventually, until_out
from tests.support.witness import hooks_of, locations, versions
from tests.support.world import World

FLEET = {"fra1": 5, "ams1": 4, "lhr1": 3}
"""A quarter of it is three hosts, and one in each location."""
AT_ONCE = "strategy: {waves: [100%], max_unavailable: 100%}"
FILE = "balancer: {drain: {wait: 3s}, file: {path: online, wait: 1s}}"
"""Caddy looks twice a second, and the slowest request takes two seconds."""
HASTY = "balancer: {drain: {wait: 100ms}, file: {path: online, wait: 100ms}}"
"""For when nobody sends anything."""


@dataclass(frozen=True)
class Watched:
    """How a deployment ended, and what clients and the balancer saw of it."""

    result: DeploymentResult
    report: Report
    capacity: Capacity


class Show:
    """The world with a fleet behind Caddy."""

    def __init__(self, world: World, caddy: CaddyServer) -> None:
        self.world = world
        self.caddy = caddy
        self._numbers = itertools.count(1)

    @property
    def places(self) -> dict[str, str]:
        """Where each host lies."""
        return locations(self.world.fleet)

    async def versions(self) -> dict[str, str]:
        """The version with which each host answers."""
        return await versions(self.world.fleet)

    def next_version(self) -> str:
        """A version that no release has yet."""
        return f"{next(self._numbers)}.0.0"

    async def release(self, *faults: Fault) -> str:
        """Make the next release of the small application; its version."""
        version = self.next_version()
        await self.world.release(version, *faults)
        return version

    async def serving(self) -> str:
        """Have all hosts serve one good release; its version."""
        found = set((await self.versions()).values())
        if len(found) != 1 or "" in found:
            await self.world.apply(f"{HASTY}\n    {AT_ONCE}")
            found = {await self.release()}
            result = await self.world.deploy(*found)
            assert result.state is DeploymentState.SUCCEEDED
        await until_out(self.caddy.view(), set())
        return found.pop()

    def hooks(self, result: DeploymentResult) -> list[HookRun]:
        """The hooks that ran for a deployment."""
        return hooks_of(read_hook_log(self.world.hook_log), result.label)

    async def deploy_under_traffic(
        self, version: str, port: int = 0, view: BalancerView | None = None
    ) -> Watched:
        """Deploy while clients send through a balancer, by default through Caddy."""
        return await self.under_traffic(self.world.deploy(version), port, view)

    async def under_traffic(
        self,
        work: Coroutine[Any, Any, DeploymentResult],
        port: int = 0,
        view: BalancerView | None = None,
    ) -> Watched:
        """Do some work while clients send."""
        sampler = CapacitySampler(view or self.caddy.view(), self.places)
        traffic = TrafficProcess(port or self.caddy.port)
        async with sampler, traffic:
            await more_requests(traffic)
            result = await work
            await more_requests(traffic)
        return Watched(result, traffic.report, sampler.capacity)


async def more_requests(traffic: TrafficProcess, requests: int = 200) -> None:
    """Wait until so many requests more were sent."""
    goal = traffic.report.sent + requests

    async def reached() -> bool:
        return traffic.report.sent >= goal

    await eventually(reached)
