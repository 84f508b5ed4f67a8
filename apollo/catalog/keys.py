"""Host keys: they belong to the environment."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from sqlalchemy import Select, delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from apollo.catalog import tables
from apollo.catalog.audit import note
from apollo.catalog.engine import Database
from apollo.catalog.environments import locked
from apollo.catalog.records import HostKey

_KEYS = tables.host_keys


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
        mode: Literal["add", "replace", "new_only"] = "add",
    ) -> list[str]:
        """Trust key lines of hosts; the hosts whose keys changed by it.

        `add` keeps what was trusted before, `replace` does not, `new_only` leaves hosts alone
        that have keys.

        Raises:
            NotFound: The environment was never applied.
        """
        async with self._database.write() as connection:
            await locked(connection, application, environment)
            known = _by_host(await _lines(connection, _of(application, environment)))
            wanted = {host: dict.fromkeys(line.strip() for line in keys[host]) for host in keys}
            adds = [
                {"host": host, "line": line}
                for host, lines in wanted.items()
                for line in lines
                if line not in known.get(host, ()) and not (mode == "new_only" and host in known)
            ]
            drops = [
                (host, line)
                for host, lines in wanted.items()
                for line in known.get(host, ())
                if mode == "replace" and line not in lines
            ]
            for host, line in drops:
                await connection.execute(
                    delete(_KEYS).where(
                        _KEYS.c.application == application,
                        _KEYS.c.environment == environment,
                        _KEYS.c.host == host,
                        _KEYS.c.line == line,
                    )
                )
            if adds:
                common = {
                    "application": application,
                    "environment": environment,
                    "added_at": self._database.now(),
                    "added_by": by,
                    "reason": reason,
                }
                await connection.execute(_KEYS.insert(), [{**common, **row} for row in adds])
            changed = sorted({row["host"] for row in adds} | {host for host, _ in drops})
            if changed:
                await note(
                    self._database,
                    connection,
                    "hosts trust",
                    identity=by,
                    application=application,
                    environment=environment,
                    reason=reason,
                    detail={"hosts": changed, "mode": mode},
                )
        return changed

    async def lines(self, application: str, environment: str) -> dict[str, list[str]]:
        """The trusted key lines of each host that has any."""
        async with self._database.read() as connection:
            return _by_host(await _lines(connection, _of(application, environment)))

    async def list(self, application: str, environment: str) -> list[HostKey]:
        """The trusted keys, and who trusted them when."""
        async with self._database.read() as connection:
            return await _lines(connection, _of(application, environment))


def _of(application: str, environment: str) -> Select[Any]:
    return (
        select(_KEYS)
        .where(_KEYS.c.application == application, _KEYS.c.environment == environment)
        .order_by(_KEYS.c.host, _KEYS.c.line)
    )


async def _lines(connection: AsyncConnection, query: Select[Any]) -> list[HostKey]:
    rows = (await connection.execute(query)).mappings()
    return [HostKey.model_validate(dict(row)) for row in rows]


def _by_host(keys: list[HostKey]) -> dict[str, list[str]]:
    by_host: dict[str, list[str]] = {}
    for key in keys:
        by_host.setdefault(key.host, []).append(key.line)
    return by_host
