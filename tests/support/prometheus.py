"""A real Prometheus that scrapes metrics which a test sets."""

import asyncio
import json
import shutil
from pathlib import Path
from types import TracebackType
from urllib.parse import quote
from urllib.request import urlopen

from apollo.local.process import Program, listens
from apollo.testing.ports import ReservedPort

CONFIGURATION = """\
global: {{scrape_interval: 200ms, scrape_timeout: 200ms}}
scrape_configs:
  - {{job_name: shop, static_configs: [{{targets: ["127.0.0.1:{port}"]}}]}}
"""


class PrometheusServer:
    """Prometheus, and what it scrapes."""

    def __init__(self, folder: Path) -> None:
        self.metrics: dict[str, float] = {}
        self._folder = folder / "prometheus"
        self._port = ReservedPort()
        self._program = Program(
            [
                str(shutil.which("prometheus")),
                f"--config.file={self._folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={self._folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{self._port.number}",
            ],
            self._folder / "prometheus.log",
        )

    @property
    def url(self) -> str:
        """Where it is asked."""
        return f"http://127.0.0.1:{self._port.number}"

    async def __aenter__(self) -> "PrometheusServer":
        self._folder.mkdir(parents=True)
        self._exporter = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        port = self._exporter.sockets[0].getsockname()[1]
        text = CONFIGURATION.format(port=port)
        (self._folder / "prometheus.yml").write_text(text, encoding="utf-8")
        self._program.start()
        await self._program.until(self._ready)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()
        self._exporter.close()
        self._port.release()

    async def stop(self) -> None:
        """End it."""
        await self._program.kill()

    async def has(self, query: str) -> bool:
        """Whether a query returns any series; asked by other code than Apollo's."""

        def ask() -> bool:
            with urlopen(f"{self.url}/api/v1/query?query={quote(query)}", timeout=10) as answer:
                return bool(json.load(answer)["data"]["result"])

        return await asyncio.to_thread(ask)

    async def _ready(self) -> bool:
        if not await listens(self._port.number):
            return False
        try:
            return not await self.has("nothing")
        except OSError:
            return False

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = "".join(f"{name} {value}\n" for name, value in self.metrics.items()).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n"
        writer.write(f"{head}Connection: close\r\n\r\n".encode() + body)
        await writer.drain()
        writer.close()
