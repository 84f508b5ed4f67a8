"""Probes: one question to an application, through whatever connects to it."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import lru_cache

import asyncssh
import h11

from apollo.domain.manifest import KEPT
from apollo.domain.setup import HttpCheck
from apollo.hosts.tls import TlsStream
from apollo.ports import Probe, Stream

_READ = 65536
_BODY = 1 << 20
"""Bytes of an answer that `body` is looked for in."""
Connect = Callable[[str, int], AbstractAsyncContextManager[Stream]]
"""Host and port → a connection that is closed when it is left."""


async def http_probe(connect: Connect, check: HttpCheck, host: str, timeout: float) -> Probe:
    """GET the path; good when the status is the expected one and the body holds what it should."""
    port = int(check.port)
    try:
        async with asyncio.timeout(timeout), connect(host, port) as stream:
            if check.scheme == "https":
                stream = await TlsStream.over(stream, _unverified(), host)
            status, body = await _get(stream, check, host)
    except TimeoutError:
        return Probe(good=False, found=f"no answer within {timeout:g}s")
    except (OSError, ssl.SSLError, asyncssh.ChannelOpenError, h11.RemoteProtocolError) as error:
        return Probe(good=False, found=_refusal(error, port))
    if status != check.status:
        return Probe(good=False, found=f"status {status}, expected {check.status}")
    if check.body is not None and check.body.encode() not in body:
        said = body[:200].decode(errors="replace")
        return Probe(good=False, found=f"an answer without {check.body!r}: {said!r}")
    return Probe(good=True, found=f"status {status}")


async def tcp_probe(connect: Connect, host: str, port: int, timeout: float) -> Probe:
    """Good when the port accepts a connection."""
    try:
        async with asyncio.timeout(timeout), connect(host, port):
            return Probe(good=True, found="connected")
    except TimeoutError:
        return Probe(good=False, found=f"no connection within {timeout:g}s")
    except (OSError, asyncssh.ChannelOpenError) as error:
        return Probe(good=False, found=_refusal(error, port))


@asynccontextmanager
async def directly(host: str, port: int) -> AsyncIterator[Stream]:
    """A connection from this machine: `from: worker`."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        yield Stream(reader, writer)
    finally:
        writer.close()


async def _get(stream: Stream, check: HttpCheck, host: str) -> tuple[int, bytes]:
    http = h11.Connection(h11.CLIENT)
    request = _request(check.path, host, check.port, tuple(check.headers.items()))
    stream.writer.write((http.send(request) or b"") + (http.send(h11.EndOfMessage()) or b""))
    status, body = 0, b""
    while True:
        event = http.next_event()
        if event is h11.NEED_DATA:
            http.receive_data(await stream.reader.read(_READ))
        elif isinstance(event, h11.Response):
            status = event.status_code
            if check.body is None:
                return status, b""
        elif isinstance(event, h11.Data):
            body += event.data
        if isinstance(event, h11.EndOfMessage | h11.ConnectionClosed) or len(body) > _BODY:
            return status, body


@lru_cache(maxsize=KEPT)
def _request(path: str, host: str, port: str, own: tuple[tuple[str, str], ...]) -> h11.Request:
    target = f"[{host}]" if ":" in host else host
    headers = {"host": f"{target}:{port}", "user-agent": "apollo", "connection": "close"}
    headers |= {name.lower(): value for name, value in own}
    return h11.Request(method="GET", target=path, headers=list(headers.items()))


def _unverified() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _refusal(error: Exception, port: int) -> str:
    if getattr(error, "code", None) == asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED:
        return (
            f"sshd forbids forwarding to port {port} (AllowTcpForwarding): "
            "let the worker ask (from: worker), or check by a command"
        )
    return f"port {port}: {str(error) or type(error).__name__}"
