"""One deployment per environment changes hosts: the one that holds the lease (rule 11)."""

from sqlalchemy import RowMapping, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from apollo.catalog import tables
from apollo.catalog.engine import Database
from apollo.catalog.environments import locked
from apollo.catalog.records import Lease

_LEASES = tables.leases


class Leases:
    """The leases of all environments."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def take(
        self,
        application: str,
        environment: str,
        workflow_id: str,
        run_id: str,
        number: int,
        now_ms: int,
    ) -> Lease | None:
        """Take the lease if it is free; a lease that is ours already stays as it is.

        The time of a grant is higher than that of any before in the environment, whatever the
        clock says: hosts tell deployments apart by it.

        Raises:
            NotFound: The environment was never applied.
        """
        wanted = Lease(
            application=application,
            environment=environment,
            workflow_id=workflow_id,
            run_id=run_id,
            number=number,
            granted_ms=now_ms,
        )
        return await self._take(wanted, None)

    async def replace(
        self,
        application: str,
        environment: str,
        dead_workflow_id: str,
        workflow_id: str,
        run_id: str,
        number: int,
        now_ms: int,
    ) -> Lease | None:
        """Take the lease from a holder that is known to be closed; none if another has it now.

        Raises:
            NotFound: The environment was never applied.
        """
        wanted = Lease(
            application=application,
            environment=environment,
            workflow_id=workflow_id,
            run_id=run_id,
            number=number,
            granted_ms=now_ms,
        )
        return await self._take(wanted, dead_workflow_id)

    async def holder(self, application: str, environment: str) -> Lease | None:
        """Who has the lease."""
        async with self._database.read() as connection:
            return await _holder(connection, application, environment)

    async def release(self, workflow_id: str) -> bool:
        """Give the lease back; whether it was held."""
        async with self._database.write() as connection:
            done = await connection.execute(
                delete(_LEASES).where(_LEASES.c.workflow_id == workflow_id)
            )
        return done.rowcount > 0

    async def newest_granted(self, application: str, environment: str) -> int:
        """The highest number of a deployment that ever had the lease; 0 if none had."""
        rows = tables.deployments.c
        query = select(func.max(rows.number)).where(
            rows.application == application, rows.environment == environment, rows.granted_ms > 0
        )
        async with self._database.read() as connection:
            return (await connection.execute(query)).scalar_one() or 0

    async def _take(self, wanted: Lease, dead: str | None) -> Lease | None:
        async with self._database.write() as connection:
            row = await locked(connection, wanted.application, wanted.environment)
            held = await _holder(connection, wanted.application, wanted.environment)
            if held is not None and held.workflow_id == wanted.workflow_id:
                return held
            if held is not None and held.workflow_id != dead:
                return None
            return await _grant(connection, wanted, row)


async def _holder(connection: AsyncConnection, application: str, environment: str) -> Lease | None:
    query = select(_LEASES).where(
        _LEASES.c.application == application, _LEASES.c.environment == environment
    )
    row = (await connection.execute(query)).mappings().one_or_none()
    return None if row is None else Lease.model_validate(dict(row))


async def _grant(connection: AsyncConnection, wanted: Lease, environment: RowMapping) -> Lease:
    granted_ms = max(wanted.granted_ms, environment["last_granted_ms"] + 1)
    lease = wanted.model_copy(update={"granted_ms": granted_ms})
    await connection.execute(
        delete(_LEASES).where(
            _LEASES.c.application == lease.application,
            _LEASES.c.environment == lease.environment,
        )
    )
    await connection.execute(_LEASES.insert().values(**lease.model_dump()))
    head, rows = tables.environments, tables.deployments
    await connection.execute(
        update(head)
        .where(head.c.application == lease.application, head.c.name == lease.environment)
        .values(last_granted_ms=granted_ms)
    )
    await connection.execute(
        update(rows).where(rows.c.workflow_id == lease.workflow_id).values(granted_ms=granted_ms)
    )
    return lease
