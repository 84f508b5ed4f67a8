"""What runs where, now and at any past moment."""

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import RowMapping, bindparam, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from apollo.catalog import tables
from apollo.catalog.audit import note
from apollo.catalog.engine import Database, chunks, insert
from apollo.catalog.environments import locked
from apollo.catalog.records import KnownHost
from apollo.domain.plan import HostState
from apollo.domain.status import Serving

_STATE = tables.host_state
_HISTORY = tables.host_history
_SHOWN = ("serving", "manifest", "release", "failed_last", "disabled_reason")
_NEW: Mapping[str, Any] = {
    "serving": Serving.NEW,
    "manifest": None,
    "release": None,
    "failed_last": False,
    "disabled_reason": None,
    "deployment": "",
    "granted_ms": 0,
    "number": 0,
    "turn": 0,
}
Row = Mapping[str, Any]


class Place(NamedTuple):
    """An environment."""

    application: str
    environment: str


class Hosts:
    """The hosts of all environments."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def states(
        self, application: str, environment: str, hosts: Collection[str] | None = None
    ) -> dict[str, KnownHost]:
        """What is known of each host, or of these; nothing is known of those that are missing."""
        place = Place(application, environment)
        async with self._database.read() as connection:
            if hosts is not None:
                rows = (await _rows(connection, place, sorted(set(hosts)))).values()
                return {row["host"]: _known(row, row["since"]) for row in rows}
            query = select(_STATE).where(*_in(place)).order_by(_STATE.c.host)
            found = (await connection.execute(query)).mappings()
            return {row["host"]: _known(row, row["since"]) for row in found}

    async def in_service(self, application: str, environment: str) -> set[str]:
        """The hosts that serve and are not disabled.

        They come as one text: a row for each takes Python several times as long.
        """
        query = select(func.aggregate_strings(_STATE.c.host, " ")).where(
            *_in(Place(application, environment)),
            _STATE.c.serving == Serving.SERVING,
            _STATE.c.disabled_reason.is_(None),
        )
        async with self._database.read() as connection:
            return set(((await connection.execute(query)).scalar() or "").split())

    async def at(
        self, application: str, environment: str, moment: datetime
    ) -> dict[str, KnownHost]:
        """What was known of each host at a past moment."""
        query = select(_HISTORY).where(
            _HISTORY.c.application == application,
            _HISTORY.c.environment == environment,
            _HISTORY.c["from"] <= moment,
            _HISTORY.c.until.is_(None) | (_HISTORY.c.until > moment),
        )
        async with self._database.read() as connection:
            rows = (await connection.execute(query.order_by(_HISTORY.c.host))).mappings()
            return {row["host"]: _known(row, row["from"]) for row in rows}

    async def history(self, application: str, environment: str, host: str) -> list[KnownHost]:
        """What a host has run, the newest first."""
        query = select(_HISTORY).where(
            _HISTORY.c.application == application,
            _HISTORY.c.environment == environment,
            _HISTORY.c.host == host,
        )
        async with self._database.read() as connection:
            rows = (await connection.execute(query.order_by(_HISTORY.c.id.desc()))).mappings()
            return [_known(row, row["from"]) for row in rows]

    async def disable(
        self, application: str, environment: str, hosts: Collection[str], by: str, reason: str
    ) -> list[str]:
        """Take hosts out of all deployments; the hosts that were not disabled before."""
        return await self._set_disabled(
            "disable", Place(application, environment), hosts, by, reason
        )

    async def enable(
        self, application: str, environment: str, hosts: Collection[str], by: str, reason: str = ""
    ) -> list[str]:
        """Let hosts take part again, as they were known before; the hosts that were disabled."""
        return await self._set_disabled(
            "enable", Place(application, environment), hosts, by, reason
        )

    async def forget(
        self, application: str, environment: str, hosts: Collection[str], by: str, reason: str = ""
    ) -> list[str]:
        """Know no more of hosts, nor their keys; the history stays. The hosts that were known."""
        place = Place(application, environment)
        async with self._database.write() as connection:
            await locked(connection, *place)
            known = await _rows(connection, place, sorted(set(hosts)))
            forgotten = await _drop(connection, place, sorted(set(hosts))) | known.keys()
            await _close_history(connection, place, list(known), self._database.now())
            await self._note(connection, "forget", place, sorted(forgotten), by, reason)
        return sorted(forgotten)

    async def _set_disabled(
        self, action: str, place: Place, hosts: Collection[str], by: str, reason: str
    ) -> list[str]:
        wanted = reason if action == "disable" else None

        def disabled(_: str, row: Row) -> Row:
            if (row["disabled_reason"] is None) == (wanted is None):
                return row
            return {**row, "disabled_reason": wanted}

        async with self._database.write() as connection:
            await locked(connection, *place)
            changed = await change_states(self._database, connection, place, hosts, disabled)
            await self._note(connection, action, place, changed, by, reason)
        return changed

    async def _note(
        self,
        connection: AsyncConnection,
        action: str,
        place: Place,
        hosts: list[str],
        by: str,
        reason: str,
    ) -> None:
        if hosts:
            await note(
                self._database,
                connection,
                f"hosts {action}",
                identity=by,
                reason=reason,
                detail={"hosts": hosts},
                **place._asdict(),
            )


async def change_states(
    database: Database,
    connection: AsyncConnection,
    place: Place,
    hosts: Collection[str],
    change: Callable[[str, Row], Row],
) -> list[str]:
    """Change what is known of hosts and keep the history; the hosts that show a difference.

    Their environment is held.
    """
    names = sorted(set(hosts))
    known = await _rows(connection, place, names)
    moment = database.now()
    touched: list[dict[str, Any]] = []
    changed: list[dict[str, Any]] = []
    for name in names:
        old: Row = dict(known.get(name, _NEW))
        new = dict(change(name, old))
        if new == old:
            continue
        shows = any(new[column] != old[column] for column in _SHOWN) or name not in known
        # The clock of another machine may be ahead of this one's.
        since = max(moment, old["since"]) if shows and name in known else old.get("since", moment)
        row = {**new, **place._asdict(), "host": name, "since": since}
        row["deployment"] = new["deployment"] if shows else old["deployment"]
        touched.append(row)
        if shows:
            changed.append(row)
    await _store(connection, place, touched, changed)
    return [row["host"] for row in changed]


def _in(place: Place) -> tuple[Any, Any]:
    return (
        _STATE.c.application == place.application,
        _STATE.c.environment == place.environment,
    )


def state_of(row: Row) -> HostState:
    """A row as the domain sees it, but for its being disabled."""
    return HostState.model_validate(dict(row))


async def _rows(
    connection: AsyncConnection, place: Place, hosts: list[str]
) -> dict[str, RowMapping]:
    found: dict[str, RowMapping] = {}
    for names in chunks(hosts):
        query = select(_STATE).where(*_in(place), _STATE.c.host.in_(names))
        found.update({row["host"]: row for row in (await connection.execute(query)).mappings()})
    return found


async def _store(
    connection: AsyncConnection,
    place: Place,
    touched: list[dict[str, Any]],
    changed: list[dict[str, Any]],
) -> None:
    if touched:
        statement = insert(connection, _STATE)
        news = {c.name: statement.excluded[c.name] for c in _STATE.c if not c.primary_key}
        keys = [c.name for c in _STATE.primary_key]
        await connection.execute(
            statement.on_conflict_do_update(index_elements=keys, set_=news), touched
        )
    if changed:
        for row in changed:
            row["from"] = row["since"]
        await _end_history(connection, place, [(row["host"], row["from"]) for row in changed])
        columns = [c.name for c in _HISTORY.c if c.name not in ("id", "until")]
        await connection.execute(
            _HISTORY.insert(), [{name: row[name] for name in columns} for row in changed]
        )


async def _end_history(
    connection: AsyncConnection, place: Place, ends: list[tuple[str, datetime]]
) -> None:
    await connection.execute(
        update(_HISTORY)
        .where(
            _HISTORY.c.application == place.application,
            _HISTORY.c.environment == place.environment,
            _HISTORY.c.host == bindparam("of"),
            _HISTORY.c.until.is_(None),
        )
        .values(until=bindparam("ended")),
        [{"of": host, "ended": moment} for host, moment in ends],
    )


async def _close_history(
    connection: AsyncConnection, place: Place, hosts: list[str], moment: datetime
) -> None:
    if hosts:
        await _end_history(connection, place, [(host, moment) for host in hosts])


async def _drop(connection: AsyncConnection, place: Place, hosts: list[str]) -> set[str]:
    """Delete states and keys; the hosts that had keys."""
    with_keys: set[str] = set()
    for names in chunks(hosts):
        for table in (_STATE, tables.host_keys):
            where = (
                table.c.application == place.application,
                table.c.environment == place.environment,
                table.c.host.in_(names),
            )
            if table is tables.host_keys:
                with_keys |= set(
                    (await connection.execute(select(table.c.host).where(*where))).scalars()
                )
            await connection.execute(delete(table).where(*where))
    return with_keys


def _known(row: RowMapping, since: datetime) -> KnownHost:
    disabled = row["disabled_reason"] is not None
    return KnownHost(
        host=row["host"],
        serving=Serving.DISABLED if disabled else Serving(row["serving"]),
        manifest=row["manifest"],
        release=row["release"],
        failed_last=row["failed_last"],
        since=since,
        deployment=row["deployment"],
        disabled_reason=row["disabled_reason"],
    )
