"""HAProxy's Runtime API: one command per connection, every answer checked."""

import asyncio
import re
from dataclasses import dataclass
from enum import StrEnum

import asyncssh

from apollo.balancers import lines

TIMEOUT = 5.0
SSH_TIMEOUT = 2 * lines.TIMEOUT + TIMEOUT
"""With a login before the answer."""
_FORCED_MAINTENANCE = 0x01
_FORCED_DRAIN = 0x08
_NAME = re.compile(r"[A-Za-z0-9_.:-]+")
Ends = (
    tuple[asyncio.StreamReader, asyncio.StreamWriter]
    | tuple[asyncssh.SSHReader[bytes], asyncssh.SSHWriter[bytes]]
)


class AdminState(StrEnum):
    """What HAProxy was told about a server, whatever its health checks say."""

    READY = "ready"
    DRAIN = "drain"
    MAINT = "maint"


class UnexpectedAnswer(Exception):
    """HAProxy cannot be reached, or answers something else than was expected."""

    def __init__(self, where: str, expected: str, found: str) -> None:
        super().__init__(f"{where}: expected {expected}, found {found}")


@dataclass(frozen=True)
class Server:
    """A server of a backend, as commands name it."""

    backend: str
    name: str

    def __post_init__(self) -> None:
        for part in (self.backend, self.name):
            if not _NAME.fullmatch(part):
                raise UnexpectedAnswer("Runtime API", "the name of a server or backend", repr(part))

    def __str__(self) -> str:
        return f"{self.backend}/{self.name}"


class RuntimeApi:
    """One HAProxy, at `tcp:HOST:PORT`, `unix:PATH` or `ssh:[USER@]HOST[:PORT]:PATH`."""

    def __init__(self, at: str, through: lines.Lines) -> None:
        self.at = at
        self._lines = through

    async def admin_state(self, server: Server) -> AdminState:
        """What HAProxy was told about a server by a person or a program."""
        rows = await self._table(f"show servers state {server.backend}", skip=1)
        for row in rows:
            if row.get("srv_name") == server.name:
                return _admin_state(int(row["srv_admin_state"]))
        raise UnexpectedAnswer(self.at, f"the server {server}", "a backend without it")

    async def set_state(self, server: Server, state: AdminState) -> None:
        """Tell HAProxy the state of a server, and see that it took it."""
        answer = await self._ask(f"set server {server} state {state}")
        if answer.strip():
            raise UnexpectedAnswer(self.at, f"{server} set to {state}", repr(answer.strip()))
        found = await self.admin_state(server)
        if found is not state:
            raise UnexpectedAnswer(self.at, f"{server} in state {state}", found)

    async def requests(self, server: Server) -> int:
        """How many requests, or connections in TCP mode, the server has now."""
        for row in await self._table("show stat", separator=","):
            if (row.get("pxname"), row.get("svname")) == (server.backend, server.name):
                return int(row["scur"] or 0)
        raise UnexpectedAnswer(self.at, f"statistics of {server}", "none")

    async def _table(
        self, command: str, *, skip: int = 0, separator: str | None = None
    ) -> list[dict[str, str]]:
        answer = await self._ask(command)
        lines = answer.strip().splitlines()[skip:]
        if not lines or not lines[0].startswith("# "):
            raise UnexpectedAnswer(self.at, f"a table from {command!r}", repr(answer.strip()[:200]))
        names = lines[0].removeprefix("# ").split(separator)
        return [dict(zip(names, line.split(separator), strict=False)) for line in lines[1:]]

    async def _ask(self, command: str) -> str:
        kind, _, place = self.at.partition(":")
        seconds = SSH_TIMEOUT if kind == "ssh" else TIMEOUT
        try:
            async with asyncio.timeout(seconds):
                return await self._exchange(kind, place, command)
        except TimeoutError:
            self._lines.drop(place)
            raise UnexpectedAnswer(self.at, f"an answer within {seconds:g}s", "none") from None
        except (OSError, ValueError, asyncssh.Error) as error:
            raise UnexpectedAnswer(self.at, "a connection", str(error)) from error

    async def _exchange(self, kind: str, place: str, command: str) -> str:
        reader, writer = await self._connect(kind, place)
        try:
            writer.write(f"{command}\n".encode())
            return (await reader.read()).decode("utf-8", "replace")
        finally:
            writer.close()

    async def _connect(self, kind: str, place: str) -> Ends:
        if kind == "ssh":
            return await self._lines.socket(place)
        if kind == "unix":
            return await asyncio.open_unix_connection(place)
        host, _, port = place.rpartition(":")
        if kind != "tcp" or not host:
            raise ValueError("the address is neither tcp:HOST:PORT, unix:PATH nor ssh:HOST:PATH")
        return await asyncio.open_connection(host.strip("[]"), int(port))


def _admin_state(bits: int) -> AdminState:
    # States that come from a tracked server or from name resolution are not ours to restore.
    if bits & _FORCED_MAINTENANCE:
        return AdminState.MAINT
    return AdminState.DRAIN if bits & _FORCED_DRAIN else AdminState.READY
