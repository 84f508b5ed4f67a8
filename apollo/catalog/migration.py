"""Brings a catalog's tables to this version of Apollo."""

import threading
import time
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import URL, Connection, create_engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from apollo.catalog.engine import (
    engine_options,
    prepare,
    sqlite_file,
    translated,
    with_driver,
    writing,
)
from apollo.errors import Refused

# Alembic keeps its context in module globals.
_ALEMBIC = threading.Lock()
_ADVISORY_KEY = 0x61706F6C6C6F
_WAL_TRIES = 200


def upgrade(url: URL, *, newer: bool = False) -> None:
    """Make or upgrade the tables. Blocks; several processes may do it at once.

    Revisions only add: with `newer`, tables that a newer Apollo has made are used as they are.

    Raises:
        Refused: The catalog was made by a newer Apollo.
        Unavailable: The database does not answer.
    """
    with _ALEMBIC, translated(url):
        if file := sqlite_file(url):
            file.parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(
            with_driver(url, blocking=True), poolclass=NullPool, **engine_options(url)
        )
        prepare(engine)
        try:
            with writing(engine).connect() as connection:
                _use_wal(connection)
            with writing(engine).begin() as connection:
                if not (newer and _ahead(connection)):
                    _upgrade(connection)
        finally:
            engine.dispose()


def revisions(url: str) -> tuple[str | None, str]:
    """The revision that the catalog's tables have, and the one that this version makes. Blocks.

    Raises:
        Unavailable: The database does not answer.
        Refused: The URL names no database that Apollo can use.
    """
    newest = ScriptDirectory.from_config(configuration()).get_current_head()
    assert newest is not None
    where = with_driver(url, blocking=True)
    file = sqlite_file(where)
    if file and not file.exists():
        return None, newest
    with translated(where):
        engine = create_engine(where, poolclass=NullPool, **engine_options(where))
        try:
            with engine.connect() as connection:
                return MigrationContext.configure(connection).get_current_revision(), newest
        finally:
            engine.dispose()


def configuration() -> Config:
    """Alembic's configuration, as its command line would read it from a file."""
    config = Config()
    folder = str(Path(__file__).parent / "migrations")
    config.set_main_option("script_location", folder.replace("%", "%%"))
    return config


def _ahead(connection: Connection) -> bool:
    """Whether the tables are of a revision that this version does not know, and follow its own."""
    found = MigrationContext.configure(connection).get_current_revision()
    scripts = ScriptDirectory.from_config(configuration())
    known = {each.revision for each in scripts.walk_revisions()}
    newest = scripts.get_current_head() or ""
    return found is not None and found not in known and found > newest


def _upgrade(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        # SQLite's BEGIN IMMEDIATE lets one in at a time; here it takes a lock.
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_KEY})
    config = configuration()
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise Refused(
            f"the catalog was made by another version of Apollo: {error}",
            hint="use the newest Apollo that has worked with this catalog",
        ) from error


def _use_wal(connection: Connection) -> None:
    """Let readers and the writer of SQLite not wait for each other; the file remembers it."""
    if connection.dialect.name != "sqlite":
        return
    driver = connection.connection.driver_connection
    assert driver is not None
    for attempt in range(_WAL_TRIES):
        try:
            driver.execute("PRAGMA journal_mode=WAL")
            return
        except Exception as error:
            # The switch does not wait for others as everything else does.
            if "locked" not in str(error) or attempt == _WAL_TRIES - 1:
                raise OperationalError("PRAGMA journal_mode=WAL", None, error) from error
            time.sleep(0.05)
