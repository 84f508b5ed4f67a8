"""A busy past, written through the catalog's own functions, and a model that remembers it too.

The model knows nothing of tables: it notes what it told each host to run, and when.
"""

import hashlib
import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from apollo.catalog import Catalog
from apollo.catalog.records import NewDeployment, StoredDeployment
from apollo.domain.environment import Environment
from apollo.domain.fleet import Fleet, Host
from apollo.domain.plan import HostState, make_plan
from apollo.domain.release import Artifact, Release
from apollo.domain.rollback import RollbackTurn
from apollo.domain.rollout import Phase
from apollo.domain.setup import Setup
from apollo.domain.status import DeploymentState, Outcome
from apollo.domain.turn import TurnRecord

SIZES = {"dev": 6, "staging": 14, "prod": 40}
RELEASES = [*(f"1.3.{n}" for n in range(4)), *(f"1.4.{n}" for n in range(4))]
UNKNOWN = "?"
Key = tuple[str, str]


def manifest(release: str | None) -> str | None:
    return hashlib.sha256(release.encode()).hexdigest() if release else None


@dataclass
class Model:
    """What a careful person would have written down."""

    notes: dict[Key, list[tuple[datetime, str | None]]] = field(default_factory=dict)
    reached: dict[Key, datetime] = field(default_factory=dict)

    def note(self, environment: str, host: str, at: datetime, release: str | None) -> None:
        self.notes.setdefault((environment, host), []).append((at, release))

    def runs(self, environment: str, host: str, at: datetime | None = None) -> str | None:
        """The release that a host ran; `?` when nothing was known of it."""
        known: str | None = UNKNOWN
        for when, release in self.notes.get((environment, host), []):
            if at is None or when <= at:
                known = release
        return known

    def running(self, environment: str, release: str, at: datetime | None = None) -> set[str]:
        hosts = (host for where, host in self.notes if where == environment)
        return {host for host in hosts if self.runs(environment, host, at) == release}


