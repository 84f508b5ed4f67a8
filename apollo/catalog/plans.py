"""The hosts of a deployment, in the order in which they have their turns, forward and back."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import RowMapping, Select, bindparam, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from apollo.catalog import tables
from apollo.catalog.deployments import locked_deployment
from apollo.catalog.engine import Database
from apollo.catalog.records import HostRow
from apollo.domain.plan import HostState, PlannedHost
from apollo.domain.rollback import RollbackTurn
from apollo.domain.rollout import Phase

_ROWS = tables.deployment_hosts
_DEPLOYMENTS = tables.deployments


class Plans:
    """The plans of all deployments."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def store(
        self,
        deployment: str,
        hosts: Sequence[PlannedHost],
        manifests: Mapping[str, str],
        states: Mapping[str, HostState],
        summary: Mapping[str, Any],
    ) -> bool:
        """Store a deployment's plan; whether this was the first. A plan is never replaced.

        Args:
            deployment: Its uuid.
            hosts: The plan's hosts.
            manifests: The digest of what each host shall run.
            states: What was known of each host when the plan was made.
            summary: What the plan says beside its hosts.

        Raises:
            NotFound: There is no such deployment.
        """
        nothing = HostState()
        rows = [
            {
                **_planned(deployment, "forward", host),
                "manifest": manifests.get(host.host),
                "previous_manifest": states.get(host.host, nothing).manifest,
                "previous_release": states.get(host.host, nothing).release,
            }
            for host in hosts
        ]
        async with self._database.write() as connection:
            head = await locked_deployment(connection, deployment)
            if head["plan"] is not None:
                return False
            await connection.execute(
                update(_DEPLOYMENTS)
                .where(_DEPLOYMENTS.c.uuid == deployment)
                .values(plan=dict(summary), hosts=len(rows))
            )
            await _insert(connection, rows)
        return True

    async def store_rollback(self, deployment: str, turns: Sequence[RollbackTurn]) -> bool:
        """Store the way back as wave 1; whether this was the first. It is never replaced.

        A host's turns go on counting where its turns forward ended.

        Raises:
            NotFound: There is no such deployment.
        """
        async with self._database.write() as connection:
            await locked_deployment(connection, deployment)
            known = (await connection.execute(rows_of(deployment))).mappings().all()
            if any(row["phase"] == "rollback" for row in known):
                return False
            forward = {row["host"]: row for row in known}
            await _insert(connection, [_back(deployment, turn, forward) for turn in turns])
        return True

    async def batch(self, deployment: str, phase: Phase, wave: int, batch: int) -> list[HostRow]:
        """The hosts of a batch, ended or not, in the order of their turns."""
        where = (_ROWS.c.phase == phase, _ROWS.c.wave == wave, _ROWS.c.batch == batch)
        return await self._rows(rows_of(deployment).where(*where))

    async def rows(
        self, deployment: str, phase: Phase | None = None, *, records: bool = True
    ) -> list[HostRow]:
        """All hosts of a deployment: forward first, then those of the rollback.

        Without their `records` far less is read.
        """
        query = rows_of(deployment)
        if not records:
            columns = (column for column in _ROWS.c if column.name != "record")
            query = query.with_only_columns(*columns)
        return await self._rows(query if phase is None else query.where(_ROWS.c.phase == phase))

    async def again(self, deployment: str, turns: Mapping[str, int]) -> None:
        """Make hosts due once more, forward; those that have had a newer turn meanwhile are not."""
        async with self._database.write() as connection:
            await locked_deployment(connection, deployment)
            await connection.execute(
                update(_ROWS)
                .where(
                    _ROWS.c.deployment == deployment,
                    _ROWS.c.phase == "forward",
                    _ROWS.c.host == bindparam("of"),
                    _ROWS.c.turns == bindparam("had"),
                )
                .values(again=bindparam("had")),
                [{"of": host, "had": turn} for host, turn in turns.items()],
            )

    async def _rows(self, query: Select[Any]) -> list[HostRow]:
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).mappings()
            return [HostRow.model_validate(dict(row)) for row in rows]


async def _insert(connection: AsyncConnection, rows: list[dict[str, Any]]) -> None:
    if rows:
        await connection.execute(_ROWS.insert(), rows)


def rows_of(deployment: str) -> Select[Any]:
    """The hosts of a deployment: forward first, in the order of their turns."""
    return (
        select(_ROWS).where(_ROWS.c.deployment == deployment).order_by(_ROWS.c.phase, _ROWS.c.order)
    )


def _planned(deployment: str, phase: Phase, host: PlannedHost) -> dict[str, Any]:
    return {
        **host.model_dump(),
        "deployment": deployment,
        "phase": phase,
        "check_only": False,
        "turns": 0,
        "step": "",
        "error": "",
        "message": "",
        "attached": [],
        "previous_manifest": None,
        "previous_release": None,
    }


def _back(deployment: str, turn: RollbackTurn, forward: Mapping[str, RowMapping]) -> dict[str, Any]:
    planned = PlannedHost(
        order=turn.order,
        wave=1,
        batch=turn.batch,
        host=turn.host,
        location=turn.location,
        role=turn.role,
        group=turn.group,
        was_out=turn.already_out,
    )
    row = _planned(deployment, "rollback", planned)
    row |= {"manifest": turn.manifest, "check_only": turn.action == "check"}
    if before := forward.get(turn.host):
        kept = ("turns", "was_broken", "previous_manifest", "previous_release")
        row |= {column: before[column] for column in kept}
    return row
