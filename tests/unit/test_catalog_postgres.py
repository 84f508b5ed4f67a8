"""What only PostgreSQL does: several writers at once, passwords, lengths, and what is missing."""

import asyncio
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from apollo.catalog import Catalog, tables
from apollo.catalog.engine import with_driver
from apollo.catalog.environments import locked
from apollo.domain.status import DeploymentState, Outcome
from apollo.errors import Refused, Unavailable
from tests.support.catalogs import ended, environment, new_catalog, on_server, opened, shop_catalog
from tests.support.postgres import PostgresServer


@pytest.mark.parametrize(
    ("written", "used"),
    [
        ("postgresql://u@h/apollo", "postgresql+psycopg://u@h/apollo"),
        ("postgres://u@h/apollo", "postgresql+psycopg://u@h/apollo"),
        ("postgresql+asyncpg://u@h/apollo", "postgresql+psycopg://u@h/apollo"),
        ("sqlite:////srv/catalog.db", "sqlite+aiosqlite:////srv/catalog.db"),
        ("sqlite+aiosqlite:////srv/catalog.db", "sqlite+aiosqlite:////srv/catalog.db"),
    ],
)
def test_a_url_needs_no_driver(written: str, used: str) -> None:
    assert str(with_driver(written)) == used


@pytest.mark.parametrize("written", ["catalog.db", "mysql://h/apollo", "postgresql://h:x/apollo"])
def test_another_database_is_refused(written: str) -> None:
    with pytest.raises(Refused, match="names no database that Apollo can use"):
        Catalog.open(written)


async def test_a_missing_driver_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)

    with pytest.raises(Unavailable, match="needs psycopg") as caught:
        Catalog.open("postgresql://apollo@127.0.0.1:1/apollo")
    assert "apollo-deploy[postgres]" in caught.value.hint


async def test_a_server_that_does_not_answer_is_named_without_its_password() -> None:
    async with Catalog.open("postgresql://apollo:hush@127.0.0.1:1/apollo") as catalog:
        for work in (catalog.environments.list(), catalog.migrate()):
            with pytest.raises(Unavailable, match="does not answer") as caught:
                await work
            assert "127.0.0.1:1/apollo" in caught.value.message
            assert "hush" not in f"{caught.value.message}{caught.value.hint}"


async def test_a_missing_database_is_not_one_without_tables(postgres: PostgresServer) -> None:
    async with Catalog.open(postgres.url("nowhere")) as catalog:
        with pytest.raises(Unavailable, match='database "nowhere" does not exist'):
            await catalog.environments.list()


@pytest.mark.parametrize("deed", ["record", "end"])
async def test_writers_of_one_environment_wait_for_each_other(
    postgres: PostgresServer, tmp_path: Path, deed: str
) -> None:
    """Rows that were taken in different orders would be a deadlock, which ends one of them."""
    with on_server(postgres):
        async with shop_catalog(tmp_path) as catalog:
            uuid = (await opened(catalog)).uuid
            work: dict[str, Coroutine[Any, Any, object]] = {
                "record": catalog.turns.record(uuid, "forward", [ended("web1")]),
                "end": catalog.deployments.end(uuid, DeploymentState.SUCCEEDED),
            }
            async with catalog._database.write() as holding:
                await locked(holding, "shop", "prod")
                task = asyncio.ensure_future(work.pop(deed))
                while not await _waiting(holding):
                    assert not task.done(), f"{deed} did not wait"
                    await asyncio.sleep(0.01)
            await asyncio.wait_for(task, 60)
            for other in work.values():
                other.close()


async def _waiting(connection: AsyncConnection) -> bool:
    # Locks are told as they are now; pg_stat_activity stands still within a transaction.
    query = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    return bool((await connection.execute(query)).scalar_one())


async def test_a_reader_sees_one_moment(postgres: PostgresServer, tmp_path: Path) -> None:
    with on_server(postgres):
        async with new_catalog(tmp_path) as catalog:
            database = catalog._database
            async with database.read() as reading:
                assert await _applications(reading) == 0
                await catalog.environments.apply(environment(), ["prod"], "anna")
                assert await _applications(reading) == 0
            async with database.read() as reading:
                assert await _applications(reading) == 1


async def test_text_that_the_database_cannot_hold_is_held(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    with on_server(postgres):
        async with shop_catalog(tmp_path) as catalog:
            uuid = (await opened(catalog)).uuid
            record = ended("web1", Outcome.BROKEN).model_copy(update={"message": "a\0b\ud800c"})
            await catalog.turns.record(uuid, "forward", [record])
            await catalog.audit.add("pause", by="a\0nna", reason="\0")
            rows = await catalog.plans.rows(uuid)
            entry = (await catalog.audit.list(limit=1))[0]

    assert [row.message for row in rows if row.host == "web1"] == ["a�b?c"]
    assert (entry.identity, entry.reason) == ("a�nna", "�")


async def _applications(reading: AsyncConnection) -> int:
    query = select(func.count()).select_from(tables.applications)
    found: int = (await reading.execute(query)).scalar_one()
    return found


async def test_a_server_that_was_away_is_found_again(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    with on_server(postgres):
        async with shop_catalog(tmp_path) as catalog:
            await asyncio.to_thread(postgres.run, _END_ALL)
            assert len(await catalog.environments.list()) == 1

            with pytest.raises(Unavailable, match="does not answer"):
                await _cut_off(catalog, postgres)
            assert (await opened(catalog)).number == 1


async def _cut_off(catalog: Catalog, postgres: PostgresServer) -> None:
    async with catalog._database.write() as writing:
        await locked(writing, "shop", "prod")
        await writing.execute(text("UPDATE environments SET last_number = 7"))
        await asyncio.to_thread(postgres.run, _END_ALL)
        await locked(writing, "shop", "prod")


_END_ALL = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
)
