"""A connection to one host over SSH."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import asyncssh

from apollo.errors import (
    AuthFailed,
    ConnectFailed,
    ContactLost,
    HostKeyChanged,
    HostKeyUnknown,
    NoShell,
)
from apollo.ports import Reachable, Stream

CONNECT_TIMEOUT = 10.0
CONNECT_TRIES = 3
KEEPALIVE = 5.0
CHANNEL_TRIES = 20


@dataclass
class SshHosts:
    """Opens SSH connections with the worker's keys, agent and ssh_config.

    `handshakes` caps how many logins are under way at once (sshd's MaxStartups, and CPU).
    """

    key: Path | None = None
    handshakes: int = 30
    _handshakes: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        self._handshakes = asyncio.Semaphore(self.handshakes)

    def connect(self, host: Reachable) -> "SshSession":
        """A session with a host, connected when it is entered."""
        return SshSession(host, self.key, self._handshakes)


class SshSession:
    """One SSH connection, one channel at a time."""

    def __init__(self, turn: Reachable, key: Path | None, handshakes: asyncio.Semaphore) -> None:
        self._turn = turn
        self._key = key
        self._handshakes = handshakes
        self._connection: asyncssh.SSHClientConnection | None = None
        self._channel = asyncio.Lock()

    async def __aenter__(self) -> Self:
        for attempt in range(CONNECT_TRIES):
            try:
                async with self._handshakes:
                    self._connection = await self._open()
                return self
            except ConnectFailed:
                if attempt == CONNECT_TRIES - 1:
                    raise
                await asyncio.sleep(0.5 * 2**attempt)
        raise AssertionError("unreachable")

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

    async def _open(self) -> asyncssh.SSHClientConnection:
        host = self._turn.host
        where = f"{host.name} ({host.address}:{host.port})"
        trusted = [_public_key(line) for line in self._turn.host_keys]
        client = _Client(accept=self._turn.first_use and not trusted)
        options = asyncssh.SSHClientConnectionOptions(
            known_hosts=(trusted, [], []),
            connect_timeout=CONNECT_TIMEOUT,
            login_timeout=CONNECT_TIMEOUT,
            keepalive_interval=KEEPALIVE,
            keepalive_count_max=3,
            **({"username": host.user} if host.user else {}),
            **({"client_keys": [str(self._key)]} if self._key else {}),
        )
        try:
            connection, _ = await asyncssh.create_connection(
                lambda: client, host.address, host.port, options=options
            )
            return connection
        except asyncssh.HostKeyNotVerifiable as error:
            raise self._bad_key(client.offered, trusted, where) from error
        except asyncssh.PermissionDenied as error:
            raise AuthFailed(
                f"{where} refused the login of {host.user or 'the default user'}: {error.reason}",
                host=host.name,
                step="connect",
                left="nothing was changed on the host",
                hint="check the key or agent of the worker and the host's authorized_keys",
            ) from error
        except (OSError, TimeoutError, asyncssh.Error) as error:
            raise ConnectFailed(
                f"{where} cannot be reached: {str(error) or type(error).__name__}",
                host=host.name,
                step="connect",
                left="nothing was changed on the host by this attempt",
                hint="check that the host is up and sshd listens; it is tried again",
            ) from error

    def _bad_key(
        self, offered: asyncssh.SSHKey | None, trusted: list[asyncssh.SSHKey], where: str
    ) -> HostKeyUnknown | HostKeyChanged:
        name, label = self._turn.host.name, f"{self._turn.application}/{self._turn.environment}"
        shown = offered.get_fingerprint() if offered else "another kind of key"
        if not trusted:
            return HostKeyUnknown(
                f"{where}: no host key is known; it shows {shown}",
                host=name,
                step="connect",
                left="nothing was changed on the host",
                hint=f"compare the key, then: apollo hosts trust {label}",
            )
        known = ", ".join(key.get_fingerprint() for key in trusted)
        return HostKeyChanged(
            f"{where}: the host key is not the known one: known {known}, shown {shown}",
            host=name,
            step="connect",
            left="nothing was changed on the host",
            hint=f"if the host was rebuilt: apollo hosts trust {label} --replace {name}",
        )

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


class _Client(asyncssh.SSHClient):
    def __init__(self, *, accept: bool) -> None:
        self._accept = accept
        self.offered: asyncssh.SSHKey | None = None

    def validate_host_public_key(
        self, host: str, addr: str, port: int, key: asyncssh.SSHKey
    ) -> bool:
        self.offered = key
        return self._accept


def _public_key(line: str) -> asyncssh.SSHKey:
    return asyncssh.import_public_key(line)
