"""One host of a fleet: an SSH server that runs commands in the host's own folder."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncssh

from apollo.testing.ports import ReservedPort
from apollo.testing.processes import kill_marked, serve_command

ADDRESS = "127.0.0.1"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass
class Login:
    """How a fleet's hosts let clients in, and what they allow then."""

    authorized: asyncssh.SSHAuthorizedKeys
    user: str
    shell: str = "/bin/sh"
    forwarding: bool = True
    max_sessions: int | None = None


@dataclass
class HostServer:
    """An SSH server on a port of its own, with its own host key and folder."""

    name: str
    folder: Path
    key_file: Path
    login: Login
    port: ReservedPort = field(default_factory=ReservedPort)
    app_port: ReservedPort = field(default_factory=ReservedPort)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.key = load_key(self.key_file)
        self.connections: set[asyncssh.SSHServerConnection] = set()
        self._listener: asyncssh.SSHAcceptor | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def host_key(self) -> str:
        """The public host key: type and key, without a comment."""
        return public_line(self.key)

    @property
    def marker(self) -> str:
        """What every process of this host carries in its environment.

        A tool may clean the environment of what it starts, but it leaves HOME.
        """
        return f"HOME={self.folder}"

    async def accept(self) -> None:
        """Listen, unless it does."""
        if self._listener is None:
            self._listener = await asyncssh.listen(
                ADDRESS,
                self.port.number,
                server_factory=lambda: _Connection(self),
                server_host_keys=[self.key],
                authorized_client_keys=self.login.authorized,
                encoding=None,
                line_editor=False,
                agent_forwarding=False,
                x11_forwarding=False,
                compression_algs=None,
            )

    async def refuse(self) -> None:
        """Stop listening and cut what is connected."""
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.close()
        self.cut()
        if listener is not None:
            await listener.wait_closed()

    def cut(self) -> None:
        """Drop every connection without a word."""
        for connection in list(self.connections):
            connection.abort()

    async def rekey(self) -> None:
        """Show another host key from now on, as a host does that was set up anew."""
        listening = self._listener is not None
        await self.refuse()
        self.key_file.unlink()
        self.key = load_key(self.key_file)
        if listening:
            await self.accept()

    async def kill_processes(self) -> int:
        """Kill everything that was started on this host; say how many processes."""
        return await asyncio.to_thread(kill_marked, [self.marker])

    async def close(self) -> None:
        """End the server; the processes have been killed before."""
        await self.refuse()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=10)
        self.port.release()
        self.app_port.release()

    def spawn(self, session: asyncssh.SSHServerProcess[bytes]) -> None:
        """Run what a session asks for, apart from the connection's own life."""
        line = session.command
        command = [self.login.shell] if line is None else [self.login.shell, "-c", line]
        self.keep(serve_command(session, command, self.folder, self._environment()))

    def _environment(self) -> dict[str, str]:
        return {
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
            "LOGNAME": self.login.user,
            "PATH": PATH,
            "SHELL": self.login.shell,
            "USER": self.login.user,
        }

    def keep(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something that the host, not a connection, waits for."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class _Connection(asyncssh.SSHServer):
    """What one connection may do."""

    def __init__(self, host: HostServer) -> None:
        self._host = host
        self._sessions = 0

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        self._host.connections.add(conn)

    def connection_lost(self, exc: Exception | None) -> None:
        self._host.connections.discard(self._connection)

    def session_requested(self) -> asyncssh.SSHServerProcess[bytes] | bool:
        limit = self._host.login.max_sessions
        if limit is not None and self._sessions >= limit:
            return False
        self._sessions += 1
        return asyncssh.SSHServerProcess(self._start, None, 3, False)

    def _start(self, session: asyncssh.SSHServerProcess[bytes]) -> None:
        self._host.spawn(session)
        self._host.keep(self._count_down(session))

    async def _count_down(self, session: asyncssh.SSHServerProcess[bytes]) -> None:
        await session.wait_closed()
        self._sessions -= 1

    def connection_requested(
        self, dest_host: str, dest_port: int, orig_host: str, orig_port: int
    ) -> bool:
        if not self._host.login.forwarding:  # as sshd says it
            code = asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED
            raise asyncssh.ChannelOpenError(code, "open failed")
        return dest_host in {ADDRESS, "localhost"}


def load_key(file: Path) -> asyncssh.SSHKey:
    """The private key in a file, which is made when it is missing."""
    if not file.exists():
        key = asyncssh.generate_private_key("ssh-ed25519")
        file.touch(mode=0o600)
        file.write_bytes(key.export_private_key())
    return asyncssh.read_private_key(file)


def public_line(key: asyncssh.SSHKey) -> str:
    """A public key as `authorized_keys` and inventories write it."""
    return " ".join(key.export_public_key().decode().split()[:2])
