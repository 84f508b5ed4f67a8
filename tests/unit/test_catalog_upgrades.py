"""Catalogs of every earlier revision, with a past in them, are upgraded and lose nothing of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, func, insert, inspect, select, text
from sqlalchemy.pool import NullPool

from apollo.catalog import Catalog
from apollo.catalog.engine import prepare, with_driver, writing
from apollo.catalog.migration import configuration
from apollo.catalog.records import NewPromotion
from apollo.catalog.tables import metadata
from apollo.domain.outputs import WELL, StepOutput, pack
from apollo.domain.promotion import StageProgress
from apollo.domain.status import DeploymentState, Outcome
from apollo.domain.turn import Step
from tests.support.catalogs import StandingClock, ended, environment, opened, release, url

Past = dict[str, list[dict[str, Any]]]
SCRIPTS = ScriptDirectory.from_config(configuration())
REVISIONS = [each.revision for each in reversed(list(SCRIPTS.walk_revisions()))]
pytestmark = pytest.mark.usefixtures("every_database")


@contextmanager
def connected(where: str) -> Iterator[Connection]:
    """A transaction that writes, without the code of the catalog."""
    engine = create_engine(with_driver(where, blocking=True), poolclass=NullPool)
    prepare(engine)
    with writing(engine).begin() as connection:
        yield connection
    engine.dispose()


def upgrade_to(where: str, revision: str) -> None:
    """Bring the tables to a revision."""
    config = configuration()
    with connected(where) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


async def live(where: str) -> None:
    """Everything that the catalog of today can hold, for shop/prod."""
    clock = StandingClock()
    async with Catalog.open(where, clock=clock) as catalog:
        await catalog.migrate()
        await catalog.environments.apply(environment(4), ["dev", "prod"], "anna")
        await catalog.releases.add(release(), "anna")
        deployment = await opened(catalog)
        await catalog.leases.take(
            "shop", "prod", deployment.workflow_id, deployment.run_id, deployment.number, 7
        )
        printed = pack([StepOutput(step="start", text="no such table")], WELL)
        told = {"outputs": printed, "steps": (Step(name="start", exit=3, seconds=1),)}
        failed = ended("web2", Outcome.REVERTED).model_copy(update=told)
        records = [ended("web1"), failed]
        await catalog.turns.record(deployment.uuid, "forward", records)
        await catalog.outputs.record(deployment.uuid, records)
        clock.move(60)
        await catalog.deployments.end(deployment.uuid, DeploymentState.PARTIAL, "one of four")
        await catalog.hosts.disable("shop", "prod", ["web3"], "bob", "a broken disk")
        await catalog.keys.trust("shop", "prod", {"web1": ["ssh-ed25519 AAAA"]}, "bob", "scanned")
        await catalog.adoptions.allow("shop", "prod", ["web4"], "bob", "was another's")
        stage = StageProgress(environment="prod")
        promotion = NewPromotion(
            workflow_id="p", run_id="r", application="shop", release="1.0", stages=(stage,)
        )
        await catalog.promotions.open(promotion)


def read(where: str) -> Past:
    """All rows of all tables that the database has, as plain values."""
    with connected(where) as connection:
        there = set(inspect(connection).get_table_names())
        return {
            table.name: [dict(row) for row in connection.execute(select(table)).mappings()]
            for table in metadata.sorted_tables
            if table.name in there
        }


def write(where: str, past: Past) -> Past:
    """Insert what of the past the tables and columns of a revision can hold; return that."""
    held: Past = {}
    with connected(where) as connection:
        found = inspect(connection)
        there = set(found.get_table_names())
        for table in metadata.sorted_tables:
            if table.name not in there:
                continue
            columns = {column["name"] for column in found.get_columns(table.name)}
            held[table.name] = [
                {name: value for name, value in row.items() if name in columns}
                for row in past.get(table.name, [])
            ]
            if table.name == "catalog":  # named by the first migration
                connection.execute(table.delete())
            for row in held[table.name]:
                connection.execute(insert(table), row)
            if "id" in columns and connection.dialect.name == "postgresql":  # it counts by itself
                serial = func.pg_get_serial_sequence(table.name, "id")
                connection.execute(select(func.setval(serial, func.max(table.c.id))))
    return held


def unfilled(where: str, past: Past) -> list[str]:
    """Tables that the database has and the past left empty, whether today's code knows them or not.

    A revision that adds or keeps a table nobody fills has an upgrade that nobody has seen.
    """
    with connected(where) as connection:
        there = set(inspect(connection).get_table_names()) - {"alembic_version"}
    return sorted(table for table in there if not past.get(table))


def lost(past: Past, now: Past) -> list[str]:
    """What the past held and is not there now, or not as it was."""
    return [
        f"{table}: {row}"
        for table, rows in past.items()
        for row in rows
        if not any(_holds(found, row) for found in now[table])
    ]


def _holds(found: dict[str, Any], row: dict[str, Any]) -> bool:
    return all(found[name] == value for name, value in row.items())


@pytest.mark.parametrize("revision", REVISIONS)
async def test_an_upgrade_loses_nothing(tmp_path: Path, revision: str) -> None:
    await live(url(tmp_path / "today.db"))
    today = read(url(tmp_path / "today.db"))
    assert [table for table, rows in today.items() if not rows] == [], "a past has all of it"

    then = url(tmp_path / "then.db")
    upgrade_to(then, revision)
    past = write(then, today)
    assert unfilled(then, past) == [], "a past has something in each table of its revision"
    upgrade_to(then, "head")

    assert lost(past, read(then)) == []
    async with Catalog.open(then) as catalog, Catalog.open(url(tmp_path / "today.db")) as same:
        assert await catalog.uuid() == await same.uuid()
        (known,) = await catalog.deployments.list("shop", "prod")
        assert [known] == await same.deployments.list("shop", "prod")
        assert await catalog.plans.rows(known.uuid) == await same.plans.rows(known.uuid)
        assert await catalog.hosts.states("shop", "prod") == await same.hosts.states("shop", "prod")
        assert await catalog.keys.list("shop", "prod") == await same.keys.list("shop", "prod")
        assert await catalog.audit.list("shop") == await same.audit.list("shop")
        if "promotions" in past:
            assert await catalog.promotions.running() == await same.promotions.running() != []
        after = await opened(catalog, "w2")
        assert after.number == known.number + 1
        assert await catalog.leases.release(known.workflow_id)
        await catalog.leases.take("shop", "prod", "w2", "run", after.number, 8)
        await catalog.turns.record(after.uuid, "forward", [ended("web1", runs="b")])
        newest, before = await catalog.hosts.history("shop", "prod", "web1")
        assert (newest.release, before.release) == ("b", "a")


@pytest.mark.parametrize("revision", REVISIONS)
async def test_what_an_older_apollo_writes_fits_into_the_newest_tables(
    tmp_path: Path, revision: str
) -> None:
    """Its workers go on writing after an upgrade, until what has begun on them has ended."""
    await live(url(tmp_path / "today.db"))
    then = url(tmp_path / "then.db")
    upgrade_to(then, revision)
    past = write(then, read(url(tmp_path / "today.db")))
    newest = url(tmp_path / "newest.db")
    upgrade_to(newest, "head")

    write(newest, past)

    assert lost(past, read(newest)) == []


async def test_what_an_upgrade_loses_is_seen(tmp_path: Path) -> None:
    """The control."""
    where = url(tmp_path / "catalog.db")
    await live(where)
    past = read(where)
    with connected(where) as connection:
        connection.execute(metadata.tables["host_keys"].delete())
        hosts = metadata.tables["host_state"]
        connection.execute(hosts.update().where(hosts.c.host == "web1").values(release="2.0"))

    missed = lost(past, read(where))
    assert {line.split(":")[0] for line in missed} == {"host_state", "host_keys"}


async def test_a_table_that_no_past_fills_is_seen(tmp_path: Path) -> None:
    """The control: a revision adds a table, and `live` knows nothing of it."""
    where = url(tmp_path / "catalog.db")
    await live(where)
    past = read(where)
    assert unfilled(where, past) == []
    with connected(where) as connection:
        connection.execute(text("CREATE TABLE added_by_a_revision (id INTEGER)"))

    assert unfilled(where, past) == ["added_by_a_revision"]
