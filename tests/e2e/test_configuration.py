"""Configuration comes and goes with a release; secrets are only where they are asked for."""

import asyncio
import base64
import binascii
import os
import re
import subprocess
import sys
import zlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from apollo.domain.rollout import DeploymentResult
from apollo.domain.status import DeploymentState
from apollo.files.environment import resolve
from apollo.files.project import load_project
from apollo.testing.fleet import FleetHost
from tests.support.world import World

TOKEN = "t0ken-N3ver-shown"
KEYS = {"fra1": "fra1-k3y-N3ver-shown", "ams1": "ams1-k3y-N3ver-shown"}
VALUES = [TOKEN, *KEYS.values()]
PROJECT = """
application: shop
release: {{artifact: dist/}}
setup:
  root: "{{BASE}}/shop"
  variables: {{LEVEL: low}}
  secrets: [TOKEN, KEY]
  env_file: env
  hooks: {{start: bin/start, stop: ":"}}
  health: {{command: bin/alive, healthy_for: 100ms, deadline: 2s}}
environments:
  prod:
    fleet: {{inventory: fleet.yaml}}
    variables: {{LEVEL: {level}}}
    files: {{config/app.yml: {{from: "config/{{location}}.yml", mode: "0640"}}}}
    secrets: {{TOKEN: "env:APOLLO_SECRET_TOKEN", KEY: "file:{folder}/{{location}}.key"}}
    strategy: {{waves: [100%], max_unavailable: 100%}}
pipeline: [prod]
"""
START = """#!/bin/sh
cksum config/app.yml "$APOLLO_ROOT/env" >"$APOLLO_ROOT/seen-$APOLLO_RELEASE"
[ "$(cat version)" = 1.0 ] && exit 0
echo "the token is $TOKEN and the key $KEY" | tee /dev/stderr
sleep 1.5
exit 3
"""
WITHOUT = """
import apollo.hosts.secrets as secrets, runpy
secrets.pieces = lambda values: []
runpy.run_module("apollo.workers", run_name="__main__")
"""
"""A worker that takes no value out of anything."""


@dataclass
class Seen:
    """Processes that showed a value while the deployment ran."""

    command_lines: set[str] = field(default_factory=set)
    carriers: set[int] = field(default_factory=set)


class Configured(World):
    """Two hosts, one in each location, whose configuration and secrets differ."""

    async def configure(self, level: str) -> None:
        """Apply what the environment shall be; `level` also stands in the file."""
        (self.folder / "config").mkdir(exist_ok=True)
        for location, key in KEYS.items():
            text = f"{location}: ${{LEVEL}} {level}\n"
            (self.folder / "config" / f"{location}.yml").write_text(text)
            (self.folder / f"{location}.key").write_text(f"{key}\n")
        text = PROJECT.format(level=level, folder=self.folder)
        (self.folder / "apollo.yaml").write_text(text)
        self.project = load_project(self.folder)
        await self.apollo.apply(resolve(self.project, "prod"), ["prod"])

    async def release(self, version: str, *faults: object) -> None:
        """Make a release; all but 1.0 print their secrets and fail."""
        dist = self.folder / f"dist-{version}"
        (dist / "bin").mkdir(parents=True)
        (dist / "version").write_text(version)
        (dist / "bin" / "start").write_text(START)
        (dist / "bin" / "alive").write_text('#!/bin/sh\n[ -n "$TOKEN" ] && test -f version\n')
        for hook in (dist / "bin").iterdir():
            hook.chmod(0o755)
        await self.apollo.create_release("shop", version, self.project.setup, dist)

    def start(self, *command: str) -> None:
        """Start a worker that may resolve the secrets."""
        environment = {
            **os.environ,
            "APOLLO_HOME": str(self.settings.home),
            "APOLLO_SSH_KEY": str(self.fleet.client_key),
            "APOLLO_SECRET_TOKEN": TOKEN,
            "APOLLO_ALLOW_SECRETS": f'["env:APOLLO_SECRET_", "file:{self.folder}/"]',
            "APOLLO_GRACE": "1",
        }
        with (self.folder / "worker.log").open("ab") as log:
            self.workers.append(
                subprocess.Popen(
                    [sys.executable, *command], env=environment, stdout=log, stderr=log
                )
            )

    def root(self, host: FleetHost) -> Path:
        return Path(host.folder) / "shop"

    def configuration(self) -> dict[str, tuple[bytes, ...]]:
        """The file and the env file of each host, and who may read them."""
        found = {}
        for host in self.fleet.hosts:
            files = (self.root(host) / "current/config/app.yml", self.root(host) / "env")
            modes = b" ".join(oct(file.stat().st_mode & 0o777).encode() for file in files)
            found[host.name] = (*(file.read_bytes() for file in files), modes)
        return found

    async def watched(self, version: str) -> tuple[DeploymentResult, Seen]:
        """Deploy, and look at all processes meanwhile."""
        seen = Seen()
        running = asyncio.create_task(self.deploy(version))
        while not running.done():
            await asyncio.to_thread(sample, seen, {worker.pid for worker in self.workers})
            await asyncio.sleep(0.05)
        return await running, seen

    async def places(self, result: DeploymentResult) -> dict[str, bytes]:
        """Everything in which a value might be: what it is → its bytes."""
        found = {"worker.log": (self.folder / "worker.log").read_bytes()}
        for file in self.settings.home.rglob("*"):
            if file.is_file():
                found[f"home {file.name}"] = await asyncio.to_thread(elsewhere, file)
        for host in self.fleet.hosts:
            for file in self.root(host).rglob("*"):
                if file.is_file() and file != self.root(host) / "env":
                    found[f"host {file.relative_to(self.root(host))}"] = file.read_bytes()
        client = await self.apollo.temporal()
        async for workflow in client.list_workflows():
            handle = client.get_workflow_handle(workflow.id, run_id=workflow.run_id)
            events = (await handle.fetch_history()).events
            name = f"history {workflow.workflow_type}"
            found[name] = found.get(name, b"") + b"".join(e.SerializeToString() for e in events)
        for words in (["show", result.label], ["show", result.label, "--json"]):
            name = " ".join(["apollo", words[0], *words[2:]])
            found[name] = await asyncio.to_thread(self.apollo_says, *words)
        return found

    def apollo_says(self, *words: str) -> bytes:
        """What the command line prints."""
        environment = {**os.environ, "APOLLO_HOME": str(self.settings.home)}
        command = [sys.executable, "-m", "apollo.cli", *words]
        return subprocess.run(command, capture_output=True, env=environment, check=False).stdout


