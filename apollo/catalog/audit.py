"""Who did what, when and why."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncConnection

from apollo.catalog import tables
from apollo.catalog.engine import Database, insert
from apollo.catalog.records import AuditEntry


class Audit:
    """The audit of all applications. Entries are added, never changed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(
        self,
        action: str,
        *,
        by: str,
        kind: Literal["declared", "verified"] = "declared",
        application: str = "",
        environment: str = "",
        deployment: str = "",
        reason: str = "",
        detail: Mapping[str, Any] | None = None,
        control: str | None = None,
    ) -> None:
        """Add an entry, once for each control id of a deployment."""
        async with self._database.write() as connection:
            await note(
                self._database,
                connection,
                action,
                identity=by,
                identity_kind=kind,
                application=application,
                environment=environment,
                deployment=deployment,
                reason=reason,
                detail=dict(detail or {}),
                control=control or None,
            )

    async def list(
        self,
        application: str | None = None,
        environment: str | None = None,
        *,
        deployment: str | None = None,
        since: datetime | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> list[AuditEntry]:
        """The newest entries first; `before` an entry's id for the next page."""
        entries = tables.audit.c
        wanted = (
            (entries.application, application),
            (entries.environment, environment),
            (entries.deployment, deployment),
        )
        numbers = tables.deployments.c
        query: Select[Any] = (
            select(tables.audit, numbers.number, numbers.release)
            .outerjoin(tables.deployments, numbers.uuid == entries.deployment)
            .order_by(entries.id.desc())
            .limit(limit)
        )
        query = query.where(*(column == value for column, value in wanted if value is not None))
        if since is not None:
            query = query.where(entries.at >= since)
        if before is not None:
            query = query.where(entries.id < before)
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).mappings()
            return [AuditEntry.model_validate(dict(row)) for row in rows]


async def note(database: Database, connection: AsyncConnection, action: str, **values: Any) -> None:
    """Add an entry within a transaction: what it tells of is done, or neither is."""
    defaults = {
        "at": database.now(),
        "identity_kind": "declared",
        "deployment": "",
        "reason": "",
        "detail": {},
        "control": None,
    }
    entry = {"action": action, **defaults, **values}
    statement = insert(connection, tables.audit).values(**entry)
    await connection.execute(
        statement.on_conflict_do_nothing(index_elements=["deployment", "control"])
    )
