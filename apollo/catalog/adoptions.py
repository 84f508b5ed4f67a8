"""Roots that belong to somebody else, and that the next turns of their hosts take over."""

from collections.abc import Collection

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from apollo.catalog import tables
from apollo.catalog.audit import note
from apollo.catalog.engine import Database, chunks, insert
from apollo.catalog.environments import locked

_ADOPTIONS = tables.adoptions


class Adoptions:
    """Which hosts' roots may be taken over, once."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def allow(
        self, application: str, environment: str, hosts: Collection[str], by: str, reason: str
    ) -> list[str]:
        """Let the next turn of each host take its root over; the hosts it was not allowed for."""
        place = {"application": application, "environment": environment}
        how = {"at": self._database.now(), "by": by, "reason": reason}
        async with self._database.write() as connection:
            await locked(connection, application, environment)
            news = sorted(set(hosts) - await _hosts(connection, application, environment))
            if news:
                rows = [{**place, **how, "host": host} for host in news]
                await connection.execute(insert(connection, _ADOPTIONS), rows)
                await note(
                    self._database,
                    connection,
                    "hosts adopt",
                    identity=by,
                    reason=reason,
                    detail={"hosts": news},
                    **place,
                )
        return news

    async def hosts(self, application: str, environment: str) -> set[str]:
        """The hosts whose roots may be taken over."""
        async with self._database.read() as connection:
            return await _hosts(connection, application, environment)


async def end_adoptions(
    connection: AsyncConnection, application: str, environment: str, hosts: Collection[str]
) -> None:
    """These hosts have had a turn: from now on a foreign root is foreign again."""
    for names in chunks(sorted(set(hosts))):
        await connection.execute(
            delete(_ADOPTIONS).where(
                _ADOPTIONS.c.application == application,
                _ADOPTIONS.c.environment == environment,
                _ADOPTIONS.c.host.in_(names),
            )
        )


async def _hosts(connection: AsyncConnection, application: str, environment: str) -> set[str]:
    query = select(_ADOPTIONS.c.host).where(
        _ADOPTIONS.c.application == application, _ADOPTIONS.c.environment == environment
    )
    return set((await connection.execute(query)).scalars())
