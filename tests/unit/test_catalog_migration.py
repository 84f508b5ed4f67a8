"""The catalog's tables: made once, by whoever comes first."""

import asyncio
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, make_url, text

from apollo.catalog import Catalog
from apollo.catalog.engine import with_driver
from apollo.catalog.migration import upgrade
from apollo.catalog.tables import metadata
from apollo.errors import Refused, Unavailable
from apollo.settings import Settings
from apollo.wiring import open_catalog
from tests.support.catalogs import in_file, new_catalog, url

everywhere = pytest.mark.usefixtures("every_database")
_MIGRATE = """
import asyncio, sys
from apollo.catalog import Catalog

async def migrate():
    async with Catalog.open(sys.argv[1]) as catalog:
        print("ready", flush=True)
        sys.stdin.readline()
        await catalog.migrate()
        print(await catalog.uuid())

asyncio.run(migrate())
"""


@everywhere
def test_migrations_make_the_tables_of_the_code(tmp_path: Path) -> None:
    upgrade(make_url(url(tmp_path / "catalog.db")))

    engine = create_engine(with_driver(url(tmp_path / "catalog.db"), blocking=True))
    with engine.connect() as connection:
        context = MigrationContext.configure(connection)
        differences = compare_metadata(context, metadata)
    engine.dispose()

    assert differences == []


@everywhere
async def test_migrating_again_keeps_the_uuid(tmp_path: Path) -> None:
    async with Catalog.open(url(tmp_path / "some" / "folder" / "catalog.db")) as catalog:
        await catalog.migrate()
        uuid = await catalog.uuid()
        await catalog.migrate()

    async with Catalog.open(url(tmp_path / "some" / "folder" / "catalog.db")) as again:
        assert uuid == await again.uuid()


@everywhere
async def test_two_catalogs_have_two_uuids(tmp_path: Path) -> None:
    found = []
    for name in ("one.db", "two.db"):
        async with Catalog.open(url(tmp_path / name)) as catalog:
            await catalog.migrate()
            found.append(await catalog.uuid())

    assert found[0] != found[1]


@everywhere
async def test_processes_migrate_at_once(tmp_path: Path) -> None:
    where = url(tmp_path / "catalog.db")
    processes = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", _MIGRATE, where),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        for _ in range(4)
    ]
    for process in processes:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
    answers = await asyncio.gather(*(process.communicate(b"\n") for process in processes))

    assert [process.returncode for process in processes] == [0] * 4, answers
    assert len({out for out, _ in answers}) == 1


@everywhere
async def test_catalogs_of_one_process_migrate_at_once(tmp_path: Path) -> None:
    catalogs = [Catalog.open(url(tmp_path / f"{n % 2}.db")) for n in range(6)]
    await asyncio.gather(*(catalog.migrate() for catalog in catalogs))
    uuids = {await catalog.uuid() for catalog in catalogs}
    for catalog in catalogs:
        await catalog.close()

    assert len(uuids) == 2


@everywhere
async def test_a_newer_catalog_is_refused(tmp_path: Path) -> None:
    async with Catalog.open(url(tmp_path / "catalog.db")) as catalog:
        await catalog.migrate()
        async with catalog._database.write() as connection:
            await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

        with pytest.raises(Refused, match="another version of Apollo"):
            await catalog.migrate()
        await catalog.migrate(newer=True)
        assert await catalog.environments.list() == []


@everywhere
async def test_a_revision_that_never_was_is_refused_in_any_case(tmp_path: Path) -> None:
    async with Catalog.open(url(tmp_path / "catalog.db")) as catalog:
        await catalog.migrate()
        async with catalog._database.write() as connection:
            await connection.execute(text("UPDATE alembic_version SET version_num = '0000'"))

        with pytest.raises(Refused, match="another version of Apollo"):
            await catalog.migrate(newer=True)


@everywhere
async def test_a_worker_of_a_build_works_with_newer_tables(tmp_path: Path) -> None:
    where = url(tmp_path / "catalog.db")
    async with Catalog.open(where) as catalog:
        await catalog.migrate()
        async with catalog._database.write() as connection:
            await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    async with open_catalog(Settings(home=tmp_path, catalog=where, build_id="1")) as catalog:
        assert await catalog.environments.list() == []
    with pytest.raises(Refused, match="another version of Apollo"):
        async with open_catalog(Settings(home=tmp_path, catalog=where)):
            pass


@everywhere
async def test_a_catalog_without_tables_says_so(tmp_path: Path) -> None:
    async with Catalog.open(url(tmp_path / "catalog.db")) as catalog:
        with pytest.raises(Unavailable, match="lacks tables"):
            await catalog.environments.list()


async def test_a_file_that_is_no_database_says_so(tmp_path: Path) -> None:
    (tmp_path / "catalog.db").write_bytes(b"something else entirely" * 100)
    async with Catalog.open(in_file(tmp_path / "catalog.db")) as catalog:
        with pytest.raises(Unavailable, match="does not answer: file is not a database"):
            await catalog.environments.list()
        with pytest.raises(Unavailable, match="does not answer: file is not a database"):
            await catalog.migrate()


async def test_a_folder_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file", encoding="utf-8")
    with pytest.raises(Unavailable, match="does not answer"):
        async with Catalog.open(in_file(tmp_path / "taken" / "catalog.db")):
            pass


@everywhere
async def test_readers_do_not_wait_for_the_writer(tmp_path: Path) -> None:
    async with new_catalog(tmp_path) as catalog:
        database = catalog._database
        async with database.write() as writing:
            await writing.execute(text("INSERT INTO applications VALUES ('shop', '[]')"))

            assert await asyncio.wait_for(catalog.environments.list(), 60) == []
