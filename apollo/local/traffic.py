"""Clients that keep a balancer busy, never retry, and count every request that was lost.

As a program, `python -m apollo.local.traffic PORT` prints its report as a line of JSON every half
second, and the whole of it when its standard input closes or it gets SIGTERM.
"""

import argparse
import asyncio
import json
import signal
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from types import TracebackType
from typing import Any

from apollo.errors import Unavailable

TIMEOUT = 20.0
SLOW_EVERY = 10


@dataclass(frozen=True)
class Lost:
    """A request that got no answer with status 200."""

    time: float
    path: str
    why: str


@dataclass
class Report:
    """What became of the requests so far."""

    sent: int = 0
    lost: list[Lost] = field(default_factory=list)
    by_version: Counter[str] = field(default_factory=Counter)
    by_host: Counter[str] = field(default_factory=Counter)

    def news(self, known: int) -> dict[str, Any]:
        """The totals, and the losses after those that are known, as a line of JSON carries them."""
        return {
            "sent": self.sent,
            "lost": [asdict(lost) for lost in self.lost[known:]],
            "by_version": dict(self.by_version),
            "by_host": dict(self.by_host),
        }

    def learn(self, news: dict[str, Any]) -> None:
        """Take in what `news` made."""
        self.sent = news["sent"]
        self.lost += [Lost(**lost) for lost in news["lost"]]
        self.by_version = Counter(news["by_version"])
        self.by_host = Counter(news["by_host"])


class Traffic:
    """A number of clients on keep-alive connections, sending at a steady rate in all."""

    def __init__(self, port: int, *, clients: int = 40, rate: float = 120.0) -> None:
        self.port = port
        self.report = Report()
        self._interval = clients / rate
        self._stopping = asyncio.Event()
        self._clients = [_Client(self, number) for number in range(clients)]
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> "Traffic":
        for number, client in enumerate(self._clients):
            delay = self._interval * number / len(self._clients)
            self._tasks.append(asyncio.create_task(client.run(delay, self._interval)))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopping.set()
        await asyncio.gather(*self._tasks)

    async def pause(self, seconds: float) -> bool:
        """Wait, and say whether to go on."""
        if seconds > 0 and not self._stopping.is_set():
            try:
                await asyncio.wait_for(self._stopping.wait(), seconds)
            except TimeoutError:
                return True
        return not self._stopping.is_set()


class _Client:
    """One connection at a time, one request after the other."""

    def __init__(self, traffic: Traffic, number: int) -> None:
        self._traffic = traffic
        self._number = number
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def run(self, delay: float, interval: float) -> None:
        """Send until the traffic stops; what a slow answer delays is made up for."""
        loop = asyncio.get_running_loop()
        due = loop.time() + delay
        while await self._traffic.pause(due - loop.time()):
            self._number += 1
            await self._send("/slow" if self._number % SLOW_EVERY == 0 else "/")
            due += interval
        self._drop()

    async def _send(self, path: str) -> None:
        report = self._traffic.report
        report.sent += 1
        try:
            async with asyncio.timeout(TIMEOUT):
                status, body = await self._exchange(path)
        except (OSError, EOFError, ValueError, IndexError) as error:
            report.lost.append(Lost(time.time(), path, str(error) or type(error).__name__))
            self._drop()
            return
        if status == 200:
            answer = json.loads(body)
            report.by_version[answer["version"]] += 1
            report.by_host[answer["host"]] += 1
        else:
            report.lost.append(Lost(time.time(), path, f"status {status}"))

    async def _exchange(self, path: str) -> tuple[int, bytes]:
        if self._writer is None or self._reader is None or self._reader.at_eof():
            self._drop()
            self._reader, self._writer = await asyncio.open_connection(
                "127.0.0.1", self._traffic.port
            )
        self._writer.write(f"GET {path} HTTP/1.1\r\nHost: shop.example\r\n\r\n".encode())
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        length = head.split("content-length:", 1)[1].split("\r\n", 1)[0]
        body = await self._reader.readexactly(int(length))
        if "connection: close" in head:
            self._drop()
        return int(head.split(" ", 2)[1]), body

    def _drop(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None


class TrafficProcess:
    """The same clients in a process of their own, so that nothing else delays them."""

    def __init__(self, port: int, *, clients: int = 40, rate: float = 120.0) -> None:
        self.report = Report()
        self._command = [sys.executable, "-m", "apollo.local.traffic", str(port)]
        self._command += ["--clients", str(clients), "--rate", str(rate)]

    async def __aenter__(self) -> "TrafficProcess":
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=64 * 1024 * 1024,
            start_new_session=True,
        )
        self._following = asyncio.create_task(self._follow())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._following
        if await self._process.wait() and error is None:
            raise Unavailable("the traffic ended by itself: its report is not complete")

    async def _follow(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            self.report.learn(json.loads(line))


async def _stop_requested(stopped: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    await reader.read()
    stopped.set()


def _say(report: Report, known: int) -> int:
    """Print what is new since so many losses; say how many are known then."""
    sys.stdout.write(json.dumps(report.news(known)) + "\n")
    sys.stdout.flush()
    return len(report.lost)


async def _run(options: argparse.Namespace) -> None:
    stopped = asyncio.Event()
    listening = asyncio.create_task(_stop_requested(stopped))
    known = 0
    async with Traffic(options.port, clients=options.clients, rate=options.rate) as traffic:
        waiting = asyncio.create_task(stopped.wait())
        while not (await asyncio.wait([waiting], timeout=0.5))[0]:
            known = _say(traffic.report, known)
    listening.cancel()
    _say(traffic.report, known)


def main() -> None:
    """Send traffic to a port of this machine."""
    parser = argparse.ArgumentParser(prog="python -m apollo.local.traffic", description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("--clients", type=int, default=40)
    parser.add_argument("--rate", type=float, default=120.0)
    asyncio.run(_run(parser.parse_args()))


if __name__ == "__main__":
    main()
