"""How the turns of a deployment ended, and what hosts ran before."""

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import RowMapping, Select, bindparam, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from apollo.catalog import tables
from apollo.catalog.adoptions import end_adoptions
from apollo.catalog.changes import after_turn
from apollo.catalog.deployments import locked_deployment
from apollo.catalog.engine import Database, chunks
from apollo.catalog.hosts import Place, Row, change_states, state_of
from apollo.catalog.outputs import write_outputs
from apollo.catalog.plans import rows_of
from apollo.catalog.records import HostEnd, LastGood, final_outcome
from apollo.domain.budget import Ended, Tally
from apollo.domain.rollout import Phase
from apollo.domain.status import DeploymentState, Outcome
from apollo.domain.sync import PastTurn
from apollo.domain.turn import TurnRecord
from apollo.errors import NotFound

_ROWS = tables.deployment_hosts
_DEPLOYMENTS = tables.deployments
_BEGAN = bindparam("new_began", type_=_ROWS.c.started_at.type)
_GOOD = [outcome for outcome in Outcome if outcome.good]
_NO_TURN = (Outcome.SKIPPED, Outcome.NOT_STARTED)
_NOT_ON_THE_HOST = (*_NO_TURN, Outcome.UNREACHABLE)


class Turns:
    """The turns of all deployments."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def record(self, deployment: str, phase: Phase, records: Sequence[TurnRecord]) -> int:
        """Write how turns ended, and what runs on their hosts now; how many were news.

        A turn is written once, and never over one of a higher number. What is known of a host
        is never set back by a deployment whose lease is older.

        Raises:
            NotFound: There is no such deployment, or a host is not planned in that phase.
        """
        latest = {record.host: record for record in sorted(records, key=lambda each: each.turn)}
        if not latest:
            return 0
        async with self._database.write() as connection:
            head = await locked_deployment(connection, deployment)
            turns = await _turns(connection, deployment, phase, sorted(latest))
            if missing := sorted(latest.keys() - turns.keys()):
                raise NotFound(f"{deployment} plans no {phase} turn for {', '.join(missing)}")
            news = [record for host, record in latest.items() if record.turn > turns[host]]
            if not news:
                return 0
            await self._write(connection, deployment, phase, news)
            await self._learn(connection, head, phase, news)
            await write_outputs(connection, deployment, news)
            had = [record.host for record in news if record.outcome not in _NOT_ON_THE_HOST]
            await end_adoptions(connection, head["application"], head["environment"], had)
        return len(news)

    async def ends(self, deployment: str) -> list[HostEnd]:
        """How each host came out so far, both phases taken together, in the plan's order."""
        columns = ("phase", "host", "location", "outcome", "error", "check_only")
        query = rows_of(deployment).with_only_columns(*(_ROWS.c[name] for name in columns))
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).mappings().all()
        back = {row["host"]: row for row in rows if row["phase"] == "rollback"}
        return [_end(row, back.get(row["host"])) for row in rows if row["phase"] == "forward"]

    async def counts(self, deployment: str) -> dict[str, int]:
        """How many hosts came out how; `pending` those without an outcome. They add up."""
        return dict(Counter(str(end.outcome or "pending") for end in await self.ends(deployment)))

    async def errors(self, deployment: str) -> dict[str, int]:
        """How many hosts came out with which error."""
        return dict(Counter(end.error for end in await self.ends(deployment) if end.error))

    async def tally(self, deployment: str, phase: Phase) -> Tally:
        """What has been used of the deployment's budgets so far, on its way forward or back."""
        due = (_ROWS.c.turns > 0) & (_ROWS.c.turns == _ROWS.c.again)
        columns = (_ROWS.c.outcome, _ROWS.c.was_broken, due.label("due"))
        query = (
            select(*columns, func.count())
            .where(
                _ROWS.c.deployment == deployment,
                _ROWS.c.phase == phase,
                _ROWS.c.outcome.is_not(None),
            )
            .group_by(*columns)
        )
        used = Tally()
        async with self._database.read() as connection:
            for outcome, was_broken, again, number in await connection.execute(query):
                one = Tally().plus(Ended(Outcome(outcome), was_broken, again))
                used = Tally(
                    failures=used.failures + number * one.failures,
                    unreachable=used.unreachable + number * one.unreachable,
                )
        return used

    async def since(
        self, application: str, environment: str, *, number: int, hosts: Collection[str]
    ) -> dict[str, list[PastTurn]]:
        """The turns that hosts have had from this deployment on, the oldest first.

        Both phases of a deployment are taken together; hosts without a turn are missing.
        """
        found: dict[str, list[PastTurn]] = {}
        async with self._database.read() as connection:
            for names in chunks(sorted(set(hosts))):
                query = _since(application, environment, number, names)
                rows = (await connection.execute(query)).mappings().all()
                back = {(r["host"], r["number"]): r for r in rows if r["phase"] == "rollback"}
                for row in rows:
                    if row["phase"] == "forward":
                        turn = _past(row, back.get((row["host"], row["number"])))
                        found.setdefault(row["host"], []).extend([turn] if turn else [])
        return found

    async def last_good(
        self,
        application: str,
        environment: str,
        *,
        before: int,
        hosts: Collection[str],
    ) -> dict[str, LastGood]:
        """What hosts ran at the end of the last succeeded deployment they took part in (rule 7).

        Args:
            application: The application.
            environment: The environment.
            before: The number of a deployment; only those before it are looked at.
            hosts: The hosts asked for; those that took part in none are missing in the answer.
        """
        succeeded = (
            _DEPLOYMENTS.c.application == application,
            _DEPLOYMENTS.c.environment == environment,
            _DEPLOYMENTS.c.state == DeploymentState.SUCCEEDED,
            _DEPLOYMENTS.c.kind != "restart",  # it says nothing about what it restarts
            _DEPLOYMENTS.c.number < before,
        )
        found: dict[str, LastGood] = {}
        async with self._database.read() as connection:
            newest = select(func.max(_DEPLOYMENTS.c.number)).where(*succeeded)
            # The newest nearly always says it all; older ones are asked for what it leaves open.
            query = _good(*succeeded).where(_DEPLOYMENTS.c.number == newest.scalar_subquery())
            await _collect(connection, query, found)
            missing = sorted(set(hosts) - found.keys())
            for names in chunks(missing):
                query = _good(*succeeded, _ROWS.c.host.in_(names))
                await _collect(connection, query.order_by(_DEPLOYMENTS.c.number), found)
        return {host: found[host] for host in hosts if host in found}

    async def _write(
        self, connection: AsyncConnection, deployment: str, phase: Phase, news: list[TurnRecord]
    ) -> None:
        moment = self._database.now()
        await connection.execute(
            update(_ROWS)
            .where(
                _ROWS.c.deployment == deployment,
                _ROWS.c.phase == phase,
                _ROWS.c.host == bindparam("of"),
            )
            .values(
                {
                    name: bindparam(f"new_{name}")
                    for name in ("turns", "outcome", "ran", "step", "error", "message")
                }
                | {"attached": bindparam("new_attached"), "record": bindparam("new_record")}
                | {"started_at": func.coalesce(_BEGAN, _ROWS.c.started_at)}
                | {"ended_at": moment}
            ),
            [
                {
                    "of": record.host,
                    "new_turns": record.turn,
                    "new_outcome": record.outcome,
                    "new_ran": record.manifest,
                    "new_step": record.step,
                    "new_error": record.error,
                    "new_message": record.message,
                    "new_attached": list(record.attached),
                    "new_record": record.model_dump(mode="json", exclude={"outputs"}),
                    "new_began": record.began_at,
                }
                for record in news
            ],
        )

    async def _learn(
        self, connection: AsyncConnection, head: RowMapping, phase: Phase, news: list[TurnRecord]
    ) -> None:
        records = {record.host: record for record in news}

        def learned(host: str, row: Row) -> Row:
            record = records[host]
            age = {
                "granted_ms": head["granted_ms"],
                "number": head["number"],
                "turn": record.turn,
            }
            if tuple(age.values()) <= tuple(row[column] for column in age):
                return row
            state = after_turn(state_of(row), record, phase)
            if record.outcome in (Outcome.SKIPPED, Outcome.NOT_STARTED):
                return row
            return {**row, **state.model_dump(), **age, "deployment": head["uuid"]}

        place = Place(head["application"], head["environment"])
        await change_states(self._database, connection, place, list(records), learned)


