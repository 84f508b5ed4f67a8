"""A whole world for tests: Temporal, SSH hosts, an application, and workers as processes."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from apollo.client import Apollo
from apollo.domain.rollout import DeploymentResult
from apollo.files.environment import resolve
from apollo.files.project import load_project
from apollo.local.judge import HookRun, read_hook_log
from apollo.local.temporal import TemporalServer
from apollo.settings import Settings
from apollo.testing.artifact import Fault, write_artifact
from apollo.testing.fleet import SshFleet

APPLICATION = """
application: shop
release: {{artifact: dist/}}
setup:
  root: "{{BASE}}/shop"
  variables: {{HOOK_LOG: "{hook_log}", ONLINE_FILE: online}}
  hooks: {{install: bin/install, stop: bin/stop, start: bin/start, validate: bin/validate}}
  health: {{http: {{port: "{{PORT}}", path: /alive}}, healthy_for: 500ms, deadline: 4s}}
environments:
  prod:
    fleet: {{inventory: fleet.yaml}}
    {environment}
pipeline: [prod]
"""


class World:
    """Everything that a deployment needs, for as long as the context is open.

    `environment` is YAML in flow style: what stands beside `fleet` in the environment `prod`.
    """

    def __init__(
        self,
        folder: Path,
        locations: Mapping[str, int],
        environment: str = "strategy: {max_unavailable: 25%}",
        takeover: float = 3,
        catalog: str = "",
    ) -> None:
        self.folder = folder
        self.hook_log = folder / "hooks.log"
        self.workers: list[subprocess.Popen[bytes]] = []
        self._environment = environment
        self._takeover = takeover
        self._catalog = catalog
        self._locations = locations
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        enter = self._stack.enter_async_context
        try:
            self.temporal = await enter(TemporalServer(self.folder / "temporal"))
            self.fleet = await enter(SshFleet(self.folder / "fleet", self._locations))
            self.settings = Settings(
                home=self.folder / "home",
                ssh_key=self.fleet.client_key,
                identity="tester",
                catalog=self._catalog,
            )
            os.environ["TEMPORAL_ADDRESS"] = self.temporal.address
            self.apollo = await enter(Apollo.connect(self.settings))
            await self.apply(self._environment)
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
        for worker in self.workers:
            await asyncio.to_thread(self._end, worker)
        await self._stack.aclose()
        del os.environ["TEMPORAL_ADDRESS"]

    async def apply(self, environment: str) -> None:
        """Apply the environment `prod`."""
        text = APPLICATION.format(hook_log=self.hook_log, environment=environment)
        (self.folder / "fleet.yaml").write_text(self.fleet.inventory_yaml())
        (self.folder / "apollo.yaml").write_text(text)
        self.project = load_project(self.folder)
        resolved = resolve(self.project, "prod")
        await self.apollo.catalog.environments.apply(resolved, ["prod"], "tester")

    async def release(self, version: str, *faults: Fault) -> None:
        """Make a release of the small application."""
        dist = write_artifact(self.folder / f"dist-{version}", version, *faults)
        await self.apollo.create_release("shop", version, self.project.setup, dist)

    async def deploy(self, version: str, **options: Any) -> DeploymentResult:
        """Deploy to `prod` and wait for the end."""
        deployment = await self.apollo.deploy("shop", "prod", version, **options)
        return await deployment.result()

    @asynccontextmanager
    async def command(self, *words: str) -> AsyncIterator[asyncio.subprocess.Process]:
        """The command line beside the project, as a process of eve's."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "apollo.cli", *words),
            cwd=self.folder,
            env={
                **os.environ,
                "APOLLO_HOME": str(self.settings.home),
                "APOLLO_IDENTITY": "eve",
                "PYTHONUNBUFFERED": "1",
            },
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    async def said(self, *words: str) -> str:
        """What a command says that must end well."""
        async with self.command(*words) as process:
            out, _ = await process.communicate()
        assert process.returncode == 0, out.decode()
        return out.decode()

    def start_worker(
        self, module: str = "apollo.workers", **variables: str
    ) -> subprocess.Popen[bytes]:
        """Start a worker; its words go to worker.log."""
        environment = {
            **os.environ,
            "APOLLO_HOME": str(self.settings.home),
            "APOLLO_CATALOG": self._catalog,
            "APOLLO_SSH_KEY": str(self.fleet.client_key),
            "APOLLO_TAKEOVER": str(self._takeover),
            "APOLLO_GRACE": "1",
            **variables,
        }
        with (self.folder / "worker.log").open("ab") as log:
            worker = subprocess.Popen(
                [sys.executable, "-m", module],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.workers.append(worker)
        return worker

    def kill_worker(self) -> int:
        """SIGKILL the newest worker; its process id."""
        worker = self.workers.pop()
        worker.kill()
        worker.wait()
        return worker.pid

    async def stop_worker(self, worker: "subprocess.Popen[bytes]") -> None:
        """SIGTERM a worker, as whoever upgrades it does, and wait until it has gone."""
        self.workers.remove(worker)
        await asyncio.to_thread(self._end, worker)

    def hooks(self) -> list[HookRun]:
        """What hooks have run, in order."""
        return read_hook_log(self.hook_log)

    @staticmethod
    def _end(worker: "subprocess.Popen[bytes]") -> None:
        worker.send_signal(signal.SIGTERM)
        try:
            worker.wait(10)
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()
