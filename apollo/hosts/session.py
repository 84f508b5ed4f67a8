"""A connection to one host over SSH."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import asyncssh

from apollo.errors import ContactLost, NoShell, TurnError
from apollo.hosts.connect import Connector
from apollo.hosts.transfer import send_file
from apollo.ports import Reachable, Stream
from apollo.telemetry.metrics import SSH_CONNECT_DURATION, SSH_CONNECTS

CHANNEL_TRIES = 20


@dataclass
class SshHosts:
    """Opens SSH connections with the worker's keys, agent and ssh_config.

    `handshakes` caps how many logins are under way at once (CPU), `jump_handshakes` how many of
    them go through the same jump host (its sshd's MaxStartups).
    """

    key: Path | None = None
    passphrase: str | None = field(default=None, repr=False)
    """Of the key, and of keys in `~/.ssh`."""
    handshakes: int = 30
    jump_handshakes: int = 8
    _connector: Connector = field(init=False)

    def __post_init__(self) -> None:
        self._connector = Connector(
            self.key, self.passphrase, self.handshakes, self.jump_handshakes
        )

    def connect(self, host: Reachable) -> "SshSession":
        """A session with a host, connected when it is entered."""
        return SshSession(host, self._connector)


class SshSession:
    """One SSH connection, one channel at a time."""

    def __init__(self, turn: Reachable, connector: Connector) -> None:
        self._turn = turn
        self._connector = connector
        self._connection: asyncssh.SSHClientConnection | None = None
        self._channel = asyncio.Lock()
        self.accepted_key = ""
        """The host key that was accepted though nobody had trusted one (`first_use`)."""

    async def __aenter__(self) -> Self:
        began, result = time.monotonic(), "connected"
        try:
            self._connection, self.accepted_key = await self._connector.connect(self._turn)
        except TurnError as error:
            result = error.code
            raise
        finally:
            self._count(result, time.monotonic() - began)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._connection:
            self._connection.abort()

    async def run(self, line: str, stdin: bytes = b"") -> bytes:
        """Run a command line with data on its standard input and return its standard output.

        Raises:
            ContactLost: The connection ended before the command did.
            NoShell: The host refuses to run anything.
        """
        async with self._channel, self._contact("run a command"):
            process = await self._process(line)
            async with process:
                with suppress(BrokenPipeError):  # it may end without reading what it is sent
                    process.stdin.write(stdin)
                process.stdin.write_eof()
                output, _ = await process.communicate()
            if self._connection and self._connection.is_closed():
                raise ConnectionError("the connection was closed")
        return bytes(output or b"")

    async def send(self, source: Path, target: str, start: int) -> bool:
        """Write a file's bytes from `start` on into a file of the host; False without SFTP.

        Raises:
            ContactLost: The connection ended before all was written.
        """
        async with self._channel, self._contact("send the artifact"):
            assert self._connection
            return await send_file(self._connection, source, target, start)

    @asynccontextmanager
    async def forward(self, host: str, port: int) -> AsyncIterator[Stream]:
        """A TCP connection that begins on the host, through this one.

        Raises:
            asyncssh.ChannelOpenError: Nothing listens there, or sshd forbids it.
            ContactLost: This connection has ended.
        """
        assert self._connection
        async with self._channel:
            try:
                reader, writer = await self._connection.open_connection(host, port)
            except asyncssh.ChannelOpenError:
                if not self._connection.is_closed():
                    raise
                raise self._lost(f"reach port {port}", "it was closed") from None
            try:
                yield Stream(reader, writer)
            finally:
                writer.close()
                if self._connection.is_closed():  # then what was read says nothing
                    raise self._lost(f"reach port {port}", "it was closed")

    def _count(self, result: str, seconds: float) -> None:
        said = {
            "application": self._turn.application,
            "environment": self._turn.environment,
            "location": self._turn.host.location,
            "result": result,
        }
        SSH_CONNECTS.add(1, **said)
        SSH_CONNECT_DURATION.record(seconds, **said)

    async def _process(self, line: str) -> asyncssh.SSHClientProcess[bytes]:
        """Start a command; under `MaxSessions 1` the channel before it may still be closing."""
        assert self._connection
        for attempt in range(CHANNEL_TRIES):
            try:
                return await self._connection.create_process(line, encoding=None)
            except asyncssh.ChannelOpenError as error:
                if attempt == CHANNEL_TRIES - 1 or self._connection.is_closed():
                    raise self._no_shell(error) from error
                await asyncio.sleep(0.25)
        raise AssertionError("unreachable")

    def _no_shell(self, error: Exception) -> NoShell:
        return NoShell(
            f"{self._turn.host.name} does not run commands: {error}",
            host=self._turn.host.name,
            step="connect",
            left="nothing was changed by this attempt",
            hint="give the login user a shell, and allow at least one session",
        )

    @asynccontextmanager
    async def _contact(self, what: str) -> AsyncIterator[None]:
        try:
            yield
        except (OSError, asyncssh.Error) as error:
            raise self._lost(what, str(error)) from error

    def _lost(self, what: str, why: str) -> ContactLost:
        name = self._turn.host.name
        return ContactLost(
            f"contact with {name} was lost while Apollo wanted to {what}: {why}",
            host=name,
            step="connect",
            left="what runs on the host goes on there",
            hint="the next attempt attaches to it",
        )
