"""Asks hosts for their SSH keys; nobody logs in."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import asyncssh

from apollo.domain.fleet import Host

_TIMEOUT = 10.0
_AT_ONCE = 30


@dataclass(frozen=True)
class Scanned:
    """The key that a host shows, and how it compares with those that are trusted."""

    host: Host
    found: Literal["new", "known", "changed", "unreachable"]
    line: str = ""
    fingerprint: str = ""
    message: str = ""


async def scan(hosts: Sequence[Host], trusted: Mapping[str, Sequence[str]]) -> list[Scanned]:
    """The key of each host, in their order."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(host: Host) -> Scanned:
        async with gate:
            return await _scan(host, [_bare(line) for line in trusted.get(host.name, ())])

    return await asyncio.gather(*(one(host) for host in hosts))


async def _scan(host: Host, known: list[str]) -> Scanned:
    try:
        async with asyncio.timeout(_TIMEOUT):
            # A host that has a key of the trusted kind shows that one.
            key = await asyncssh.get_server_host_key(
                host.address, host.port, server_host_key_algs=_algorithms(known)
            )
    except (OSError, TimeoutError, asyncssh.Error) as error:
        return Scanned(host, "unreachable", message=str(error) or type(error).__name__)
    if key is None:
        return Scanned(host, "unreachable", message="it shows no key")
    line = _bare(key.export_public_key().decode())
    found: Literal["new", "known", "changed"] = "changed" if known else "new"
    return Scanned(host, "known" if line in known else found, line, key.get_fingerprint())


def _algorithms(known: list[str]) -> list[str] | tuple[()]:
    """Those of the trusted keys; RSA keys are named otherwise where algorithms are agreed on."""
    algorithms = [line.split()[0] for line in known]
    return () if "ssh-rsa" in algorithms else algorithms or ()


def _bare(line: str) -> str:
    """The key's line without its comment."""
    return " ".join(line.split()[:2])
