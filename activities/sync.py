"""How an environment's hosts compare with its current release: who is asked, what it comes to."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from temporalio import activity

from apollo.activities.explained import explained
from apollo.activities.heartbeats import heartbeats
from apollo.activities.host_keys import first_use, keys_of
from apollo.catalog.records import AppliedEnvironment, StoredDeployment
from apollo.domain.fleet import Host
from apollo.domain.manifest import Manifest, build_manifest
from apollo.domain.plan import HostState
from apollo.domain.release import Release
from apollo.domain.status import Outcome, Serving
from apollo.domain.sync import (
    CHUNK,
    Finding,
    Found,
    Judged,
    JudgeInput,
    Looked,
    LookInput,
    PastTurn,
    Sight,
    Survey,
    SurveyInput,
    Target,
    judge,
)
from apollo.errors import NotFound, Refused
from apollo.executions import runs
from apollo.ports import LookAt, Reach
from apollo.prepared import limited

if TYPE_CHECKING:
    from temporalio.client import Client

    from apollo.catalog.catalog import Catalog

AT_ONCE = 25
"""Hosts that one activity connects to at the same time."""


@dataclass
class SyncActivities:
    """The control worker's part: it knows the catalog and no host."""

    catalog: "Catalog"
    client: "Client"

    @activity.defn
    @explained
    async def survey(self, given: SurveyInput) -> Survey:
        """Which hosts are to be looked at: up to `CHUNK`, from `given.first` on."""
        place = given.application, given.environment
        applied = await self.catalog.environments.get(*place, given.revision)
        current = await self.catalog.deployments.current(*place)
        if current is None:
            return Survey(skipped=f"{applied.environment.label} runs no release yet")
        if not given.check and (busy := await self._running(*place)):
            return Survey(skipped=f"{busy.label} is {busy.state}", release=current.release)
        states: dict[str, HostState] = dict(await self.catalog.hosts.states(*place))
        release = (await self.catalog.releases.get(given.application, current.release)).release
        hosts = self._asked(applied, release, states, given.limit)
        chunk = hosts[given.first : given.first + CHUNK]
        disabled = [h for h in chunk if _state(states, h.name).serving is Serving.DISABLED]
        keys = await self.catalog.keys.lines(*place)
        last = given.first + CHUNK
        return Survey(
            release=release.version,
            number=current.number,
            revision=applied.revision,
            targets=tuple(
                Target(
                    host=host.reached,
                    host_keys=keys_of(host, keys),
                    root=_manifest(release, applied, host).root,
                )
                for host in chunk
                if host not in disabled
            ),
            found=(
                *(Found(host=host.name, finding=Finding.DISABLED) for host in disabled),
                *(_gone(applied, states) if _shows_gone(given) else ()),
            ),
            own_workers=applied.environment.own_workers,
            first_use=applied.environment.first_use,
            next=last if last < len(hosts) else None,
        )

    @activity.defn
    @explained
    async def judge(self, given: JudgeInput) -> Judged:
        """What each look comes to."""
        place = given.application, given.environment
        applied = await self.catalog.environments.get(*place, given.revision)
        release = (await self.catalog.releases.get(given.application, given.release)).release
        states: dict[str, HostState] = dict(await self.catalog.hosts.states(*place))
        names = [sight.host for sight in given.sights]
        accepted = {sight.host: sight.host_key for sight in given.sights if sight.host_key}
        await first_use(self.catalog, applied.environment, accepted, "seen by a look")
        past = await self.catalog.turns.since(*place, number=given.number, hosts=names)
        for sight in given.sights:
            if sight.turn_of:
                turns = past.setdefault(sight.host, [])
                turns += await self._unrecorded(sight, turns)
        hosts = {host.name: host for host in applied.environment.fleet.hosts}
        return Judged(
            found=tuple(
                judge(
                    sight,
                    _state(states, sight.host),
                    past.get(sight.host, ()),
                    wanted=_manifest(release, applied, hosts[sight.host]).digest,
                    release=given.release,
                )
                for sight in given.sights
            )
        )

    async def _unrecorded(self, sight: Sight, recorded: list[PastTurn]) -> list[PastTurn]:
        """The turn that a host is in the middle of, if its end is not recorded."""
        with suppress(NotFound):
            stored = await self.catalog.deployments.by_uuid(sight.turn_of or "")
            if stored.number not in [turn.number for turn in recorded]:
                return [
                    PastTurn(
                        host=sight.host,
                        outcome=Outcome.NOT_STARTED,
                        **stored.model_dump(include={"number", "kind", "state", "release"}),
                    )
                ]
        return []

    @staticmethod
    def _asked(
        applied: AppliedEnvironment,
        release: Release,
        states: dict[str, HostState],
        limit: str | None,
    ) -> tuple[Host, ...]:
        hosts = applied.environment.fleet.hosts
        if limit is None:
            return hosts
        digests = {host.name: _manifest(release, applied, host).digest for host in hosts}
        try:
            names = set(limited(applied.environment, limit, states, digests) or ())
        except ValueError as error:
            raise Refused(f"{applied.environment.label}: {error}", hint="see --limit") from error
        return tuple(host for host in hosts if host.name in names)

    async def _running(self, application: str, environment: str) -> StoredDeployment | None:
        """A deployment that runs, as Temporal says; the catalog may still show a dead one."""
        for stored in await self.catalog.deployments.running(application, environment):
            if await runs(self.client, stored.workflow_id):
                return stored
        return None


@dataclass
class LookActivities:
    """The host workers' part: they know the hosts and no catalog."""

    look_at: LookAt

    @activity.defn
    async def look(self, given: LookInput) -> Looked:
        """Look at a page of hosts, changing nothing on any."""
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(target: Target) -> Sight:
            async with gate:
                reach = Reach(
                    host=target.host,
                    host_keys=target.host_keys,
                    first_use=given.first_use,
                    application=given.application,
                    environment=given.environment,
                )
                return await self.look_at(reach, target.root)

        with heartbeats():
            return Looked(sights=tuple(await asyncio.gather(*map(one, given.targets))))


def _state(states: dict[str, HostState], host: str) -> HostState:
    return states.get(host, HostState())


def _manifest(release: Release, applied: AppliedEnvironment, host: Host) -> Manifest:
    try:
        return build_manifest(release, applied.environment, host)
    except ValueError as error:
        label = applied.environment.label
        raise Refused(f"{label}: {error}", hint="mend it and apply again") from error


def _shows_gone(given: SurveyInput) -> bool:
    return given.check and given.limit is None and given.first == 0


def _gone(applied: AppliedEnvironment, states: dict[str, HostState]) -> list[Found]:
    """Hosts that are known to have run something, and that the inventory has no more."""
    there = applied.environment.fleet.names()
    return [
        Found(host=name, finding=Finding.GONE, runs=state.release or "")
        for name, state in states.items()
        if name not in there
    ]
