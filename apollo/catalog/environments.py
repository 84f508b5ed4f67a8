"""Environments as they were applied, with all their revisions."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, Select, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from apollo.catalog import tables
from apollo.catalog.audit import note
from apollo.catalog.engine import Database, digest, insert
from apollo.catalog.records import AppliedEnvironment
from apollo.domain.environment import Environment
from apollo.domain.pipeline import Stage, read_pipeline, stored_pipeline
from apollo.errors import NotFound

_HEAD = tables.environments
_REVISIONS = tables.environment_revisions


KEPT = 4
"""How many environments are kept in memory: that of a large fleet takes a while to be read."""


class Environments:
    """The environments of all applications."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._planned: dict[tuple[str, str, int], Environment] = {}

    async def apply(
        self,
        environment: Environment,
        pipeline: Sequence[Stage | str],
        by: str,
        reason: str = "",
    ) -> int:
        """Make this the environment's content and return its revision.

        What is applied already keeps its revision; nothing is written then.
        """
        spec = environment.model_dump(mode="json", by_alias=True)
        mark = digest(spec)
        application, name = environment.application, environment.name
        async with self._database.write() as connection:
            await add_application(connection, application)
            await connection.execute(
                update(tables.applications)
                .where(tables.applications.c.name == application)
                .values(pipeline=stored_pipeline(read_pipeline(pipeline)))
            )
            revision = await self._head(connection, application, name)
            if revision and mark == await self._digest(connection, application, name, revision):
                return revision
            revision += 1
            await connection.execute(
                _REVISIONS.insert().values(
                    application=application,
                    environment=name,
                    revision=revision,
                    digest=mark,
                    spec=spec,
                    applied_at=self._database.now(),
                    applied_by=by,
                    reason=reason,
                )
            )
            await connection.execute(
                update(_HEAD)
                .where(_HEAD.c.application == application, _HEAD.c.name == name)
                .values(revision=revision)
            )
            await note(
                self._database,
                connection,
                "apply",
                identity=by,
                application=application,
                environment=name,
                reason=reason,
                detail={"revision": revision},
            )
        return revision

    async def get(
        self, application: str, name: str, revision: int | None = None
    ) -> AppliedEnvironment:
        """An environment as it is, or as it was at a revision.

        Raises:
            NotFound: It was never applied, or has no such revision.
        """
        query = _applied().where(_HEAD.c.application == application, _HEAD.c.name == name)
        wanted = _HEAD.c.revision if revision is None else revision
        async with self._database.read() as connection:
            row = (
                (await connection.execute(query.where(_REVISIONS.c.revision == wanted)))
                .mappings()
                .one_or_none()
            )
            if row is None:
                raise await unknown_environment(connection, application, name, revision)
        return _record(row)

    async def planned(self, application: str, name: str, revision: int) -> Environment:
        """An environment's content as it was at a revision: that never changes, and is kept here.

        Raises:
            NotFound: It was never applied, or has no such revision.
        """
        key = application, name, revision
        environment = self._planned.pop(key, None)
        if environment is None:
            environment = (await self.get(*key)).environment
        self._planned[key] = environment  # the one that was used last comes last
        while len(self._planned) > KEPT:
            del self._planned[next(iter(self._planned))]
        return environment

    async def stages(self, application: str) -> tuple[Stage, ...]:
        """The stages of an application's pipeline.

        Raises:
            NotFound: Nobody knows the application.
        """
        known = tables.applications.c
        query = select(known.name, known.pipeline).order_by(known.name)
        async with self._database.read() as connection:
            found = {name: stored for name, stored in await connection.execute(query)}
        if application not in found:
            hint = f"known are {', '.join(found)}" if found else "apply one: apollo apply"
            raise NotFound(f"no application {application!r} was ever applied", hint=hint)
        return read_pipeline(found[application])

    async def at(self, application: str, name: str, moment: datetime) -> AppliedEnvironment:
        """An environment as it was at a past moment.

        Raises:
            NotFound: It was not applied yet.
        """
        query = _applied().where(
            _HEAD.c.application == application,
            _HEAD.c.name == name,
            _REVISIONS.c.applied_at <= moment,
        )
        newest = query.order_by(_REVISIONS.c.revision.desc()).limit(1)
        async with self._database.read() as connection:
            row = (await connection.execute(newest)).mappings().one_or_none()
        if row is not None:
            return _record(row)
        first = await self.get(application, name, 1)
        raise NotFound(
            f"{application}/{name} was not applied yet at {moment:%Y-%m-%dT%H:%M:%SZ}",
            hint=f"it was first applied at {first.applied_at:%Y-%m-%dT%H:%M:%SZ}",
        )

    async def newest(self) -> "list[tuple[str, str, int]]":
        """Application, name and newest revision of each environment: quickly, without content."""
        query = select(_HEAD.c.application, _HEAD.c.name, _HEAD.c.revision)
        async with self._database.read() as connection:
            rows = await connection.execute(query.where(_HEAD.c.revision > 0))
            return [(row.application, row.name, row.revision) for row in rows]

    async def list(self, application: str | None = None) -> list[AppliedEnvironment]:
        """All environments as they are, or those of an application."""
        query = _applied().where(_REVISIONS.c.revision == _HEAD.c.revision)
        if application is not None:
            query = query.where(_HEAD.c.application == application)
        async with self._database.read() as connection:
            rows = await connection.execute(query.order_by(_HEAD.c.application, _HEAD.c.name))
            return [_record(row) for row in rows.mappings()]

    async def _head(self, connection: AsyncConnection, application: str, name: str) -> int:
        await connection.execute(
            insert(connection, _HEAD)
            .values(
                application=application, name=name, revision=0, last_number=0, last_granted_ms=0
            )
            .on_conflict_do_nothing()
        )
        revision: int = (await locked(connection, application, name))["revision"]
        return revision

    async def _digest(
        self, connection: AsyncConnection, application: str, name: str, revision: int
    ) -> str | None:
        query = select(_REVISIONS.c.digest).where(
            _REVISIONS.c.application == application,
            _REVISIONS.c.environment == name,
            _REVISIONS.c.revision == revision,
        )
        return (await connection.execute(query)).scalar_one_or_none()


