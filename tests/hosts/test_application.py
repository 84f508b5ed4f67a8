"""The small application and its hooks do what scenarios need of them."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from apollo.testing.artifact import Fault, write_artifact
from apollo.testing.ports import ReservedPort
from apollo.testing.processes import kill_marked


class Place:
    """A root folder with releases of the application."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = ReservedPort()
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "PORT": str(self.port.number),
            "APOLLO_ROOT": str(folder),
            "APOLLO_HOST": "fra1-01",
            "APOLLO_TURN": "1",
            "APOLLO_DEPLOYMENT": "shop/prod#1",
            "HOOK_LOG": "hooks.log",
            "ONLINE_FILE": "online",
        }

    def write(self, version: str, *faults: Fault) -> None:
        write_artifact(self.folder / version, version, *faults, python=sys.executable)

    def hook(self, version: str, step: str, **extra: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [f"bin/{step}"],
            cwd=self.folder / version,
            env={**self.environment, "APOLLO_RELEASE": version, **extra},
            capture_output=True,
            text=True,
            timeout=60,
        )

    async def get(self, path: str) -> str:
        """The status line and the body."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port.number)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = int(head.lower().split("content-length: ")[1].split("\r\n")[0])
        body = (await reader.readexactly(length)).decode()
        writer.close()
        return f"{head.splitlines()[0]} {body}"


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    kill_marked([f"HOME={tmp_path}"])
    place.port.release()


async def test_a_release_starts_serves_and_stops(place: Place) -> None:
    place.write("1.0")
    assert place.hook("1.0", "install").returncode == 0
    started = place.hook("1.0", "start")
    assert started.returncode == 0, started.stderr

    assert '"version": "1.0", "host": "fra1-01"' in await place.get("/")
    assert place.hook("1.0", "validate").returncode == 0
    assert place.hook("1.0", "start").returncode == 4
    assert place.hook("1.0", "stop").returncode == 0
    assert place.hook("1.0", "validate").returncode == 1
    assert place.hook("1.0", "stop").returncode == 0

    lines = (place.folder / "hooks.log").read_text(encoding="utf-8").splitlines()
    steps = ["install", "start", "validate", "start", "stop", "validate", "stop"]
    assert [line.split()[4] for line in lines] == steps
    assert lines[0].split()[1:] == ["fra1-01", "1.0", "1", "install", "shop/prod#1"]


async def test_the_balancer_sees_a_host_offline_without_its_file(place: Place) -> None:
    place.write("1.0")
    assert place.hook("1.0", "start").returncode == 0

    assert "503" in await place.get("/health")
    assert " 200 " in await place.get("/alive")
    (place.folder / "online").touch()
    assert " 200 " in await place.get("/health")


async def test_a_request_in_flight_is_answered_before_the_end(place: Place) -> None:
    place.write("1.0")
    assert place.hook("1.0", "start").returncode == 0
    request = asyncio.create_task(place.get("/slow"))
    await asyncio.sleep(0.5)
    stopped = await asyncio.to_thread(place.hook, "1.0", "stop")

    assert stopped.returncode == 0
    assert stopped.stderr == ""
    assert request.done()
    assert " 200 " in await request


async def test_the_next_release_may_stop_the_one_before(place: Place) -> None:
    for version in ("1.0", "1.1"):
        place.write(version)
    assert place.hook("1.0", "start").returncode == 0
    assert place.hook("1.1", "stop").returncode == 0
    assert place.hook("1.1", "start").returncode == 0
    assert '"version": "1.1"' in await place.get("/")


async def test_a_fault_concerns_hosts_and_waves(place: Place) -> None:
    place.write("bad", Fault("health", ("ams1-*", "fra1-0[1-3]"), from_wave=2))
    assert place.hook("bad", "start", APOLLO_WAVE="1").returncode == 0
    assert " 200 " in await place.get("/alive")
    assert place.hook("bad", "stop").returncode == 0
    assert place.hook("bad", "start", APOLLO_WAVE="2").returncode == 0
    assert " 500 " in await place.get("/alive")
    assert " 500 " in await place.get("/health")


def test_a_release_that_does_not_start_exits_3(place: Place) -> None:
    place.write("bad", Fault("start"), Fault("validate"), Fault("install", ("other",)))
    assert place.hook("bad", "install").returncode == 0
    assert place.hook("bad", "start").returncode == 3
    assert place.hook("bad", "validate").returncode == 5


def test_an_occupied_port_fails_the_start(place: Place) -> None:
    place.write("1.0")
    assert place.hook("1.0", "start").returncode == 0
    (place.folder / "application.pid").unlink()
    failed = place.hook("1.0", "start")
    assert failed.returncode == 1
    assert "in use" in failed.stderr


def test_hooks_can_be_slow(place: Place) -> None:
    place.write("1.0")
    before = time.monotonic()
    assert place.hook("1.0", "install", HOOK_SECONDS="0.3").returncode == 0
    assert time.monotonic() - before >= 0.3
