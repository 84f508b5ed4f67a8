"""A status page that answers, until it is down."""

import asyncio

from apollo.testing.ports import ReservedPort


class StatusPage:
    """`{"status": "none"}` over HTTP, on a port that is its own while it is down."""

    def __init__(self) -> None:
        self._port = ReservedPort()
        self.url = f"http://127.0.0.1:{self._port.number}/"
        self.state = "none"
        self.asked = 0
        self._server: asyncio.Server | None = None

    async def up(self) -> None:
        self._server = await asyncio.start_server(self._answer, "127.0.0.1", self._port.number)

    async def down(self) -> None:
        if self._server:
            self._server.close()
            await self._server.wait_closed()
        self._server = None

    async def close(self) -> None:
        await self.down()
        self._port.release()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.asked += 1
        body = f'{{"status": "{self.state}"}}'.encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()
        writer.close()
