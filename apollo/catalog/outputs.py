"""What hooks have printed, by deployment, host, turn and step."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select, bindparam, delete, exists, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from apollo.catalog import tables
from apollo.catalog.engine import Database
from apollo.catalog.records import StoredOutput
from apollo.domain.outputs import unpack
from apollo.domain.status import Outcome
from apollo.domain.turn import TurnRecord
from apollo.errors import NotFound

_OUTPUTS = tables.outputs


class Outputs:
    """The ends of all hooks' outputs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def record(self, deployment: str, records: Sequence[TurnRecord]) -> None:
        """Write what the steps of these turns have printed; again changes nothing."""
        async with self._database.write() as connection:
            await write_outputs(connection, deployment, records)

    async def of_turn(
        self, deployment: str, host: str, turn: int | None = None
    ) -> list[StoredOutput]:
        """The steps of a host's turn in their order; without a number, of its last turn."""
        mine = (_OUTPUTS.c.deployment == deployment, _OUTPUTS.c.host == host)
        query = select(_OUTPUTS).where(*mine).order_by(_OUTPUTS.c.turn, _OUTPUTS.c.place)
        if turn is not None:
            query = query.where(_OUTPUTS.c.turn == turn)
        return await self._read(query)

    async def of_host(
        self, application: str, environment: str, host: str, number: int | None = None
    ) -> list[StoredOutput]:
        """What a host's hooks printed in a deployment; without a number in its last one there.

        Raises:
            NotFound: It has had no turn there.
        """
        deployments, rows = tables.deployments, tables.deployment_hosts
        query = (
            select(deployments.c.uuid)
            .join(rows, rows.c.deployment == deployments.c.uuid)
            .where(
                deployments.c.application == application,
                deployments.c.environment == environment,
                rows.c.host == host,
                or_(
                    rows.c.outcome.not_in([Outcome.SKIPPED, Outcome.NOT_STARTED]),
                    exists()
                    .where(_OUTPUTS.c.deployment == deployments.c.uuid)
                    .where(_OUTPUTS.c.host == host),
                ),
            )
            .order_by(deployments.c.number.desc())
            .limit(1)
        )
        if number is not None:
            query = query.where(deployments.c.number == number)
        async with self._database.read() as connection:
            found = (await connection.execute(query)).scalar_one_or_none()
        if found is None:
            where = f"{application}/{environment}" + (f"#{number}" if number is not None else "")
            raise NotFound(
                f"{host} has had no turn in {where}",
                hint=f"apollo hosts {application}/{environment}",
            )
        return await self.of_turn(found, host)

    async def once(self, deployment: str) -> list[StoredOutput]:
        """The steps that ran once in the deployment."""
        wanted = _OUTPUTS.c.step.in_(["once.before", "once.after"])
        query = select(_OUTPUTS).where(_OUTPUTS.c.deployment == deployment, wanted)
        return await self._read(query.order_by(_OUTPUTS.c.step.desc(), _OUTPUTS.c.host))

    async def _read(self, query: Select[Any]) -> list[StoredOutput]:
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).mappings().all()
        return [StoredOutput.model_validate(dict(row)) for row in rows]


async def write_outputs(
    connection: AsyncConnection, deployment: str, records: Sequence[TurnRecord]
) -> None:
    """The rows of these turns, in place of what was written of them before.

    A step that went well and printed nothing has none.
    """
    if not records:
        return
    mine = (_OUTPUTS.c.deployment == deployment, _OUTPUTS.c.host == bindparam("of"))
    before = delete(_OUTPUTS).where(*mine, _OUTPUTS.c.turn == bindparam("had"))
    await connection.execute(before, [{"of": each.host, "had": each.turn} for each in records])
    if rows := [row for record in records for row in _rows(deployment, record)]:
        await connection.execute(_OUTPUTS.insert(), rows)


def _rows(deployment: str, record: TurnRecord) -> list[dict[str, Any]]:
    texts = {output.step: output for output in unpack(record.outputs)}
    return [
        {
            "deployment": deployment,
            "host": record.host,
            "turn": record.turn,
            "step": step.name,
            "place": place,
            "exit": step.exit,
            "seconds": step.seconds,
            "text": texts[step.name].text if step.name in texts else "",
            "cut": texts[step.name].cut if step.name in texts else 0,
        }
        for place, step in enumerate(record.steps)
        if step.name in texts or step.exit or step.name.startswith("once.")
    ]
