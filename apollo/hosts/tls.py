"""TLS over a stream that is no socket, such as a channel of an SSH connection."""

import ssl
from collections.abc import Callable
from typing import Any

from apollo.ports import Stream

_READ = 65536


class TlsStream:
    """The reading and the writing end of a TLS connection, as a Stream has them."""

    def __init__(self, below: Stream, context: ssl.SSLContext, host: str) -> None:
        self._below = below
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)

    @classmethod
    async def over(cls, below: Stream, context: ssl.SSLContext, host: str) -> Stream:
        """A stream whose other end has shaken hands.

        Raises:
            ssl.SSLError: The other end does not speak TLS as it should.
        """
        tls = cls(below, context, host)
        await tls._step(tls._tls.do_handshake)
        return Stream(tls, tls)

    async def read(self, n: int = -1) -> bytes:
        """Some bytes, or none at the end."""
        try:
            return bytes(await self._step(lambda: self._tls.read(n if n > 0 else _READ)))
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""

    def write(self, data: bytes) -> None:
        """Send bytes."""
        self._tls.write(data)
        self._flush()

    async def _step(self, do: Callable[[], Any]) -> Any:
        while True:
            try:
                done = do()
            except ssl.SSLWantReadError:
                self._flush()
                if data := await self._below.reader.read(_READ):
                    self._incoming.write(data)
                else:
                    self._incoming.write_eof()
            else:
                self._flush()
                return done

    def _flush(self) -> None:
        if data := self._outgoing.read():
            self._below.writer.write(data)
