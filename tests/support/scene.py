"""A fleet that serves the small application, set up without Apollo's own code for deploying."""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from apollo.local.judge import BalancerView
from apollo.testing.artifact import write_artifact
from apollo.testing.fleet import FleetHost, SshFleet


class Scene:
    """Hosts whose hooks are run by hand."""

    def __init__(self, fleet: SshFleet, artifacts: Path) -> None:
        self.fleet = fleet
        self.artifacts = artifacts

    @property
    def upstreams(self) -> dict[str, int]:
        """The application's port on each host."""
        return {host.name: host.app_port for host in self.fleet.hosts}

    @property
    def locations(self) -> dict[str, str]:
        """Where each host lies."""
        return {host.name: host.location for host in self.fleet.hosts}

    async def hook(self, host: FleetHost, version: str, step: str) -> None:
        """Run one hook of a release on a host."""
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": host.folder,
            "PORT": str(host.app_port),
            "APOLLO_ROOT": host.folder,
            "APOLLO_HOST": host.name,
            "ONLINE_FILE": "online",
            "HOOK_LOG": str(self.artifacts / "hooks.log"),
        }
        await asyncio.to_thread(
            subprocess.run,
            [f"bin/{step}"],
            cwd=self.artifacts / version,
            env=environment,
            check=True,
            timeout=60,
        )

    async def replace(self, host: FleetHost, old: str, new: str) -> None:
        """Stop one release on a host and start another."""
        await self.hook(host, old, "stop")
        await self.hook(host, new, "start")

    def online(self, host: FleetHost) -> Path:
        """The file whose absence drains the host."""
        return Path(host.folder) / "online"


@asynccontextmanager
async def serving(
    folder: Path, locations: Mapping[str, int], *versions: str
) -> AsyncIterator[Scene]:
    """A fleet that runs and serves the first of the versions; all are at hand as artifacts."""
    async with SshFleet(folder / "fleet", locations) as fleet:
        scene = Scene(fleet, folder / "artifacts")
        for version in versions:
            write_artifact(scene.artifacts / version, version)
        for host in fleet.hosts:
            scene.online(host).touch()
        await asyncio.gather(*(scene.hook(host, versions[0], "start") for host in fleet.hosts))
        yield scene


async def eventually(
    condition: Callable[[], Awaitable[bool]], *, rounds: int = 600, pause: float = 0.05
) -> None:
    """Wait for something that must come true."""
    for _ in range(rounds):
        if await condition():
            return
        await asyncio.sleep(pause)
    raise AssertionError("it did not come true")


async def until_out(view: BalancerView, out: set[str]) -> None:
    """Wait until exactly these hosts are out according to the balancer."""

    async def reached() -> bool:
        return (await view.read())[-1] == out

    await eventually(reached)
