"""Connecting to a host: its key is checked first, then the worker logs in."""

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import asyncssh

from apollo.errors import AuthFailed, ConnectFailed, HostKeyUnknown, TurnError
from apollo.hosts.host_keys import KeyCheck, KnownKeys, refusal
from apollo.ports import Reachable

TIMEOUT = 10.0
"""Seconds for the line, and as many for the login."""
KEEPALIVE = 5.0
TRIES = 3
"""Where nobody answers."""
DROPPED_TRIES = 8
"""Where somebody answers and hangs up: sshd does that beyond its MaxStartups."""
LONGEST_WAIT = 4.0
_OTHER_NAME = "principal mismatch"


@dataclass
class Connector:
    """Logs in to hosts; caps how many logins are under way at once, at all and per jump host."""

    key: Path | None
    handshakes: int
    jump_handshakes: int
    _all: asyncio.Semaphore = field(init=False)
    _jumps: dict[str, asyncio.Semaphore] = field(init=False)

    def __post_init__(self) -> None:
        self._all = asyncio.Semaphore(self.handshakes)
        self._jumps = defaultdict(lambda: asyncio.Semaphore(self.jump_handshakes))

    async def connect(self, host: Reachable) -> tuple[asyncssh.SSHClientConnection, str]:
        """A connection, and the host key that was accepted though nobody had trusted one, if so.

        Raises:
            HostKeyUnknown: Nobody has ever trusted a key of the host, or of its jump host.
            HostKeyChanged: It shows another key than the trusted one.
            AuthFailed: It, or its jump host, refuses the login.
            ConnectFailed: It cannot be reached.
        """
        known = KnownKeys.of(host)
        names, tried = list(known.names(host)), 0
        while True:
            check = KeyCheck(accept=host.first_use and not host.host_keys)
            options = await self._options(host, known, names[0])
            jump = options.tunnel if isinstance(options.tunnel, str) else ""
            try:
                async with self._room(jump):
                    connection, _ = await asyncssh.create_connection(
                        lambda check=check: check,  # type: ignore[misc]
                        host.host.address,
                        host.host.port,
                        options=options,
                    )
                return connection, check.accepted
            except (OSError, TimeoutError, asyncssh.Error) as error:
                if _OTHER_NAME in str(error) and len(names) > 1:
                    del names[0]
                    continue
                tried += 1
                if tried >= _tries(error):
                    raise _told(host, known, check, error, jump) from error
            wait = min(0.5 * 2 ** (tried - 1), LONGEST_WAIT)
            spread = random.uniform(0.5, 1)  # noqa: S311 - many were dropped together
            await asyncio.sleep(wait * spread)

    async def _options(
        self, host: Reachable, known: KnownKeys, name: str | None
    ) -> asyncssh.SSHClientConnectionOptions:
        there = host.host
        try:
            options: asyncssh.SSHClientConnectionOptions
            options = await asyncssh.SSHClientConnectionOptions.construct(
                config=(),  # ~/.ssh/config, for its ProxyJump must be known here
                host=there.address,
                port=there.port,
                known_hosts=(list(known.keys), list(known.authorities), []),
                server_host_key_algs=list(known.algorithms),
                connect_timeout=TIMEOUT,
                login_timeout=TIMEOUT,
                keepalive_interval=KEEPALIVE,
                keepalive_count_max=3,
                **({"host_key_alias": name} if name else {}),
                **({"username": there.user} if there.user else {}),
                **({"client_keys": [str(self.key)]} if self.key else {}),
            )
            return options
        except (OSError, ValueError, asyncssh.Error) as error:
            raise AuthFailed(
                f"the worker cannot prepare its login to {_where(host)}: {error}",
                host=there.name,
                step="connect",
                left="nothing was changed on the host",
                hint="check APOLLO_SSH_KEY and ~/.ssh/config of the worker",
            ) from error

    @asynccontextmanager
    async def _room(self, jump: str) -> AsyncIterator[None]:
        """Wait for the jump host first, so that one that is slow does not hold up the others."""
        if not jump:
            async with self._all:
                yield
            return
        async with self._jumps[jump], self._all:
            yield


def _tries(error: Exception) -> int:
    """How often it is worth trying."""
    if isinstance(error, asyncssh.HostKeyNotVerifiable | asyncssh.PermissionDenied):
        return 1
    dropped = isinstance(error, asyncssh.ConnectionLost | ConnectionResetError | BrokenPipeError)
    return DROPPED_TRIES if dropped else TRIES


def _told(
    host: Reachable, known: KnownKeys, check: KeyCheck, error: Exception, jump: str
) -> TurnError:
    """What went wrong, and with whom: the host, or the jump host before it."""
    there, before = host.host, bool(jump) and not check.reached
    whom = f"the jump host {jump} of {_where(host)}" if before else _where(host)
    told = {"host": there.name, "step": "connect", "left": "nothing was changed on the host"}
    if isinstance(error, asyncssh.HostKeyNotVerifiable):
        if not before:
            return refusal(host, known, check, error, whom)
        hint = f"add its key to ~/.ssh/known_hosts of the worker: ssh-keyscan {jump}, and compare"
        return HostKeyUnknown(f"{whom}: its host key is not trusted: {error}", hint=hint, **told)
    if isinstance(error, asyncssh.PermissionDenied):
        user = "the worker" if before else there.user or "the default user"
        hint = "check the key or agent of the worker and the host's authorized_keys"
        if before:
            hint = "a jump host takes the IdentityFile and User of ~/.ssh/config, or the agent"
        return AuthFailed(f"{whom} refused the login of {user}: {error.reason}", hint=hint, **told)
    return ConnectFailed(
        f"{whom} cannot be reached: {str(error) or type(error).__name__}",
        hint="check that the host is up and sshd listens; it is tried again",
        **told,
    )


def _where(host: Reachable) -> str:
    return f"{host.host.name} ({host.host.address}:{host.host.port})"
