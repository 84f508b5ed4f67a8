"""Asks hosts for their SSH keys, over the worker's routes; nobody logs in."""

import asyncio

import asyncssh

from apollo.domain.keys import Scanned
from apollo.errors import HostKeyUnknown
from apollo.hosts.host_keys import PLAIN, KnownKeys, bare
from apollo.ports import Reach

_TIMEOUT = 10.0


async def scan(reach: Reach) -> Scanned:
    """The key that a host shows; never raises."""
    host = reach.host
    seen = Scanned(host=host.name, address=host.address, port=host.port, found="unreachable")
    try:
        known = KnownKeys.of(reach)
        if known.authorities and not known.keys:
            return seen.model_copy(update={"found": "certified"})
        async with asyncio.timeout(_TIMEOUT):
            key = await asyncssh.get_server_host_key(
                host.address, host.port, server_host_key_algs=_algorithms(known)
            )
    except HostKeyUnknown as error:
        return seen.model_copy(update={"message": error.message})
    except (OSError, TimeoutError, asyncssh.Error) as error:
        return seen.model_copy(update={"message": str(error) or type(error).__name__})
    if key is None:
        return seen.model_copy(update={"message": "it shows no key"})
    line = bare(key.export_public_key().decode())
    other = "changed" if known.keys else "new"
    return seen.model_copy(
        update={
            "found": "known" if key in known.keys else other,
            "line": line,
            "fingerprint": key.get_fingerprint(),
        }
    )


def _algorithms(known: KnownKeys) -> list[str]:
    """A host that has a key of a trusted kind shows that one."""
    return [kind for kind in known.algorithms if kind in PLAIN]
