"""A real HAProxy before a fleet; it retries nothing, so that no lost request is hidden."""

import asyncio
import csv
import io
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from apollo.local.process import Program, listens
from apollo.testing.ports import ReservedPort

CONFIGURATION = """\
global
    stats socket ipv4@127.0.0.1:{runtime} level admin
    stats socket {socket} mode 600 level admin
defaults
    mode http
    retries 0
    no option redispatch
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    timeout http-keep-alive 60s
frontend front
    bind 127.0.0.1:{front}
    default_backend shop
backend shop
    balance roundrobin
    option httpchk GET /health
    http-check expect status 200
    default-server check inter 250ms fall 1 rise 1
{servers}
"""


class HaproxyServer:
    """Runs HAProxy with one server per host, named as the host."""

    def __init__(self, folder: Path, upstreams: Mapping[str, int], *, options: str = "") -> None:
        self.folder = folder
        self.front, self.runtime = ReservedPort(), ReservedPort()
        # A path for a socket may have no more than about a hundred characters.
        self.socket = folder / "haproxy.sock"
        self._configuration = CONFIGURATION.format(
            front=self.front.number,
            runtime=self.runtime.number,
            socket=self.socket,
            servers="\n".join(
                f"    server {name} 127.0.0.1:{port} {options}" for name, port in upstreams.items()
            ),
        )
        file = folder / "haproxy.cfg"
        self._program = Program([_program(), "-db", "-f", str(file)], folder / "haproxy.log")

    @property
    def port(self) -> int:
        """Where clients connect."""
        return self.front.number

    @property
    def addresses(self) -> tuple[str, str]:
        """The Runtime API, twice: over TCP and over the unix socket."""
        return f"tcp:127.0.0.1:{self.runtime.number}", f"unix:{self.socket}"

    async def __aenter__(self) -> "HaproxyServer":
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "haproxy.cfg").write_text(self._configuration, encoding="utf-8")
        await self.restart()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._program.kill()
        self.front.release()
        self.runtime.release()

    async def restart(self) -> None:
        """Start anew: what was told at run time is forgotten, as after a reload."""
        await self._program.kill()
        self._program.start()
        await self._program.until(self._answers)

    async def _answers(self) -> bool:
        return await listens(self.runtime.number) and await listens(self.port)

    async def command(self, line: str) -> str:
        """What a person at the socket would type, and the answer."""
        reader, writer = await asyncio.open_unix_connection(str(self.socket))
        writer.write(line.encode() + b"\n")
        answer = (await reader.read()).decode()
        writer.close()
        return answer

    async def status(self) -> dict[str, str]:
        """The status of each server according to HAProxy: UP, DRAIN, MAINT, DOWN…"""
        table = (await self.command("show stat")).removeprefix("# ")
        rows = csv.DictReader(io.StringIO(table))
        return {
            row["svname"]: row["status"]
            for row in rows
            if row["pxname"] == "shop" and row["svname"] != "BACKEND"
        }

    async def admin(self) -> dict[str, str]:
        """What it was told about each server, as it says itself: ready, drain or maint."""
        lines = (await self.command("show servers state shop")).splitlines()
        names = lines[1].split()[1:]
        rows = [dict(zip(names, line.split(), strict=False)) for line in lines[2:] if line]
        return {row["srv_name"]: _admin(int(row["srv_admin_state"])) for row in rows}


def _admin(bits: int) -> str:
    return "drain" if bits & 0x08 else "maint" if bits & 0x01 else "ready"


def _program() -> str:
    path = f"{os.environ['PATH']}:/usr/local/sbin:/usr/sbin"
    return shutil.which("haproxy", path=path) or "haproxy"
