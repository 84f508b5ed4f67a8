"""The connection to the database: how transactions begin, and what its errors mean."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Engine, Table, event, make_url
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import (
    DatabaseError,
    DataError,
    IntegrityError,
    InterfaceError,
    ProgrammingError,
)
from sqlalchemy.exc import TimeoutError as TimeoutError_
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from apollo.errors import Unavailable

Item = TypeVar("Item")
Clock = Callable[[], datetime]
BUSY_SECONDS = 30
CHUNK = 5000
"""How many values one statement names at the most; SQLite takes 32766."""
_WRITES = "apollo_writes"


def utc_now() -> datetime:
    """The time now."""
    return datetime.now(UTC)


class Database:
    """Transactions that read and transactions that write."""

    def __init__(self, url: str | URL, clock: Clock = utc_now) -> None:
        self.url = make_url(url)
        self.now = clock
        self._reading = create_async_engine(self.url, **engine_options(self.url))
        self._writing = self._reading.execution_options(**{_WRITES: True})
        self._writer = asyncio.Lock()
        prepare(self._reading.sync_engine)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that sees one moment and changes nothing."""
        with translated(self.url):
            async with self._reading.connect() as connection:
                yield connection

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that is committed at the end, or undone by an error."""
        # SQLite has one writer: waiting here is fair, waiting in SQLite is a poll.
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
    return {"pool_pre_ping": True}


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
    except (DatabaseError, InterfaceError, TimeoutError_, OSError) as error:
        shown = url.render_as_string(hide_password=True)
        if "no such table" in str(error) or "does not exist" in str(error):
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
