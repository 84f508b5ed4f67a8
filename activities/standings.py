"""How deployments and hosts stand right now, for metrics that are asked for from time to time."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from apollo.domain.rollout import Opened
from apollo.domain.status import DeploymentState
from apollo.telemetry.metrics import Observe, Value

if TYPE_CHECKING:
    from apollo.catalog.catalog import Catalog
    from apollo.catalog.records import StoredDeployment

PATIENCE = 10.0
"""Seconds after which a busy catalog is asked no longer."""


@dataclass
class Standings:
    """What the catalog says."""

    catalog: "Catalog"
    _fleets: dict[tuple[str, str], tuple[int, dict[str, str]]] = field(default_factory=dict)
    """Where the hosts of each environment are, in its newest revision."""

    async def hosts_out(self) -> list[Value]:
        """Hosts that do not serve, by location; all locations are told of."""
        found: list[Value] = []
        for application, environment, revision in await self.catalog.environments.newest():
            fleet = await self._fleet(application, environment, revision)
            serve = await self.catalog.hosts.in_service(application, environment)
            out = Counter(dict.fromkeys(fleet.values(), 0))
            out.update(location for host, location in fleet.items() if host not in serve)
            where = {"application": application, "environment": environment}
            found += [(number, {**where, "location": place}) for place, number in out.items()]
        return found

    async def budget_left(self) -> list[Value]:
        """What each deployment that runs may still lose."""
        found: list[Value] = []
        for stored in await self.catalog.deployments.running():
            if stored.plan:
                found += await self._left(stored)
        return found

    async def _left(self, stored: "StoredDeployment") -> list[Value]:
        opened = Opened.model_validate(stored.plan)
        back = stored.state is DeploymentState.ROLLING_BACK
        used = await self.catalog.turns.tally(stored.uuid, "rollback" if back else "forward")
        where = {"application": stored.application, "environment": stored.environment}
        return [
            (opened.failures_allowed - used.failures, {**where, "budget": "failures"}),
            (opened.unreachable_allowed - used.unreachable, {**where, "budget": "unreachable"}),
        ]

    async def _fleet(self, application: str, environment: str, revision: int) -> dict[str, str]:
        known = self._fleets.get((application, environment))
        if known and known[0] == revision:
            return known[1]
        applied = await self.catalog.environments.get(application, environment, revision)
        fleet = {host.name: host.location for host in applied.environment.fleet.hosts}
        self._fleets[application, environment] = revision, fleet
        return fleet


def asked(ask: Callable[[], Awaitable[list[Value]]]) -> Observe:
    """Ask on this event loop, whatever thread wants to know."""
    loop = asyncio.get_running_loop()

    async def answer() -> list[Value]:
        async with asyncio.timeout(PATIENCE):
            return await ask()

    def observe() -> list[Value]:
        return asyncio.run_coroutine_threadsafe(answer(), loop).result(PATIENCE)

    return observe
