"""Host keys: they belong to the environment."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal

from sqlalchemy import Select, delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from apollo.catalog import tables
from apollo.catalog.audit import note
from apollo.catalog.engine import Database, chunks
from apollo.catalog.environments import locked
from apollo.catalog.records import HostKey

_KEYS = tables.host_keys
Mode = Literal["add", "replace", "new_only"]
Key = tuple[str, str]
"""Host and line."""


class HostKeys:
    """The keys by which the hosts of environments are known."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def trust(
        self,
        application: str,
        environment: str,
        keys: Mapping[str, Sequence[str]],
        by: str,
        reason: str = "",
        *,
        mode: Mode = "add",
    ) -> list[str]:
        """Trust key lines of hosts; the hosts whose keys changed by it.

        `add` keeps what was trusted before, `replace` does not, `new_only` leaves hosts alone
        that have keys.

        Raises:
            NotFound: The environment was never applied.
        """
        place = {"application": application, "environment": environment}
        async with self._database.write() as connection:
            await locked(connection, application, environment)
            known = await _lines(connection, _of(application, environment))
            adds, drops = _changes(keys, known, mode)
            await self._drop(connection, place, drops)
            if adds:
                how = {"added_at": self._database.now(), "added_by": by, "reason": reason}
                rows = [{**place, **how, "host": host, "line": line} for host, line in adds]
                await connection.execute(_KEYS.insert(), rows)
            changed = sorted({host for host, _ in [*adds, *drops]})
            if changed:
                await note(
                    self._database,
                    connection,
                    "hosts trust",
                    identity=by,
                    reason=reason,
                    detail={"hosts": changed, "mode": mode},
                    **place,
                )
        return changed

    async def lines(
        self, application: str, environment: str, hosts: Collection[str] | None = None
    ) -> dict[str, list[str]]:
        """The trusted key lines of each host, or of these, that has any."""
        query = _of(application, environment)
        queries = [query]
        if hosts is not None:
            queries = [query.where(_KEYS.c.host.in_(some)) for some in chunks(sorted(set(hosts)))]
        async with self._database.read() as connection:
            found = [await _lines(connection, each) for each in queries]
        return {host: lines for some in found for host, lines in some.items()}

    async def _drop(
        self, connection: AsyncConnection, place: Mapping[str, str], drops: Sequence[Key]
    ) -> None:
        for host, line in drops:
            one = {**place, "host": host, "line": line}
            where = (_KEYS.c[name] == value for name, value in one.items())
            await connection.execute(delete(_KEYS).where(*where))

    async def list(self, application: str, environment: str) -> list[HostKey]:
        """The trusted keys, and who trusted them when."""
        async with self._database.read() as connection:
            rows = (await connection.execute(_of(application, environment))).mappings()
        return [HostKey.model_validate(dict(row)) for row in rows]


def _changes(
    wanted: Mapping[str, Sequence[str]], known: Mapping[str, Sequence[str]], mode: Mode
) -> tuple[Sequence[Key], Sequence[Key]]:
    """The keys to be added and those to be dropped."""
    adds: list[Key] = []
    drops: list[Key] = []
    for host, lines in wanted.items():
        if mode == "new_only" and host in known:
            continue
        new = dict.fromkeys(line.strip() for line in lines)
        old = known.get(host, ())
        adds += [(host, line) for line in new if line not in old]
        if mode == "replace":
            drops += [(host, line) for line in old if line not in new]
    return adds, drops


def _of(application: str, environment: str) -> Select[Any]:
    return (
        select(_KEYS)
        .where(_KEYS.c.application == application, _KEYS.c.environment == environment)
        .order_by(_KEYS.c.host, _KEYS.c.line)
    )


async def _lines(connection: AsyncConnection, query: Select[Any]) -> dict[str, list[str]]:
    by_host: dict[str, list[str]] = {}
    keys = query.with_only_columns(_KEYS.c.host, _KEYS.c.line)
    for host, line in await connection.execute(keys):
        by_host.setdefault(host, []).append(line)
    return by_host
