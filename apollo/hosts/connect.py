"""Connecting to a host: its key is checked first, then the worker logs in."""

from pathlib import Path

import asyncssh

from apollo.errors import AuthFailed, ConnectFailed
from apollo.hosts.host_keys import KeyCheck, KnownKeys, refusal
from apollo.ports import Reachable

TIMEOUT = 10.0
"""Seconds for the line, and as many for the login."""
KEEPALIVE = 5.0
_OTHER_NAME = "principal mismatch"


async def connect(host: Reachable, key: Path | None) -> tuple[asyncssh.SSHClientConnection, str]:
    """A connection, and the host key that was accepted though nobody had trusted one, if so.

    Raises:
        HostKeyUnknown: Nobody has ever trusted a key of the host.
        HostKeyChanged: It shows another key than the trusted one.
        AuthFailed: It refuses the login.
        ConnectFailed: It cannot be reached.
    """
    known = KnownKeys.of(host)
    names = known.names(host)
    for name in names:
        check = KeyCheck(accept=host.first_use and not host.host_keys)
        try:
            connection = await _open(host, key, known, check, name)
        except asyncssh.HostKeyNotVerifiable as error:
            if _OTHER_NAME in str(error) and name != names[-1]:
                continue
            raise refusal(host, known, check, error, _where(host)) from error
        return connection, check.accepted
    raise AssertionError("unreachable")


async def _open(
    host: Reachable, key: Path | None, known: KnownKeys, check: KeyCheck, name: str | None
) -> asyncssh.SSHClientConnection:
    there = host.host
    try:
        options = asyncssh.SSHClientConnectionOptions(
            known_hosts=(list(known.keys), list(known.authorities), []),
            server_host_key_algs=list(known.algorithms),
            connect_timeout=TIMEOUT,
            login_timeout=TIMEOUT,
            keepalive_interval=KEEPALIVE,
            keepalive_count_max=3,
            **({"host_key_alias": name} if name else {}),
            **({"username": there.user} if there.user else {}),
            **({"client_keys": [str(key)]} if key else {}),
        )
        connection, _ = await asyncssh.create_connection(
            lambda: check, there.address, there.port, options=options
        )
        return connection
    except asyncssh.HostKeyNotVerifiable:
        raise
    except asyncssh.PermissionDenied as error:
        raise AuthFailed(
            f"{_where(host)} refused the login of "
            f"{there.user or 'the default user'}: {error.reason}",
            host=there.name,
            step="connect",
            left="nothing was changed on the host",
            hint="check the key or agent of the worker and the host's authorized_keys",
        ) from error
    except (OSError, TimeoutError, asyncssh.Error) as error:
        raise ConnectFailed(
            f"{_where(host)} cannot be reached: {str(error) or type(error).__name__}",
            host=there.name,
            step="connect",
            left="nothing was changed on the host by this attempt",
            hint="check that the host is up and sshd listens; it is tried again",
        ) from error


def _where(host: Reachable) -> str:
    return f"{host.host.name} ({host.host.address}:{host.host.port})"
