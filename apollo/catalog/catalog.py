"""The catalog as one thing that is opened and closed."""

import asyncio
from types import TracebackType
from typing import Self

from sqlalchemy import select

from apollo.catalog import tables
from apollo.catalog.adoptions import Adoptions
from apollo.catalog.audit import Audit
from apollo.catalog.deployments import Deployments
from apollo.catalog.engine import Clock, Database, sqlite_file, translated, utc_now
from apollo.catalog.environments import Environments
from apollo.catalog.evidence import Evidences
from apollo.catalog.hosts import Hosts
from apollo.catalog.keys import HostKeys
from apollo.catalog.leases import Leases
from apollo.catalog.migration import upgrade
from apollo.catalog.outputs import Outputs
from apollo.catalog.plans import Plans
from apollo.catalog.promotions import Promotions
from apollo.catalog.releases import Releases
from apollo.catalog.turns import Turns


class Catalog:
    """What Apollo knows, in a database. Every write may be repeated: that changes nothing.

    >>> async with Catalog.open("sqlite+aiosqlite:///catalog.db") as catalog:  # doctest: +SKIP
    ...     await catalog.migrate()
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._uuid = ""
        self.environments = Environments(database)
        self.releases = Releases(database)
        self.deployments = Deployments(database)
        self.plans = Plans(database)
        self.turns = Turns(database)
        self.outputs = Outputs(database)
        self.hosts = Hosts(database)
        self.keys = HostKeys(database)
        self.adoptions = Adoptions(database)
        self.leases = Leases(database)
        self.promotions = Promotions(database)
        self.audit = Audit(database)
        self.evidence = Evidences(database)

    @classmethod
    def open(cls, url: str, *, clock: Clock = utc_now) -> Self:
        """The catalog at an SQLAlchemy URL with an async driver."""
        return cls(Database(url, clock))

    async def migrate(self, *, newer: bool = False) -> None:
        """Make or upgrade the tables; several processes may do it at once.

        With `newer`, tables that a newer Apollo has made are used as they are.

        Raises:
            Refused: The catalog was made by a newer Apollo.
            Unavailable: The database does not answer.
        """
        await asyncio.to_thread(upgrade, self._database.url, newer=newer)

    async def uuid(self) -> str:
        """What tells this catalog from all others: hosts remember it as their owner.

        Raises:
            Unavailable: The tables are missing.
        """
        if not self._uuid:
            async with self._database.read() as connection:
                self._uuid = (await connection.execute(select(tables.catalog.c.uuid))).scalar_one()
        return self._uuid

    async def close(self) -> None:
        """Close all connections."""
        await self._database.close()

    async def __aenter__(self) -> Self:
        if file := sqlite_file(self._database.url):
            with translated(self._database.url):
                await asyncio.to_thread(file.parent.mkdir, parents=True, exist_ok=True)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()
