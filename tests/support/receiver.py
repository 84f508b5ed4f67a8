"""A real HTTP receiver on loopback that answers as it is told."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Post:
    """What was posted."""

    path: str
    headers: dict[str, str]
    body: Any

    @property
    def key(self) -> str:
        return self.headers["idempotency-key"]


@dataclass
class Receiver:
    """Keeps what is posted; paths without a script are answered with 200."""

    port: int = 0
    posts: list[Post] = field(default_factory=list)
    answers: dict[str, list[str]] = field(default_factory=dict)
    """Path → answers, one after the other, the last for ever: `503`, `hang`, `302 /there`."""

    tasks: set["asyncio.Task[None]"] = field(default_factory=set)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def at(self, path: str) -> list[Post]:
        return [post for post in self.posts if post.path == path]

    def states(self, path: str) -> list[str]:
        return [post.body["state"] for post in self.at(path)]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request, one answer."""
        task = asyncio.current_task()
        assert task
        self.tasks.add(task)
        try:
            await self._answer(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the other end went away
        finally:
            writer.close()
            self.tasks.discard(task)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        line, *rest = head.strip().split("\r\n")
        pairs = (each.split(": ", 1) for each in rest)
        headers = {name.lower(): value for name, value in pairs}
        body = await reader.readexactly(int(headers["content-length"]))
        path = line.split()[1]
        done = len(self.at(path))
        self.posts.append(Post(path, headers, json.loads(body)))
        script = self.answers.get(path, ["200"])
        status, _, more = script[min(done, len(script) - 1)].partition(" ")
        if status == "hang":
            await reader.read()  # until the other end gives up
            return
        extra = f"{'Location' if status == '302' else 'Retry-After'}: {more}\r\n" if more else ""
        answer = f"HTTP/1.1 {status} So\r\n{extra}Content-Length: 0\r\nConnection: close\r\n\r\n"
        writer.write(answer.encode())
        await writer.drain()


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """A receiver while the context is open."""
    receiver = Receiver()
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        for task in receiver.tasks:
            task.cancel()
        await asyncio.gather(*receiver.tasks, return_exceptions=True)
