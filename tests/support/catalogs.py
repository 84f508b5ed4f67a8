"""Catalogs in files or on a server, with something in them."""

import functools
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import make_url

from apollo.catalog import Catalog
from apollo.catalog.engine import Clock, utc_now
from apollo.catalog.migration import upgrade
from apollo.catalog.records import NewDeployment, StoredDeployment
from apollo.domain.environment import Environment
from apollo.domain.fleet import Fleet, Host
from apollo.domain.plan import HostState, make_plan
from apollo.domain.release import Artifact, Release
from apollo.domain.setup import Setup
from apollo.domain.status import Outcome
from apollo.domain.turn import TurnRecord
from tests.support.postgres import PostgresServer

LOCATIONS = ("fra1", "ams1")


class StandingClock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def move(self, seconds: float) -> datetime:
        """Let time pass; the time then."""
        self.now += timedelta(seconds=seconds)
        return self.now


_servers: list[PostgresServer] = []


@contextmanager
def on_server(server: PostgresServer) -> Iterator[None]:
    """Let catalogs lie on the server while the context is open; a file's name stands for one."""
    _servers.append(server)
    try:
        yield
    finally:
        _servers.pop()


def url(file: Path) -> str:
    """The URL of a catalog in this file, or on the server that is used now."""
    return _servers[-1].empty(file) if _servers else in_file(file)


def in_file(file: Path) -> str:
    """The URL of an SQLite catalog in this file."""
    return f"sqlite+aiosqlite:///{file}"


@functools.cache
def _template() -> Path:
    file = Path(tempfile.mkdtemp()) / "catalog.db"
    upgrade(make_url(in_file(file)))
    return file


@asynccontextmanager
async def new_catalog(folder: Path, clock: Clock = utc_now) -> AsyncIterator[Catalog]:
    """A migrated catalog that holds nothing; `folder` gets its file."""
    file = folder / "catalog.db"
    if not _servers:
        shutil.copy(_template(), file)
        async with Catalog.open(in_file(file), clock=clock) as catalog:
            yield catalog
        return
    try:
        async with Catalog.open(_servers[-1].copy(file), clock=clock) as catalog:
            yield catalog
    finally:
        _servers[-1].give_back(file)


@asynccontextmanager
async def shop_catalog(
    folder: Path, *, hosts: int = 4, clock: Clock = utc_now
) -> AsyncIterator[Catalog]:
    """A catalog that knows shop/prod with hosts web1, web2 and so on."""
    async with new_catalog(folder, clock) as catalog:
        await catalog.environments.apply(environment(hosts), ["dev", "prod"], "anna")
        yield catalog


def environment(hosts: int = 4, name: str = "prod", **values: object) -> Environment:
    """shop/prod; its hosts lie in the locations in turn."""
    fleet = Fleet(
        hosts=tuple(
            Host(name=f"web{n}", location=LOCATIONS[n % 2], address=f"10.0.0.{n % 250}")
            for n in range(1, hosts + 1)
        )
    )
    return Environment.model_validate(
        {"application": "shop", "name": name, "fleet": fleet, **values}
    )


def release(version: str = "1.0", content: str = "a", root: str = "/srv/shop") -> Release:
    """A release of shop."""
    return Release(
        application="shop",
        version=version,
        artifact=Artifact(sha256=content * 64, size=1),
        setup=Setup(root=root),
    )


def digest(mark: str) -> str:
    """A digest that is easy to tell from others."""
    return (mark * 64)[:64]


def ended(
    host: str, outcome: Outcome = Outcome.UPDATED, *, turn: int = 1, runs: str | None = "a"
) -> TurnRecord:
    """How a turn ended; the host runs the manifest `aaa…` of release a, if any."""
    return TurnRecord(
        host=host,
        outcome=outcome,
        turn=turn,
        manifest=None if runs is None else digest(runs),
        release=runs,
        error="HookFailed" if outcome.failure else "",
        step="start" if outcome.failure else "",
    )


async def opened(
    catalog: Catalog,
    workflow: str = "w1",
    mark: str = "a",
    *,
    limit: Iterable[str] | None = None,
    states: dict[str, HostState] | None = None,
    whole_fleet: bool = True,
) -> StoredDeployment:
    """A deployment of release `mark` to shop/prod, with its plan."""
    deployment = await catalog.deployments.open(
        NewDeployment(
            workflow_id=workflow,
            run_id="run",
            application="shop",
            environment="prod",
            release=mark,
            whole_fleet=whole_fleet,
        )
    )
    applied = (await catalog.environments.get("shop", "prod")).environment
    manifests = {host.name: digest(mark) for host in applied.fleet.hosts}
    plan = make_plan(
        applied.fleet,
        applied.strategy,
        states or {},
        manifests,
        limit=None if limit is None else list(limit),
    )
    summary = plan.model_dump(mode="json", exclude={"hosts"})
    await catalog.plans.store(deployment.uuid, plan.hosts, manifests, states or {}, summary)
    return deployment
