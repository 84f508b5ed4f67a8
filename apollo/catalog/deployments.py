"""Deployments: numbered per environment, from when they are opened to how they ended."""

from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import RowMapping, Select, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from apollo.catalog import tables
from apollo.catalog.engine import Database
from apollo.catalog.environments import locked, unknown_environment
from apollo.catalog.records import NewDeployment, StoredDeployment
from apollo.domain.status import DeploymentState, Outcome
from apollo.errors import NotFound

_ROWS = tables.deployments
_HOSTS = tables.deployment_hosts
_HEADS = tables.environments
_DEPLOYMENTS = select(_ROWS)
_OF_ITS_OWN = (_HEADS.c.application == _ROWS.c.application) & (_HEADS.c.name == _ROWS.c.environment)
_WITH_A_RELEASE = (DeploymentState.SUCCEEDED, DeploymentState.PARTIAL)


class Deployments:
    """The deployments of all environments."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def open(self, new: NewDeployment) -> StoredDeployment:
        """Give a deployment its uuid and number; the same workflow always gets the same.

        Numbers of an environment count from 1 without gaps.

        Raises:
            NotFound: The environment was never applied.
        """
        async with self._database.write() as connection:
            head = await locked(connection, new.application, new.environment)
            query = select(_ROWS).where(_ROWS.c.workflow_id == new.workflow_id)
            known = (await connection.execute(query)).mappings().one_or_none()
            if known is not None:
                return _record(known)
            stored = StoredDeployment(
                **new.model_dump(),
                uuid=str(uuid4()),
                number=head["last_number"] + 1,
                state=DeploymentState.WAITING,
                opened_at=self._database.now(),
            )
            await connection.execute(_ROWS.insert().values(**stored.model_dump()))
            await connection.execute(
                update(_HEADS)
                .where(_HEADS.c.application == new.application, _HEADS.c.name == new.environment)
                .values(last_number=stored.number)
            )
        return stored

    async def get(self, application: str, environment: str, number: int) -> StoredDeployment:
        """The deployment of that number.

        Raises:
            NotFound: There is none, or no such environment.
        """
        query = _of(application, environment).where(_ROWS.c.number == number)
        async with self._database.read() as connection:
            row = (await connection.execute(query)).mappings().one_or_none()
            if row is None:
                raise await _no_number(connection, application, environment, number)
        return _record(row)

    async def by_uuid(self, uuid: str) -> StoredDeployment:
        """The deployment of that uuid.

        Raises:
            NotFound: There is none.
        """
        async with self._database.read() as connection:
            return _record(await _row(connection, uuid))

    async def with_newest(self, uuid: str) -> tuple[StoredDeployment, int]:
        """The deployment of that uuid, and the newest revision of its environment.

        Raises:
            NotFound: There is none.
        """
        query = select(_ROWS, _HEADS.c.revision.label("newest")).join(_HEADS, _OF_ITS_OWN)
        async with self._database.read() as connection:
            row = await _row(connection, uuid, query)
        return _record(row), row["newest"]

    async def by_workflow(self, workflow_id: str) -> StoredDeployment | None:
        """The deployment that a workflow carries out, if it was opened."""
        query = select(_ROWS).where(_ROWS.c.workflow_id == workflow_id)
        async with self._database.read() as connection:
            row = (await connection.execute(query)).mappings().one_or_none()
        return None if row is None else _record(row)

    async def running(
        self, application: str | None = None, environment: str | None = None
    ) -> list[StoredDeployment]:
        """Deployments that have not ended, in the order of their numbers."""
        query = _of(application, environment).where(_ROWS.c.ended_at.is_(None))
        return await self._all(
            query.order_by(_ROWS.c.application, _ROWS.c.environment, _ROWS.c.number)
        )

    async def set_state(self, uuid: str, state: DeploymentState, detail: str = "") -> None:
        """Write where a deployment stands; one that has ended stays as it is."""
        assert not state.ended, f"{state} is an end: use end()"
        values: dict[str, Any] = {"state": state, "detail": detail}
        here = (_ROWS.c.uuid == uuid, _ROWS.c.ended_at.is_(None))
        async with self._database.write() as connection:
            await connection.execute(update(_ROWS).where(*here).values(**values))
            if state is not DeploymentState.WAITING:
                await connection.execute(
                    update(_ROWS)
                    .where(*here, _ROWS.c.started_at.is_(None))
                    .values(started_at=self._database.now())
                )

    async def end(self, uuid: str, state: DeploymentState, detail: str = "") -> StoredDeployment:
        """End a deployment; hosts without an outcome are `not_started`. The first end holds.

        Raises:
            NotFound: There is no such deployment.
        """
        assert state.ended, f"{state} is not an end: use set_state()"
        async with self._database.write() as connection:
            await locked_deployment(connection, uuid)
            await connection.execute(
                update(_ROWS)
                .where(_ROWS.c.uuid == uuid, _ROWS.c.ended_at.is_(None))
                .values(state=state, detail=detail, ended_at=self._database.now())
            )
            await connection.execute(
                update(_HOSTS)
                .where(_HOSTS.c.deployment == uuid, _HOSTS.c.outcome.is_(None))
                .values(outcome=Outcome.NOT_STARTED)
            )
            return _record(await _row(connection, uuid))

    async def current_release(self, application: str, environment: str) -> str | None:
        """The release of the last deployment of the whole fleet that succeeded, or in part."""
        found = await self.current(application, environment)
        return found.release if found else None

    async def current(self, application: str, environment: str) -> StoredDeployment | None:
        """The last deployment of the whole fleet that succeeded, or in part."""
        query = _of(application, environment).where(
            _ROWS.c.state.in_(_WITH_A_RELEASE), _ROWS.c.whole_fleet.is_(True)
        )
        newest = await self._all(query.order_by(_ROWS.c.number.desc()).limit(1))
        return newest[0] if newest else None

    async def _all(self, query: Select[Any]) -> list[StoredDeployment]:
        async with self._database.read() as connection:
            return [_record(row) for row in (await connection.execute(query)).mappings()]

    async def list(
        self,
        application: str | None = None,
        environment: str | None = None,
        *,
        release: str | None = None,
        states: Collection[DeploymentState] | None = None,
        since: datetime | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> list[StoredDeployment]:
        """Deployments, the newest first; `before` a number for the next page."""
        query = _of(application, environment)
        if release is not None:
            query = query.where(_ROWS.c.release == release)
        if states is not None:
            query = query.where(_ROWS.c.state.in_(states))
        if since is not None:
            query = query.where(_ROWS.c.opened_at >= since)
        if before is not None:
            query = query.where(_ROWS.c.number < before)
        query = query.order_by(_ROWS.c.opened_at.desc(), _ROWS.c.number.desc())
        return await self._all(query.limit(limit))


async def locked_deployment(connection: AsyncConnection, uuid: str) -> RowMapping:
    """A deployment's row, its environment held until the transaction ends.

    Raises:
        NotFound: There is no such deployment.
    """
    query = select(_HEADS.c.name).join(_ROWS, _OF_ITS_OWN).where(_ROWS.c.uuid == uuid)
    await connection.execute(query.with_for_update(of=_HEADS))
    return await _row(connection, uuid)


async def _row(
    connection: AsyncConnection, uuid: str, query: Select[Any] = _DEPLOYMENTS
) -> RowMapping:
    found = await connection.execute(query.where(_ROWS.c.uuid == uuid))
    row: RowMapping | None = found.mappings().one_or_none()
    if row is None:
        raise NotFound(f"no deployment {uuid}", hint="see apollo history")
    return row


async def _no_number(
    connection: AsyncConnection, application: str, environment: str, number: int
) -> NotFound:
    query = select(_HEADS.c.last_number).where(
        _HEADS.c.application == application, _HEADS.c.name == environment
    )
    last = (await connection.execute(query)).scalar_one_or_none()
    if last is None:
        return await unknown_environment(connection, application, environment)
    return NotFound(
        f"no deployment {application}/{environment}#{number}",
        hint=f"the newest is #{last}" if last else "it has had no deployment",
    )


def _of(application: str | None, environment: str | None) -> Select[Any]:
    query: Select[Any] = _DEPLOYMENTS
    if application is not None:
        query = query.where(_ROWS.c.application == application)
    if environment is not None:
        query = query.where(_ROWS.c.environment == environment)
    return query


def _record(row: RowMapping) -> StoredDeployment:
    return StoredDeployment.model_validate(dict(row))
