"""What the demonstration plays on: Temporal, a fleet, Caddy, a worker, an application."""

import asyncio
import os
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from apollo.client import Apollo
from apollo.files.environment import resolve
from apollo.files.project import load_project
from apollo.local.caddy import CaddyServer
from apollo.local.process import Program
from apollo.local.temporal import TemporalServer
from apollo.settings import Settings
from apollo.testing.artifact import Fault, write_artifact
from apollo.testing.fleet import SshFleet

TAKEOVER = 3
MAX_UNAVAILABLE = "25%"
PROJECT = """\
application: shop
release: {{artifact: dist/}}
setup:
  root: "{{BASE}}/shop"
  variables: {{ONLINE_FILE: online, HOOK_LOG: "{hook_log}"}}
  hooks: {{install: bin/install, stop: bin/stop, start: bin/start, validate: bin/validate}}
  health:
    http: {{port: "{{PORT}}", path: /alive}}
    healthy_for: 500ms
    deadline: 3s
environments:
  prod:
    fleet: {{inventory: fleet.yaml}}
    balancer:
      file: {{path: online, wait: 600ms}}
      drain: {{wait: 2200ms}}
    strategy: {{waves: [1, 100%], max_unavailable: {max_unavailable}}}
pipeline: [prod]
"""


class Stage:
    """Everything runs while the context is open, and nothing after it."""

    def __init__(self, folder: Path, hosts: int, locations: int) -> None:
        self.folder = folder
        self.hook_log = folder / "hooks.log"
        self._shape = _spread(hosts, locations)
        self._stack = AsyncExitStack()
        self._worker: Program | None = None

    async def __aenter__(self) -> Self:
        enter = self._stack.enter_async_context
        try:
            self.temporal = await enter(TemporalServer(self.folder / "temporal"))
            self.fleet = await enter(SshFleet(self.folder / "fleet", self._shape))
            ports = {host.name: host.app_port for host in self.fleet.hosts}
            self.caddy = await enter(CaddyServer(self.folder / "caddy", ports, interval="250ms"))
            self.settings = Settings(home=self.folder / "home", ssh_key=self.fleet.client_key)
            os.environ["TEMPORAL_ADDRESS"] = self.temporal.address
            self.apollo = await enter(Apollo.connect(self.settings))
            await self._apply()
            self._stack.push_async_callback(self._stop_worker)
            self.start_worker()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    @property
    def locations(self) -> dict[str, str]:
        """Where each host lies."""
        return {host.name: host.location for host in self.fleet.hosts}

    def start_worker(self) -> None:
        """Start a worker as a process of its own."""
        environment = {
            **os.environ,
            "APOLLO_HOME": str(self.settings.home),
            "APOLLO_SSH_KEY": str(self.fleet.client_key),
            "APOLLO_TAKEOVER": str(TAKEOVER),
            "APOLLO_GRACE": "1",
        }
        self._worker = Program(
            [sys.executable, "-m", "apollo.workers"],
            self.folder / "worker.log",
            environment=environment,
        )
        self._worker.start()

    async def kill_worker(self) -> None:
        """SIGKILL the worker, in the middle of whatever it does."""
        assert self._worker
        await self._worker.kill()

    async def release(self, version: str, *faults: Fault, slow_start: str = "") -> None:
        """Make a release; its `start` takes long on the host `slow_start`."""
        dist = await asyncio.to_thread(write_artifact, self.folder / version, version, *faults)
        if slow_start:
            _slow_down(dist / "bin" / "start", slow_start)
        await self.apollo.create_release("shop", version, self._project.setup, dist)

    async def _apply(self) -> None:
        folder = self.folder / "shop"
        folder.mkdir()
        (folder / "fleet.yaml").write_text(self.fleet.inventory_yaml(), encoding="utf-8")
        text = PROJECT.format(hook_log=self.hook_log, max_unavailable=MAX_UNAVAILABLE)
        (folder / "apollo.yaml").write_text(text, encoding="utf-8")
        self._project = load_project(folder)
        environment = resolve(self._project, "prod")
        await self.apollo.catalog.environments.apply(
            environment, self._project.pipeline, self.settings.who
        )

    async def _stop_worker(self) -> None:
        if self._worker:
            await self._worker.stop()


def _spread(hosts: int, locations: int) -> dict[str, int]:
    names = ["fra1", "ams1", "nyc1", *(f"dc{number}" for number in range(4, locations + 1))]
    each, more = divmod(hosts, locations)
    return {name: each + (at < more) for at, name in enumerate(names[:locations])}


def _slow_down(script: Path, host: str) -> None:
    first, rest = script.read_text(encoding="utf-8").split("\n", 1)
    slow = f'case "$APOLLO_HOST" in {host}) slow=12 ;; *) slow=0 ;; esac'
    rest = rest.replace(". bin/common\n", f'. bin/common\n{slow}\nsleep "$slow"\n', 1)
    script.write_text(f"{first}\n{rest}", encoding="utf-8")