async def add_application(connection: AsyncConnection, application: str) -> None:
    """Make an application known."""
    await connection.execute(
        insert(connection, tables.applications)
        .values(name=application, pipeline=[])
        .on_conflict_do_nothing()
    )


async def locked(connection: AsyncConnection, application: str, name: str) -> RowMapping:
    """The environment's row, held until the transaction ends: what it counts cannot race.

    Raises:
        NotFound: It was never applied.
    """
    query = select(_HEAD).where(_HEAD.c.application == application, _HEAD.c.name == name)
    row = (await connection.execute(query.with_for_update())).mappings().one_or_none()
    if row is None:
        raise await unknown_environment(connection, application, name)
    return row


async def unknown_environment(
    connection: AsyncConnection, application: str, name: str, revision: int | None = None
) -> NotFound:
    """The error for an environment that is not there, with those that are."""
    query = select(_HEAD.c.application, _HEAD.c.name, _HEAD.c.revision).order_by(
        _HEAD.c.application, _HEAD.c.name
    )
    rows = (await connection.execute(query)).all()
    for known, environment, newest in rows:
        if (known, environment) == (application, name):
            return NotFound(
                f"{application}/{name} has no revision {revision}",
                hint=f"its newest is {newest}",
            )
    labels = [f"{known}/{environment}" for known, environment, _ in rows]
    own = [label for label in labels if label.startswith(f"{application}/")] or labels
    return NotFound(
        f"no environment {application}/{name} was ever applied",
        hint=f"known are {', '.join(own)}" if own else "apply it: apollo apply",
    )


def _applied() -> Select[Any]:
    return (
        select(_REVISIONS, tables.applications.c.pipeline)
        .join(
            _HEAD,
            (_REVISIONS.c.application == _HEAD.c.application)
            & (_REVISIONS.c.environment == _HEAD.c.name),
        )
        .join(tables.applications, tables.applications.c.name == _HEAD.c.application)
    )


def _record(row: RowMapping) -> AppliedEnvironment:
    return AppliedEnvironment(
        environment=Environment.model_validate(row["spec"]),
        revision=row["revision"],
        stages=read_pipeline(row["pipeline"]),
        applied_at=row["applied_at"],
        applied_by=row["applied_by"],
        reason=row["reason"],
    )
