"""Host keys: which hosts are asked for theirs, and what was accepted at first use is kept."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from temporalio import activity

from apollo.activities.explained import explained
from apollo.activities.heartbeats import heartbeats
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
from apollo.domain.staging import StagedKeys
from apollo.domain.turn import TurnRecord
from apollo.ports import Reach, ScanKey

if TYPE_CHECKING:
    from apollo.catalog.catalog import Catalog
    from apollo.catalog.records import StoredDeployment

AT_ONCE = 25
"""Hosts that one activity asks at the same time."""
BY = "first_use"
"""Who trusted a key that nobody compared, as the audit has it."""


async def keep_accepted(
    catalog: "Catalog", stored: "StoredDeployment", accepted: Mapping[str, str]
) -> None:
    """Trust the keys that a deployment's turns have accepted, by host."""
    if accepted:
        place = stored.application, stored.environment
        environment = await catalog.environments.planned(*place, stored.revision)
        await first_use(catalog, environment, accepted, f"seen by {stored.label}")


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


def accepted_keys(records: Iterable[TurnRecord]) -> dict[str, str]:
    """The keys that turns have accepted though nobody had trusted one, by host."""
    return {record.host: record.host_key for record in records if record.host_key}


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
                    host=host.reached,
                    trusted=keys_of(host, stored),
                )
                for host in hosts[given.first : last]
            ),
            own_workers=environment.own_workers,
            next=last if last < len(hosts) else None,
        )

    @activity.defn
    @explained
    async def keep_staged_keys(self, given: StagedKeys) -> None:
        """Trust the keys that were accepted while staging: the turns must see them again."""
        stored = await self.catalog.deployments.by_uuid(given.deployment)
        await keep_accepted(self.catalog, stored, given.host_keys)


@dataclass
class ScanActivities:
    """The host workers' part: they have the routes, and no catalog."""

    scan_key: ScanKey

    @activity.defn
    async def scan_keys(self, given: ScanInput) -> KeysFound:
        """Ask a page of hosts for their keys; nobody logs in."""
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(target: KeyTarget) -> Scanned:
            place = given.application, given.environment
            async with gate:
                return await self.scan_key(Reach(target.host, target.trusted, False, *place))

        with heartbeats():
            return KeysFound(hosts=tuple(await asyncio.gather(*map(one, given.targets))))
