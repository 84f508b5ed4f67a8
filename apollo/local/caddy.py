"""A real Caddy before a fleet on this machine; it drains a host when the host's /health says so."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from apollo.local.process import Program, find_program, listens
from apollo.testing.ports import ReservedPort

CHECKER = "http.handlers.reverse_proxy.health_checker.active"


class CaddyServer:
    """Caddy as a reverse proxy: keep-alive, health checks, no retries.

    `upstreams` are the hosts' names and ports.

    Raises:
        Unavailable: The program is missing, or does not get ready.
    """

    def __init__(
        self,
        folder: Path | str,
        upstreams: Mapping[str, int],
        *,
        port: int = 0,
        interval: str = "500ms",
    ) -> None:
        self.folder = Path(folder)
        self._upstreams = dict(upstreams)
        self._interval = interval
        program = find_program("caddy")
        self._front, self._admin = ReservedPort(port), ReservedPort()
        self._events = self.folder / "caddy-events.log"
        command = [program, "run", "--config", str(self.folder / "caddy.json")]
        state = {"XDG_DATA_HOME": str(self.folder), "XDG_CONFIG_HOME": str(self.folder)}
        self._program = Program(
            command, self.folder / "caddy.log", environment={**os.environ, **state}
        )

    @property
    def port(self) -> int:
        """Where clients connect."""
        return self._front.number

    @property
    def metrics_url(self) -> str:
        """Caddy's own metrics; those of the upstreams are up to ten seconds old."""
        return f"http://127.0.0.1:{self._admin.number}/metrics"

    async def __aenter__(self) -> "CaddyServer":
        self.folder.mkdir(parents=True, exist_ok=True)
        self._events.unlink(missing_ok=True)
        (self.folder / "caddy.json").write_text(json.dumps(self._config()), encoding="utf-8")
        self._program.start()
        try:
            await self._program.until(self._answers)
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._close()

    async def _close(self) -> None:
        # Asked to end, it would wait for connections that clients keep.
        await self._program.kill()
        self._front.release()
        self._admin.release()

    async def _answers(self) -> bool:
        return await listens(self.port) and await listens(self._admin.number)

    def view(self) -> "CaddyView":
        """A reader of what Caddy itself thinks of its upstreams."""
        names = {f"127.0.0.1:{port}": name for name, port in self._upstreams.items()}
        return CaddyView(self._events, names)

    def _config(self) -> dict[str, Any]:
        return {
            "admin": {
                "listen": f"127.0.0.1:{self._admin.number}",
                "config": {"persist": False},
            },
            "logging": {"logs": {"default": self._log()}},
            "apps": {"http": {"metrics": {}, "servers": {"front": self._server()}}},
        }

    def _log(self) -> dict[str, Any]:
        return {
            "level": "INFO",
            "writer": {"output": "file", "filename": str(self._events), "roll": False},
            "encoder": {"format": "json"},
        }

    def _server(self) -> dict[str, Any]:
        proxy = {
            "handler": "reverse_proxy",
            "load_balancing": {"selection_policy": {"policy": "round_robin"}},
            "health_checks": {
                "active": {"uri": "/health", "interval": self._interval, "timeout": "3s"}
            },
            "upstreams": [{"dial": f"127.0.0.1:{port}"} for port in self._upstreams.values()],
        }
        return {
            "listen": [f"127.0.0.1:{self.port}"],
            "automatic_https": {"disable": True},
            "routes": [{"handle": [proxy]}],
        }


class CaddyView:
    """Follows Caddy's log of health checks: exact, where its metrics are seconds old."""

    def __init__(self, events: Path, names: Mapping[str, str]) -> None:
        self._events = events
        self._names = names
        self._offset = 0
        self._out: set[str] = set()

    async def read(self) -> list[frozenset[str]]:
        """The hosts that were out, after each change since the last call."""
        states = []
        for event in self._new_events():
            name = self._names.get(event.get("host", ""))
            if event.get("logger") != CHECKER or name is None:
                continue
            before = len(self._out)
            if event["msg"] == "host is up":
                self._out.discard(name)
            else:
                self._out.add(name)
            if len(self._out) != before:
                states.append(frozenset(self._out))
        return states or [frozenset(self._out)]

    def _new_events(self) -> list[dict[str, Any]]:
        if not self._events.exists():
            return []
        with self._events.open("rb") as file:
            file.seek(self._offset)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        return [json.loads(line) for line in whole.splitlines()]