class Past:
    """Writes the past of shop; `now` is the catalog's clock."""

    def __init__(self, seed: int, start: datetime, quiet: datetime | None = None) -> None:
        self.now = start
        self.model = Model()
        self._random = random.Random(seed)
        self._quiet = quiet
        self._missing: set[str] = set()

    def clock(self) -> datetime:
        return self.now

    def wait(self, most: float) -> None:
        """Let up to so many seconds pass; nothing happens around the quiet moment."""
        self.now += timedelta(seconds=self._random.uniform(1, most))
        near = timedelta(minutes=10)
        if self._quiet and self._quiet - near < self.now < self._quiet + near:
            self.now = self._quiet + near

    async def write(self, catalog: Catalog, deployments: int) -> None:
        for version in RELEASES:
            await catalog.releases.add(_release(version), "ada")
        for name in SIZES:
            await catalog.environments.apply(self._environment(name), list(SIZES), "ada")
        for number in range(1, deployments + 1):
            self.wait(6 * 3600)
            if number == deployments // 2:
                self._missing = {"web40"}
                await catalog.environments.apply(self._environment("prod"), list(SIZES), "ada")
            await self._deploy(catalog, number, deployments)
            if number % 10 == 0:
                await self._speak(catalog, number)

    def _environment(self, name: str) -> Environment:
        hosts = [f"web{n}" for n in range(1, SIZES[name] + 1)]
        places = ("fra1", "ams1", "lhr1")
        fleet = Fleet(
            hosts=tuple(
                Host(name=host, location=places[n % 3], address=f"10.0.0.{n + 1}")
                for n, host in enumerate(hosts)
                if name != "prod" or host not in self._missing
            )
        )
        return Environment(application="shop", name=name, fleet=fleet)

    async def _deploy(self, catalog: Catalog, number: int, of: int) -> None:
        rng = self._random
        first, last = number <= len(SIZES), number == of
        name = list(SIZES)[number - 1] if first else "prod" if last else rng.choice(list(SIZES))
        newest = min(len(RELEASES) - 1, number * len(RELEASES) // of)
        release = "1.4.2" if last else RELEASES[max(0, newest - rng.randint(0, 2))]
        fleet = self._environment(name).fleet
        limited = rng.random() < 0.3 and not (first or last)
        hosts = [host.name for host in fleet.hosts]
        limit = sorted(rng.sample(hosts, 3)) if limited else None
        stored = await self._open(catalog, name, release, limit)
        ending = (
            "good"
            if first
            else rng.choices(
                ["good", "partial", "rolled_back", "aborted", "broken"], [60, 10, 12, 10, 8]
            )[0]
        )
        await self._carry_out(catalog, stored, ending)

    async def _open(
        self, catalog: Catalog, name: str, release: str, limit: list[str] | None
    ) -> StoredDeployment:
        stored = await catalog.deployments.open(
            NewDeployment(
                workflow_id=f"w{self.now.timestamp()}",
                run_id="r",
                application="shop",
                environment=name,
                release=release,
                whole_fleet=limit is None,
                by="ada",
            )
        )
        environment = self._environment(name)
        wanted = {host.name: manifest(release) or "" for host in environment.fleet.hosts}
        states: dict[str, HostState] = dict(await catalog.hosts.states("shop", name))
        plan = make_plan(environment.fleet, environment.strategy, states, wanted, limit=limit)
        await catalog.plans.store(stored.uuid, plan.hosts, wanted, states, {})
        return stored

    async def _carry_out(self, catalog: Catalog, stored: StoredDeployment, ending: str) -> None:
        rows = await catalog.plans.rows(stored.uuid)
        hosts = [row.host for row in rows]
        self._random.shuffle(hosts)
        name, release = stored.environment, stored.release
        before = {host: self.model.runs(name, host) for host in hosts}
        held = {UNKNOWN: None}
        old = {host: held.get(run or UNKNOWN, run) for host, run in before.items()}
        await catalog.deployments.set_state(stored.uuid, DeploymentState.RUNNING)
        odd = hosts[0]
        reach = hosts if ending in ("good", "partial") else hosts[: max(1, len(hosts) // 2)]
        plain = [host for host in reach if host != odd or ending in ("good", "aborted")]
        for start in range(0, len(plain), 12):
            self.wait(300)
            part = plain[start : start + 12]
            await self._record(catalog, stored, "forward", part, Outcome.UPDATED, release)
        self.wait(60)
        if ending == "partial":
            await self._record(catalog, stored, "forward", [odd], Outcome.UNREACHABLE, None)
        elif ending == "broken":
            await self._record(catalog, stored, "forward", [odd], Outcome.BROKEN, None)
        elif ending == "rolled_back":
            await self._record(catalog, stored, "forward", [odd], Outcome.REVERTED, old[odd])
            await self._back(catalog, stored, plain, old)
        state = {
            "good": DeploymentState.SUCCEEDED,
            "partial": DeploymentState.PARTIAL,
            "rolled_back": DeploymentState.ROLLED_BACK,
            "aborted": DeploymentState.ABORTED,
            "broken": DeploymentState.HALTED,
        }[ending]
        self.wait(60)
        await catalog.deployments.end(stored.uuid, state, ending)
        if state is DeploymentState.SUCCEEDED and stored.whole_fleet:
            self.model.reached.setdefault((release, name), self.now)

    async def _back(
        self,
        catalog: Catalog,
        stored: StoredDeployment,
        hosts: list[str],
        old: dict[str, str | None],
    ) -> None:
        turns = [
            RollbackTurn(
                order=n, host=host, location="fra1", action="restore", manifest=manifest(old[host])
            )
            for n, host in enumerate(hosts, 1)
        ]
        await catalog.plans.store_rollback(stored.uuid, turns)
        for release in sorted({old[host] or "" for host in hosts}):
            self.wait(200)
            part = [host for host in hosts if (old[host] or "") == release]
            await self._record(
                catalog, stored, "rollback", part, Outcome.ROLLED_BACK, release or None, turn=2
            )

    async def _record(
        self,
        catalog: Catalog,
        stored: StoredDeployment,
        phase: Phase,
        hosts: list[str],
        outcome: Outcome,
        runs: str | None,
        turn: int = 1,
    ) -> None:
        records = [
            TurnRecord(host=host, outcome=outcome, turn=turn, manifest=manifest(runs), release=runs)
            for host in hosts
        ]
        await catalog.turns.record(stored.uuid, phase, records)
        for host in hosts:
            known = self.model.runs(stored.environment, host)
            if outcome is Outcome.UNREACHABLE:
                runs = None if known == UNKNOWN else known
            self.model.note(stored.environment, host, self.now, runs)

    async def _speak(self, catalog: Catalog, number: int) -> None:
        """People disable, enable and forget hosts; only what is forgotten is unknown then."""
        host = f"web{self._random.randint(1, 40)}"
        self.wait(600)
        if number % 30 == 0:
            await catalog.hosts.forget("shop", "prod", [host], "ben", "rebuilt")
            if ("prod", host) in self.model.notes:
                self.model.note("prod", host, self.now, UNKNOWN)
        elif number % 20 == 0:
            await catalog.hosts.disable("shop", "staging", ["web3"], "ben", "disk")
        else:
            await catalog.hosts.enable("shop", "staging", ["web3"], "ben")


def _release(version: str) -> Release:
    return Release(
        application="shop",
        version=version,
        artifact=Artifact(sha256="a" * 64, size=1),
        setup=Setup(root="/srv/shop"),
    )
