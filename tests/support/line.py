"""A line to a host that counts what goes over it, and that can be cut."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

PIECE = 16 * 1024


@dataclass
class Line:
    """A TCP proxy: what was sent to the host, and after how many bytes it is cut once."""

    port: int = 0
    sent: int = 0
    cut_after: int | None = None
    cuts: int = 0
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    def count(self) -> int:
        """The bytes sent since the last count."""
        sent, self.sent = self.sent, 0
        return sent

    def cut(self) -> None:
        """Break every connection, as a router does that goes down."""
        self.cuts += 1
        for writer in self._writers:
            writer.transport.abort()

    async def serve(
        self,
        there: tuple[str, int],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        """Carry one connection."""
        far_reader, far_writer = await asyncio.open_connection(*there)
        self._writers |= {writer, far_writer}
        try:
            await asyncio.gather(
                self._carry(reader, far_writer, counted=True),
                self._carry(far_reader, writer, counted=False),
            )
        finally:
            self._writers -= {writer, far_writer}
            for each in (writer, far_writer):
                each.transport.abort()

    async def _carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, counted: bool
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(PIECE):
                if counted:
                    self.sent += len(data)
                    if self.cut_after is not None and self.sent >= self.cut_after:
                        self.cut_after = None
                        self.cut()
                        return
                writer.write(data)
                await writer.drain()
            writer.write_eof()


@asynccontextmanager
async def line_to(address: str, port: int) -> AsyncIterator[Line]:
    """A line on a port of this machine while the context is open."""
    line = Line()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await line.serve((address, port), reader, writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    line.port = server.sockets[0].getsockname()[1]
    try:
        yield line
    finally:
        server.close()
        line.cut()
