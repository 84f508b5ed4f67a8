"""What hooks have printed, by deployment, host, turn and step."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select, delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from apollo.catalog import tables
from apollo.catalog.engine import Database
from apollo.catalog.records import StoredOutput
from apollo.domain.outputs import unpack
from apollo.domain.turn import TurnRecord

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
    for record in records:
        texts = {output.step: output for output in unpack(record.outputs)}
        rows = [
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
        await connection.execute(
            delete(_OUTPUTS).where(
                _OUTPUTS.c.deployment == deployment,
                _OUTPUTS.c.host == record.host,
                _OUTPUTS.c.turn == record.turn,
            )
        )
        if rows:
            await connection.execute(_OUTPUTS.insert(), rows)
