"""SSH connections to the machines of balancers, whose sockets listen only there."""

import asyncio
import re
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncssh

TIMEOUT = 10.0
"""Seconds for the line, and as many for the login."""
KEEPALIVE = 5.0
PLACE = re.compile(
    r"(?:(?P<user>[^@\s:/]+)@)?(?P<host>\[[^\]\s]+\]|[^@\s:/]+)(?::(?P<port>\d{1,5}))?:(?P<path>/.+)"
)
"""`[USER@]HOST[:PORT]:/PATH`."""


@dataclass
class Lines:
    """One connection to each such machine, which all turns of a worker share.

    The login is the worker's: its key or agent and `~/.ssh/config`. The machine's host key has to
    be in `~/.ssh/known_hosts` of the worker, as that of a jump host.
    """

    key: Path | None = None
    passphrase: str | None = field(default=None, repr=False)
    _open: dict[str, asyncssh.SSHClientConnection] = field(default_factory=dict, init=False)
    _locks: dict[str, asyncio.Lock] = field(
        default_factory=lambda: defaultdict(asyncio.Lock), init=False
    )

    async def socket(
        self, place: str
    ) -> tuple[asyncssh.SSHReader[bytes], asyncssh.SSHWriter[bytes]]:
        """A connection to the unix socket at `[USER@]HOST[:PORT]:/PATH`.

        Raises:
            ValueError: The place is written otherwise.
            OSError, asyncssh.Error: The machine, or its socket, cannot be reached.
        """
        found = PLACE.fullmatch(place)
        if not found:
            raise ValueError("the address is not ssh:[USER@]HOST[:PORT]:/PATH")
        line = await self._line(found)
        try:
            return await line.open_unix_connection(found["path"], encoding=None)
        except asyncssh.ChannelOpenError:
            if not line.is_closed():
                raise
        line = await self._line(found)  # it had ended, and nobody had noticed yet
        return await line.open_unix_connection(found["path"], encoding=None)

    def drop(self, place: str) -> None:
        """End the connection that did not answer, so that the next call makes another."""
        found = PLACE.fullmatch(place)
        if found and (line := self._open.pop(_machine(found), None)):
            line.abort()

    async def _line(self, place: re.Match[str]) -> asyncssh.SSHClientConnection:
        machine = _machine(place)
        async with self._locks[machine]:
            line = self._open.get(machine)
            if line is None or line.is_closed():
                line = self._open[machine] = await self._connect(place)
            return line

    async def _connect(self, place: re.Match[str]) -> asyncssh.SSHClientConnection:
        given: dict[str, Any] = {
            "username": place["user"],
            "port": int(place["port"] or 0),
            "client_keys": [str(self.key)] if self.key else None,
            "passphrase": self.passphrase,
        }
        return await asyncssh.connect(
            place["host"].strip("[]"),
            connect_timeout=TIMEOUT,
            login_timeout=TIMEOUT,
            keepalive_interval=KEEPALIVE,
            keepalive_count_max=3,
            **{name: value for name, value in given.items() if value},
        )


def _machine(place: re.Match[str]) -> str:
    return place[0].removesuffix(f":{place['path']}")
