"""Probes: one question to an application through an open connection to its host."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

import asyncssh
import h11

from apollo.ports import Probe

PROBE_TIMEOUT = 5.0
_READ = 65536


class _Reader(Protocol):
    async def read(self, n: int = -1) -> bytes: ...


class _Writer(Protocol):
    def write(self, data: bytes) -> None: ...
    def close(self) -> None: ...


Open = Callable[[str, int], Awaitable[tuple[_Reader, _Writer]]]


async def http_probe(open_: Open, host: str, port: int, path: str, status: int) -> Probe:
    """GET `path`; good when the status is the expected one."""
    try:
        async with asyncio.timeout(PROBE_TIMEOUT):
            found = await _get(open_, host, port, path)
    except TimeoutError:
        return Probe(good=False, found=f"no answer within {PROBE_TIMEOUT:g}s")
    except (asyncssh.ChannelOpenError, h11.RemoteProtocolError) as error:
        return Probe(good=False, found=_refusal(error, port))
    return Probe(good=found == status, found=f"status {found}, expected {status}")


async def tcp_probe(open_: Open, host: str, port: int) -> Probe:
    """Good when the port accepts a connection."""
    try:
        async with asyncio.timeout(PROBE_TIMEOUT):
            _, writer = await open_(host, port)
            writer.close()
    except TimeoutError:
        return Probe(good=False, found=f"no connection within {PROBE_TIMEOUT:g}s")
    except asyncssh.ChannelOpenError as error:
        return Probe(good=False, found=_refusal(error, port))
    return Probe(good=True, found="connected")


async def _get(open_: Open, host: str, port: int, path: str) -> int:
    reader, writer = await open_(host, port)
    try:
        http = h11.Connection(h11.CLIENT)
        headers = [("Host", f"{host}:{port}"), ("Connection", "close"), ("User-Agent", "apollo")]
        writer.write(http.send(h11.Request(method="GET", target=path, headers=headers)) or b"")
        writer.write(http.send(h11.EndOfMessage()) or b"")
        while True:
            event = http.next_event()
            if event is h11.NEED_DATA:
                http.receive_data(await reader.read(_READ))
            elif isinstance(event, h11.Response):
                return event.status_code
    finally:
        writer.close()


def _refusal(error: Exception, port: int) -> str:
    if getattr(error, "code", None) == asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED:
        return f"sshd forbids forwarding to port {port} (AllowTcpForwarding)"
    return f"port {port}: {error}"
