"""Rows of a real deployment, changed behind the catalog's back: what a judge must find out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Table, delete, insert, select, update

from apollo.catalog import Catalog, tables
from apollo.catalog.records import StoredDeployment
from apollo.proof import Judgement, Verdict, prove
from tests.support.stage import Running

HOSTS, HISTORY = tables.deployment_hosts, tables.host_history
TURN = 60.0
"""Seconds of a turn in `slowed` rows: much more than clocks may differ."""
Times = Mapping[str, tuple[float, float]]


@dataclass
class Rows:
    """What the catalog holds of a deployment; every change is written at once."""

    catalog: Catalog
    stored: StoredDeployment
    base: datetime = field(init=False)
    _ends: dict[tuple[str, str], float] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.base = datetime.fromtimestamp(
            self.stored.granted_ms / 1000, self.stored.opened_at.tzinfo
        )

    async def judged(self) -> dict[int, Judgement]:
        """The rules, judged by the rows as they are now."""
        found = await self.catalog.evidence.of(self.stored.uuid)
        return {each.rule: each for each in prove(found)}

    async def broken(self) -> dict[int, str]:
        """What breaks rules now, in words."""
        return {
            rule: "\n".join(f"{breach.host}: {breach.what}" for breach in each.breaches)
            for rule, each in (await self.judged()).items()
            if each.verdict is Verdict.BROKEN
        }

    async def doubted(self, rule: int) -> str:
        """What is not recorded of a rule now, in words."""
        found = (await self.judged())[rule]
        assert found.verdict is Verdict.NOT_RECORDED, found
        return "\n".join(f"{doubt.host}: {doubt.what}" for doubt in found.doubts)

    def at(self, seconds: float) -> datetime:
        """A moment after the lease was granted."""
        return self.base + timedelta(seconds=seconds)

    async def deployment(self, **values: Any) -> None:
        """Change the deployment's row."""
        uuid = self.stored.uuid
        await self._do(update(tables.deployments).where(tables.deployments.c.uuid == uuid), values)

    async def host(self, host: str, phase: str = "forward", **values: Any) -> None:
        """Change a host's row."""
        await self._do(update(HOSTS).where(*self._row(host, phase)), values)

    async def record(self, host: str, phase: str = "forward", **values: Any) -> None:
        """Change what a host's turn has brought back."""
        async with self.catalog._database.read() as connection:
            query = select(HOSTS.c.record).where(*self._row(host, phase))
            record = (await connection.execute(query)).scalar_one()
        await self.host(host, phase, record={**record, **values})

    async def steps(self, host: str, *names: str, phase: str = "forward", **others: Any) -> None:
        """The steps of a host's turn; `others` are what the first has that is not usual."""
        steps: list[dict[str, Any]] = [
            {"name": name, "exit": 0, "seconds": 1.0, "times": 1} for name in names
        ]
        steps[0].update(others)
        await self.record(host, phase, steps=steps)

    async def slowed(self, times: Times, phase: str = "forward") -> None:
        """Let turns begin and end at these seconds, with all that was written when they had."""
        for host, (begin, end) in times.items():
            await self.record(host, phase, began_at=self.at(begin).isoformat(), seconds=end - begin)
            await self.host(host, phase, ended_at=self.at(end))
            mine = (HISTORY.c.host == host, HISTORY.c.deployment == self.stored.uuid)
            async with self.catalog._database.write() as connection:
                query = select(HISTORY.c.id, HISTORY.c["from"]).where(*mine)
                for number, since in (await connection.execute(query)).all():
                    same = HISTORY.c.host == host, HISTORY.c.until == since
                    await connection.execute(
                        update(HISTORY).where(*same).values(until=self.at(end))
                    )
                    own = update(HISTORY).where(HISTORY.c.id == number)
                    await connection.execute(own.values({"from": self.at(end)}))
            self._ends[phase, host] = end
        await self.deployment(ended_at=self.at(max(self._ends.values()) + 5))

    async def said(self, action: str, seconds: float | None = None, **values: Any) -> None:
        """Change when or how something was said."""
        where = (tables.audit.c.deployment == self.stored.uuid, tables.audit.c.action == action)
        if seconds is not None:
            values["at"] = self.at(seconds)
        await self._do(update(tables.audit).where(*where), values)

    async def unsaid(self, action: str) -> None:
        """Take something out of the audit."""
        where = (tables.audit.c.deployment == self.stored.uuid, tables.audit.c.action == action)
        async with self.catalog._database.write() as connection:
            await connection.execute(delete(tables.audit).where(*where))

    async def left_out(self, host: str, phase: str = "forward") -> None:
        """Take a host's row away."""
        async with self.catalog._database.write() as connection:
            await connection.execute(delete(HOSTS).where(*self._row(host, phase)))

    async def was(self, host: str, begin: float, end: float | None, **values: Any) -> None:
        """Let a host have been something else for a while, instead of all that is known of it."""
        place = {"application": self.stored.application, "environment": self.stored.environment}
        known: dict[str, Any] = {"serving": "serving", "manifest": None, "release": None}
        known |= {"failed_last": False}
        long_ago = self.base - timedelta(days=1)
        spans: list[tuple[datetime, datetime | None, dict[str, Any]]] = [
            (long_ago, self.at(begin), {}),
            (self.at(begin), self.at(end) if end is not None else None, values),
        ]
        if end is not None:
            spans.append((self.at(end), None, {}))
        async with self.catalog._database.write() as connection:
            here = [HISTORY.c[name] == value for name, value in place.items()]
            await connection.execute(delete(HISTORY).where(*here, HISTORY.c.host == host))
            for since, until, other in spans:
                row = {**place, "host": host, **known, "disabled_reason": None, "deployment": ""}
                row |= {"from": since, "until": until, **other}
                await connection.execute(insert(HISTORY).values(row))

    async def add(self, table: Table, **values: Any) -> None:
        """Add a row."""
        async with self.catalog._database.write() as connection:
            await connection.execute(insert(table).values(values))

    async def applied(self, **values: Any) -> None:
        """Change the environment as it was applied; `strategy` is merged."""
        revisions = tables.environment_revisions
        where = (
            revisions.c.application == self.stored.application,
            revisions.c.environment == self.stored.environment,
            revisions.c.revision == self.stored.revision,
        )
        async with self.catalog._database.read() as connection:
            query = select(revisions.c.spec).where(*where)
            spec = (await connection.execute(query)).scalar_one()
        strategy = {**spec["strategy"], **values.pop("strategy", {})}
        await self._do(
            update(revisions).where(*where), {"spec": {**spec, **values, "strategy": strategy}}
        )

    def _row(self, host: str, phase: str) -> tuple[Any, ...]:
        return (
            HOSTS.c.deployment == self.stored.uuid,
            HOSTS.c.host == host,
            HOSTS.c.phase == phase,
        )

    async def _do(self, statement: Any, values: Mapping[str, Any]) -> None:
        async with self.catalog._database.write() as connection:
            done = await connection.execute(statement.values(**values))
        assert done.rowcount, "there was nothing to falsify"


async def rows_of(running: Running) -> Rows:
    """The rows of a deployment that has ended."""
    await running.result()
    return Rows(running.play.stage.catalog, await running.stored())


async def broken_rules(running: Running) -> dict[int, str]:
    """The rules that a deployment has broken, by the judge that reads the catalog's rows alone."""
    return await (await rows_of(running)).broken()
