"""The connection to the database: how transactions begin, and what its errors mean."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Engine, Table, event, make_url
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import (
    ArgumentError,
    DatabaseError,
    DataError,
    IntegrityError,
    InterfaceError,
    ProgrammingError,
)
from sqlalchemy.exc import TimeoutError as TimeoutError_
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from apollo.errors import Refused, Unavailable

Item = TypeVar("Item")
Clock = Callable[[], datetime]
BUSY_SECONDS = 30
CHUNK = 5000
"""How many values one statement names at the most; SQLite takes 32766."""
CONNECT_SECONDS = 10
_WRITES = "apollo_writes"
_DRIVERS = {
    "sqlite": ("sqlite+pysqlite", "sqlite+aiosqlite"),
    "postgresql": ("postgresql+psycopg", "postgresql+psycopg"),
    "postgres": ("postgresql+psycopg", "postgresql+psycopg"),
}
_ONE_MOMENT = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
_NO_TABLE = "42P01"
"""PostgreSQL's code for a table that is not there; a missing database has another one."""


def utc_now() -> datetime:
    """The time now."""
    return datetime.now(UTC)


class Database:
    """Transactions that read and transactions that write."""

    def __init__(self, url: str | URL, clock: Clock = utc_now) -> None:
        self.url = with_driver(url)
        self.now = clock
        with translated(self.url):
            engine = create_async_engine(self.url, **engine_options(self.url))
        self._writing = engine.execution_options(**{_WRITES: True})
        self._reading = engine
        # SQLite has one writer: waiting here is fair, waiting in SQLite is a poll.
        self._writer: AbstractAsyncContextManager[object] = asyncio.Lock()
        if self.url.get_backend_name() != "sqlite":
            self._writer = nullcontext()
            self._reading = engine.execution_options(**_ONE_MOMENT)
        prepare(engine.sync_engine)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that sees one moment and changes nothing."""
        with translated(self.url):
            async with self._reading.connect() as connection:
                yield connection

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that is committed at the end, or undone by an error."""
        async with self._writer:
            with translated(self.url):
                async with self._writing.begin() as connection:
                    yield connection

    async def close(self) -> None:
        """Close all connections."""
        await self._reading.dispose()


def engine_options(url: URL) -> dict[str, Any]:
    """How engines for this URL are made."""
    if url.get_backend_name() == "sqlite":
        return {"connect_args": {"timeout": BUSY_SECONDS}}
    arguments = {"connect_timeout": CONNECT_SECONDS, "application_name": "apollo"}
    return {"pool_pre_ping": True, "connect_args": arguments}


def with_driver(url: str | URL, *, blocking: bool = False) -> URL:
    """The URL with the driver that Apollo uses for its database, for an event loop or without.

    Raises:
        Refused: It is no URL, or names a database that Apollo does not know.
    """
    try:
        made = make_url(url)
        drivers = _DRIVERS[made.drivername.partition("+")[0]]
    except (ArgumentError, KeyError, ValueError) as error:
        raise Refused(
            "APOLLO_CATALOG names no database that Apollo can use",
            hint="write postgresql://user@host/apollo or sqlite:////folder/catalog.db",
        ) from error
    return made.set(drivername=drivers[0 if blocking else 1])


def prepare(engine: Engine) -> None:
    """Make SQLite begin transactions when told to, and keep foreign keys."""
    if engine.dialect.name != "sqlite":
        return

    @event.listens_for(engine, "connect")
    def connected(connection: Any, _: object) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begun(connection: Connection) -> None:
        # A transaction that reads first and writes later fails when another has written meanwhile.
        writes = connection.get_execution_options().get(_WRITES)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def writing(engine: Engine) -> Engine:
    """The engine, as its transactions begin when they are to write."""
    return engine.execution_options(**{_WRITES: True})


@contextmanager
def translated(url: URL) -> Iterator[None]:
    """Say what the database's errors mean.

    Raises:
        Unavailable: The database does not answer, is busy too long, is damaged or lacks tables.
    """
    try:
        yield
    except (IntegrityError, DataError):
        raise
    except ModuleNotFoundError as error:
        raise Unavailable(
            f"the catalog {url.render_as_string(hide_password=True)} needs {error.name}",
            hint="install apollo-deploy[postgres]",
        ) from error
    except (DatabaseError, InterfaceError, TimeoutError_, OSError) as error:
        shown = url.render_as_string(hide_password=True)
        if _lacks_tables(error):
            raise Unavailable(
                f"the catalog {shown} lacks tables of this version of Apollo",
                hint="start a control worker (apollo up, or apollo worker): it makes them",
            ) from error
        if isinstance(error, ProgrammingError):
            raise
        raise Unavailable(
            f"the catalog {shown} does not answer: {getattr(error, 'orig', None) or error}",
            hint="see that APOLLO_CATALOG is right and that its server or disk is well",
        ) from error


def _lacks_tables(error: Exception) -> bool:
    cause = getattr(error, "orig", None)
    return "no such table" in str(error) or getattr(cause, "sqlstate", None) == _NO_TABLE


def sqlite_file(url: URL) -> Path | None:
    """The file of an SQLite database; none for other databases."""
    in_file = url.get_backend_name() == "sqlite" and url.database not in (None, "", ":memory:")
    return Path(str(url.database)) if in_file else None


def insert(connection: AsyncConnection, table: Table) -> "sqlite.Insert | postgresql.Insert":
    """An INSERT that knows ON CONFLICT, in the database's dialect."""
    if connection.dialect.name == "postgresql":
        return postgresql.insert(table)
    return sqlite.insert(table)


def chunks(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    """The items in pieces that fit into one statement."""
    for start in range(0, len(items), CHUNK):
        yield items[start : start + CHUNK]


def digest(spec: object) -> str:
    """sha256 of a JSON value in its canonical form."""
    text = json.dumps(spec, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
