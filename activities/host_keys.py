"""Host keys: which hosts are asked for theirs, and what was accepted at first use is kept."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from temporalio import activity

from apollo.activities.explained import explained
from apollo.domain.environment import Environment
from apollo.domain.fleet import Host
from apollo.domain.keys import (
    CHUNK,
    KeysFound,
    KeySurvey,
    KeyTarget,
    ScanInput,
    Scanned,
    ScanRequest,
)
from apollo.domain.turn import TurnRecord
from apollo.ports import Reach, ScanKey

if TYPE_CHECKING:
    from apollo.catalog.catalog import Catalog
    from apollo.catalog.records import StoredDeployment

AT_ONCE = 25
"""Hosts that one activity asks at the same time."""
BEAT = 5.0
BY = "first_use"
"""Who trusted a key that nobody compared, as the audit has it."""


async def keep_accepted(
    catalog: "Catalog", stored: "StoredDeployment", records: Sequence[TurnRecord]
) -> None:
    """Trust the keys that turns have accepted."""
    accepted = {record.host: record.host_key for record in records if record.host_key}
    if accepted:
        place = stored.application, stored.environment
        applied = await catalog.environments.get(*place, stored.revision)
        await first_use(catalog, applied.environment, accepted, f"seen by {stored.label}")


async def first_use(
    catalog: "Catalog", environment: Environment, accepted: Mapping[str, str], reason: str
) -> None:
    """Trust keys of hosts that have none, where the environment asks for that; it is audited.

    Host workers need no catalog: what they accepted comes with what they report.
    """
    if not (accepted and environment.first_use):
        return
    place = environment.application, environment.name
    lines = {host: [line] for host, line in accepted.items()}
    await catalog.keys.trust(*place, lines, BY, reason, mode="new_only")


def keys_of(host: Host, keys: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """The keys that a host may show."""
    return (*((host.host_key,) if host.host_key else ()), *keys.get(host.name, ()))


@dataclass
class KeyActivities:
    """The control worker's part: which hosts there are, and what is trusted for them."""

    catalog: "Catalog"

    @activity.defn
    @explained
    async def hosts_to_scan(self, given: ScanRequest) -> KeySurvey:
        """Up to `CHUNK` hosts, from `given.first` on."""
        place = given.application, given.environment
        environment = (await self.catalog.environments.get(*place)).environment
        stored = await self.catalog.keys.lines(*place)
        hosts, last = environment.fleet.hosts, given.first + CHUNK
        return KeySurvey(
            targets=tuple(
                KeyTarget(
                    host=Host(**host.model_dump(exclude={"labels", "variables", "host_key"})),
                    trusted=keys_of(host, stored),
                )
                for host in hosts[given.first : last]
            ),
            own_workers=environment.own_workers,
            next=last if last < len(hosts) else None,
        )


@dataclass
class ScanActivities:
    """The host workers' part: they have the routes, and no catalog."""

    scan_key: ScanKey

    @activity.defn
    async def scan_keys(self, given: ScanInput) -> KeysFound:
        """Ask a page of hosts for their keys; nobody logs in."""
        heart, gate = asyncio.create_task(_beat()), asyncio.Semaphore(AT_ONCE)

        async def one(target: KeyTarget) -> Scanned:
            place = given.application, given.environment
            async with gate:
                return await self.scan_key(Reach(target.host, target.trusted, False, *place))

        try:
            return KeysFound(hosts=tuple(await asyncio.gather(*map(one, given.targets))))
        finally:
            heart.cancel()


async def _beat() -> None:
    while True:
        activity.heartbeat()
        await asyncio.sleep(BEAT)