def elsewhere(file: Path) -> bytes:
    """A file's content, read in another process: closing it here would end SQLite's locks on it."""
    return subprocess.run(["cat", file], capture_output=True, check=True).stdout


def sample(seen: Seen, workers: set[int]) -> None:
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) in workers:
            continue
        try:
            command, environment = (
                (entry / "cmdline").read_bytes(),
                (entry / "environ").read_bytes(),
            )
        except OSError:
            continue
        if any(value.encode() in command for value in VALUES):
            seen.command_lines.add(command.decode(errors="replace"))
        if any(value.encode() in environment for value in VALUES):
            seen.carriers.add(int(entry.name))


def unfolded(data: bytes) -> Iterator[bytes]:
    """The bytes themselves, and what is packed in them: base64, and zlib in base64."""
    yield data
    for packed in re.findall(rb"[A-Za-z0-9+/]{24,}={0,2}", data):
        try:
            plain = base64.b64decode(packed, validate=True)
        except binascii.Error:
            continue
        yield plain
        try:
            yield zlib.decompress(plain)
        except zlib.error:
            continue


def leaks(places: dict[str, bytes]) -> set[str]:
    """The places in which a value is."""
    values = [value.encode() for value in VALUES]
    return {
        name
        for name, data in places.items()
        if any(value in part for part in unfolded(data) for value in values)
    }


@pytest.fixture(scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Configured]:
    folder = tmp_path_factory.mktemp("configured")
    async with Configured(folder, {"fra1": 1, "ams1": 1}) as world:
        await world.configure("calm")
        world.start("-m", "apollo.workers")
        await world.release("1.0")
        first = await world.deploy("1.0")
        assert first.state is DeploymentState.SUCCEEDED, first
        yield world


async def test_a_release_that_fails_takes_its_configuration_back_and_its_secrets_with_it(
    world: Configured,
) -> None:
    before = world.configuration()
    assert before["fra1-01"][0] == b"fra1: calm calm\n"
    assert before["ams1-01"][0] == b"ams1: calm calm\n"
    assert before["fra1-01"][2] == b"0o640 0o600"
    for host in world.fleet.hosts:
        assert KEYS[host.location].encode() in before[host.name][1]

    await world.configure("wild")
    await world.release("2.0")
    result, seen = await world.watched("2.0")

    assert result.state is DeploymentState.ROLLED_BACK
    assert result.outcomes == {"reverted": 2}
    assert world.configuration() == before
    for host in world.fleet.hosts:
        ran = [(world.root(host) / f"seen-{version}").read_text() for version in ("1.0", "2.0")]
        for old, new in zip(ran[0].splitlines(), ran[1].splitlines(), strict=True):
            assert old.split()[0] != new.split()[0], "its configuration was there in between"

    places = await world.places(result)
    assert b"[redacted]" in places["apollo show"]
    assert {name.split()[0] for name in places} >= {"worker.log", "home", "host", "history"}
    assert leaks(places) == set()
    assert seen.command_lines == set()
    assert seen.carriers, "the hook had them in its environment"


async def test_the_control_without_redaction_the_same_search_finds_them(
    world: Configured,
) -> None:
    worker = world.workers.pop()
    worker.terminate()
    await asyncio.to_thread(worker.wait)
    world.start("-c", WITHOUT)
    await world.release("3.0")
    result = await world.deploy("3.0")

    found = leaks(await world.places(result))
    kinds = {name.split()[0] for name in found}
    assert result.outcomes == {"reverted": 2}
    assert {"home", "host", "history", "apollo"} <= kinds