async def _turns(
    connection: AsyncConnection, deployment: str, phase: Phase, hosts: list[str]
) -> dict[str, int]:
    turns: dict[str, int] = {}
    for names in chunks(hosts):
        query = select(_ROWS.c.host, _ROWS.c.turns).where(
            _ROWS.c.deployment == deployment, _ROWS.c.phase == phase, _ROWS.c.host.in_(names)
        )
        turns.update({host: turn for host, turn in await connection.execute(query)})
    return turns


async def _collect(
    connection: AsyncConnection, query: Select[Any], found: dict[str, LastGood]
) -> None:
    for host, ran, manifest, release, number in await connection.execute(query):
        if ran or manifest:
            found[host] = LastGood(manifest=ran or manifest, release=release, number=number)


def _good(*where: Any) -> Select[Any]:
    return (
        select(
            _ROWS.c.host,
            _ROWS.c.ran,
            _ROWS.c.manifest,
            _DEPLOYMENTS.c.release,
            _DEPLOYMENTS.c.number,
        )
        .join(_DEPLOYMENTS, _DEPLOYMENTS.c.uuid == _ROWS.c.deployment)
        .where(*where, _ROWS.c.phase == "forward", _ROWS.c.outcome.in_(_GOOD))
    )


def _since(application: str, environment: str, number: int, hosts: Sequence[str]) -> Select[Any]:
    columns = ("phase", "host", "outcome", "manifest", "ran", "error", "check_only")
    return (
        select(
            *(_ROWS.c[name] for name in columns),
            *(_DEPLOYMENTS.c[name] for name in ("number", "kind", "state", "release")),
        )
        .join(_DEPLOYMENTS, _DEPLOYMENTS.c.uuid == _ROWS.c.deployment)
        .where(
            _DEPLOYMENTS.c.application == application,
            _DEPLOYMENTS.c.environment == environment,
            _DEPLOYMENTS.c.number >= number,
            _ROWS.c.host.in_(hosts),
        )
        .order_by(_DEPLOYMENTS.c.number, _ROWS.c.phase)
    )


def _past(forward: RowMapping, back: RowMapping | None) -> PastTurn | None:
    """What a host's turns in one deployment come to; none if it has had none."""
    decides = forward
    if back is not None and back["outcome"] not in (None, *_NO_TURN):
        well = back["outcome"] in (Outcome.ROLLED_BACK, *_GOOD)
        decides = forward if well and back["check_only"] else back
    if decides["outcome"] in (None, *_NO_TURN):
        return None
    return PastTurn(
        **{name: decides[name] for name in ("host", "number", "kind", "state", "release")},
        outcome=decides["outcome"],
        wanted=decides["manifest"],
        ran=decides["ran"],
        error=decides["error"],
    )


def _end(forward: RowMapping, back: RowMapping | None) -> HostEnd:
    first = Outcome(forward["outcome"]) if forward["outcome"] else None
    second = Outcome(back["outcome"]) if back is not None and back["outcome"] else None
    looked = back is not None and back["check_only"]
    final = final_outcome(first, second, check_only=looked)
    decides = back if back is not None and final is second and second is not None else forward
    return HostEnd(
        host=forward["host"],
        location=forward["location"],
        outcome=final,
        error=decides["error"],
    )
