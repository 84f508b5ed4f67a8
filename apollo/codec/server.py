"""A codec server: what Temporal's UI and its program ask to show what is encrypted.

The protocol: `POST …/decode` and `…/encode` of Payloads as JSON, answered with the same.
"""

import asyncio
import hmac
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import h11
from google.protobuf.json_format import MessageToJson, Parse, ParseError
from temporalio.api.common.v1 import Payloads
from temporalio.converter import PayloadCodec

from apollo.errors import ApolloError

_READ = 65536
_BODY = 16 * 1024 * 1024
"""Temporal's own messages end at 4 MiB, and base64 makes a third more of it."""
_PATIENCE = 30.0
_AT_ONCE = 64
_TOKENS = re.compile(r"[A-Za-z0-9-]+(?:\s*,\s*[A-Za-z0-9-]+)*")
_AGE = 600
_ASK = {"WWW-Authenticate": "Bearer"}


@dataclass(frozen=True)
class Answer:
    """What is answered."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class CodecServer:
    """Encodes and decodes for pages of these origins, and for programs, which have none.

    With a token, each request must show it.
    """

    codec: PayloadCodec
    origins: frozenset[str] = frozenset()
    token: str = field(default="", repr=False)
    _room: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_AT_ONCE))

    @asynccontextmanager
    async def serving(self, host: str, port: int) -> AsyncIterator[int]:
        """Serve while the context is open; the port."""
        server = await asyncio.start_server(self._serve, host, port)
        async with server:
            yield server.sockets[0].getsockname()[1]

    async def answer(self, request: h11.Request, body: bytes) -> Answer:
        """The answer to a request."""
        headers = {name.decode(): value.decode("latin-1") for name, value in request.headers}
        origin = headers.get("origin")
        if origin is not None and origin not in self.origins:
            return Answer(403, b"pages of this origin are not served: see --origin")
        allowed = _allowed(origin, headers) if origin else {}
        word = request.target.decode("latin-1").partition("?")[0].rpartition("/")[2]
        if word not in ("encode", "decode"):
            return Answer(404, b"POST /encode or /decode", allowed)
        if request.method == b"OPTIONS":
            return Answer(204, headers=allowed)
        if request.method != b"POST":
            return Answer(405, b"POST /encode or /decode", {**allowed, "Allow": "POST, OPTIONS"})
        if not self._knows(headers.get("authorization", "")):
            return Answer(401, b"Authorization: Bearer TOKEN", {**allowed, **_ASK})
        status, said = await self._converted(word, body)
        kind = "application/json" if status == 200 else "text/plain; charset=utf-8"
        return Answer(status, said, {**allowed, "Content-Type": kind})

    async def _converted(self, word: str, body: bytes) -> tuple[int, bytes]:
        try:
            given = Parse(body, Payloads(), ignore_unknown_fields=True).payloads
        except (ParseError, UnicodeDecodeError) as error:
            return 400, f"expected Payloads as JSON: {error}".encode()
        work = self.codec.encode if word == "encode" else self.codec.decode
        try:
            return 200, MessageToJson(Payloads(payloads=await work(given))).encode()
        except ApolloError as error:
            return 400, error.message.encode()

    def _knows(self, authorization: str) -> bool:
        shown = authorization.removeprefix("Bearer ").encode()
        return not self.token or hmac.compare_digest(shown, self.token.encode())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with self._room, asyncio.timeout(_PATIENCE):
                await self._converse(reader, writer)
        except (OSError, TimeoutError, h11.RemoteProtocolError):
            pass  # it went away, or speaks something else
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        http = h11.Connection(h11.SERVER)
        request, body = await _request(http, reader, writer)
        if request is None:
            return
        answer = Answer(413) if len(body) > _BODY else await self.answer(request, body)
        headers = {**answer.headers, "Connection": "close", "Cache-Control": "no-store"}
        if answer.status != 204:
            headers["Content-Length"] = str(len(answer.body))
        head = h11.Response(status_code=answer.status, headers=list(headers.items()))
        for event in (head, h11.Data(data=answer.body), h11.EndOfMessage()):
            writer.write(http.send(event) or b"")
        await writer.drain()


async def _request(
    http: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> tuple[h11.Request | None, bytes]:
    """A request and its body, of which no more is read than is allowed."""
    request: h11.Request | None = None
    body = bytearray()
    while True:
        event = http.next_event()
        if event is h11.NEED_DATA:
            if http.they_are_waiting_for_100_continue:
                go_on = h11.InformationalResponse(status_code=100, headers=[])
                writer.write(http.send(go_on) or b"")
            http.receive_data(await reader.read(_READ))
        elif isinstance(event, h11.Request):
            request = event
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage):
            return request, bytes(body)
        else:
            return None, b""
        if len(body) > _BODY:
            return request, bytes(body)


def _allowed(origin: str, headers: Mapping[str, str]) -> dict[str, str]:
    """What a browser must be told before it lets a page of that origin ask, and read."""
    allowed = {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Allow-Credentials": "true",
        "Access-Control-Allow-Methods": "POST, OPTIONS",
        "Access-Control-Max-Age": str(_AGE),
        "Vary": "Origin",
    }
    asked = headers.get("access-control-request-headers", "")
    if _TOKENS.fullmatch(asked):
        allowed["Access-Control-Allow-Headers"] = asked
    if headers.get("access-control-request-private-network") == "true":
        allowed["Access-Control-Allow-Private-Network"] = "true"
    return allowed
