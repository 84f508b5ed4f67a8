"""The rows that bear witness to a deployment, as they lie in the tables."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from apollo.catalog import tables
from apollo.catalog.engine import Database
from apollo.errors import NotFound

BEFORE = timedelta(minutes=1)
"""How long before a deployment was opened its plan may have looked at its hosts."""
Row = Mapping[str, Any]

_DEPLOYMENTS = tables.deployments.c
_HOSTS = tables.deployment_hosts.c
_NO_TURN = ("skipped", "not_started")


@dataclass(frozen=True)
class Evidence:
    """What the catalog holds about one deployment; nothing is interpreted."""

    deployment: Row
    hosts: tuple[Row, ...]
    """Forward first, in the order of the plan."""
    applied: tuple[Row, ...]
    """The environment's revisions, from the one that it was planned with."""
    releases: tuple[Row, ...]
    """Its own, and those that its hosts ran before."""
    history: tuple[Row, ...]
    """What the environment's hosts were meanwhile."""
    audit: tuple[Row, ...]
    """What was said to it, the oldest first."""
    once: tuple[Row, ...]
    granted: tuple[Row, ...]
    """The number of each deployment of the environment that had the lease, and since when."""
    foreign: tuple[Row, ...]
    """Turns of other deployments that may have been under way meanwhile."""
    good: tuple[Row, ...]
    """What each of its hosts ran in the last succeeded deployment that it took part in."""


class Evidences:
    """Reads the evidence of deployments."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of(self, uuid: str) -> Evidence:
        """What the catalog holds about a deployment, at one moment.

        Raises:
            NotFound: There is no such deployment.
        """
        async with self._database.read() as connection:
            deployment = await _deployment(connection, uuid)
            return Evidence(
                deployment=deployment,
                hosts=await _rows(connection, _hosts_of(uuid)),
                applied=await _rows(connection, _applied(deployment)),
                releases=await _rows(connection, _releases(deployment)),
                history=await _rows(connection, _history(deployment, self._end(deployment))),
                audit=await _rows(connection, _audit(uuid)),
                once=await _rows(connection, _once(uuid)),
                granted=await _rows(connection, _granted(deployment)),
                foreign=await _rows(connection, _foreign(deployment, self._end(deployment))),
                good=await _rows(connection, _good(deployment)),
            )

    def _end(self, deployment: Row) -> Any:
        return deployment["ended_at"] or self._database.now()


async def _rows(connection: AsyncConnection, query: Select[Any]) -> tuple[Row, ...]:
    return tuple(dict(row) for row in (await connection.execute(query)).mappings())


async def _deployment(connection: AsyncConnection, uuid: str) -> Row:
    query = select(tables.deployments).where(_DEPLOYMENTS.uuid == uuid)
    found = await _rows(connection, query)
    if not found:
        raise NotFound(f"no deployment {uuid}", hint="see apollo history")
    return found[0]


def _hosts_of(uuid: str) -> Select[Any]:
    rows = tables.deployment_hosts
    return select(rows).where(_HOSTS.deployment == uuid).order_by(_HOSTS.phase, _HOSTS.order)


def _applied(deployment: Row) -> Select[Any]:
    revisions = tables.environment_revisions
    here = _here(revisions.c, deployment)
    query = select(revisions).where(*here, revisions.c.revision >= deployment["revision"])
    return query.order_by(revisions.c.revision)


def _releases(deployment: Row) -> Select[Any]:
    releases = tables.releases
    before = select(_HOSTS.previous_release).where(_HOSTS.deployment == deployment["uuid"])
    return select(releases).where(
        releases.c.application == deployment["application"],
        (releases.c.version == deployment["release"]) | releases.c.version.in_(before),
    )


def _history(deployment: Row, end: Any) -> Select[Any]:
    history = tables.host_history
    until = history.c.until
    return (
        select(history)
        .where(
            *_here(history.c, deployment),
            history.c["from"] <= end,
            until.is_(None) | (until >= deployment["opened_at"] - BEFORE),
        )
        .order_by(history.c.host, history.c.id)
    )


def _audit(uuid: str) -> Select[Any]:
    audit = tables.audit
    return select(audit).where(audit.c.deployment == uuid).order_by(audit.c.id)


def _once(uuid: str) -> Select[Any]:
    outputs = tables.outputs
    ran = outputs.c.step.in_(["once.before", "once.after"])
    return select(outputs).where(outputs.c.deployment == uuid, ran)


def _granted(deployment: Row) -> Select[Any]:
    query = select(_DEPLOYMENTS.number, _DEPLOYMENTS.granted_ms)
    had = _DEPLOYMENTS.granted_ms > 0
    return query.where(*_here(_DEPLOYMENTS, deployment), had).order_by(_DEPLOYMENTS.number)


def _foreign(deployment: Row, end: Any) -> Select[Any]:
    rows = tables.deployment_hosts
    ended = _DEPLOYMENTS.ended_at
    return (
        select(rows, _DEPLOYMENTS.number)
        .join(tables.deployments, _DEPLOYMENTS.uuid == _HOSTS.deployment)
        .where(
            *_here(_DEPLOYMENTS, deployment),
            _DEPLOYMENTS.uuid != deployment["uuid"],
            _DEPLOYMENTS.opened_at <= end,
            ended.is_(None) | (ended >= deployment["opened_at"]),
            _HOSTS.outcome.not_in(_NO_TURN),
        )
    )


def _good(deployment: Row) -> Select[Any]:
    """A restart says nothing about what it restarts."""
    before = tables.deployment_hosts.alias("before").c
    mine = select(_HOSTS.host).where(_HOSTS.deployment == deployment["uuid"]).distinct()
    took_part = (
        *_here(_DEPLOYMENTS, deployment),
        _DEPLOYMENTS.state == "succeeded",
        _DEPLOYMENTS.kind != "restart",
        _DEPLOYMENTS.number < deployment["number"],
        before.deployment == _DEPLOYMENTS.uuid,
        before.phase == "forward",
        before.outcome.in_(["updated", "current"]),
        before.host.in_(mine),
    )
    newest = (
        select(before.host, func.max(_DEPLOYMENTS.number).label("number"))
        .where(*took_part)
        .group_by(before.host)
        .subquery()
    )
    return select(before.host, before.ran, before.manifest, _DEPLOYMENTS.number).where(
        *took_part, newest.c.host == before.host, newest.c.number == _DEPLOYMENTS.number
    )


def _here(columns: Any, deployment: Row) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    place = deployment["application"], deployment["environment"]
    return columns.application == place[0], columns.environment == place[1]
