"""The `command` balancer: real commands, ended whatever they do; turns before a real HAProxy."""

import asyncio
import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from apollo.balancers import Balancer, BalancerTarget, build_balancer
from apollo.balancers.supervised import run
from apollo.domain.balancer import BalancerSpec
from apollo.domain.fleet import Host
from apollo.domain.manifest import Manifest
from apollo.domain.status import Outcome
from apollo.errors import BalancerFailed, BalancerUnavailable
from apollo.hosts.answer import Answer, HostState, Status
from apollo.hosts.root import HostRoot
from apollo.hosts.traffic import FRESH, Traffic
from apollo.settings import Settings
from apollo.testing.fleet import SshFleet
from tests.support.bench import Bench
from tests.support.haproxy import HaproxyServer
from tests.support.scene import eventually

WEB1 = BalancerTarget("web1", "fra1", {"PORT": "8080", "ODD": "a b; c"}, "10.0.1.1", "web")
ROOT = Path(__file__).parents[2]
LB = ROOT / "tests/support/lb.py"


def balancer(
    find: str = "true", drain: str = "true", restore: str = "true", *, timeout: str = "30s"
) -> Balancer:
    """One that may run whatever the test says."""
    lines = {"find": find, "drain": drain, "restore": restore, "timeout": timeout}
    spec = BalancerSpec.model_validate({"drain": {"wait": "0s"}, "command": lines})
    return build_balancer(spec, [shlex.split(each)[0] for each in (find, drain, restore)])


def shell(script: str) -> str:
    return f"sh -c {shlex.quote(script)}"


def alive(mark: str) -> list[int]:
    """The processes that were started with this word, but for whoever minds them."""
    found = []
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = each.read_bytes().decode().split("\0")
            if mark in words and not any(word.endswith("supervisor.py") for word in words):
                found.append(int(each.parent.name))
    return found


# What commands are told, and what they say


async def test_find_says_the_state_and_restore_is_told_it(tmp_path: Path) -> None:
    told = tmp_path / "told"
    command = shell(f'echo "$0 $1 $APOLLO_FOUND" >>{told}') + " {address} {ODD}"
    found = balancer(find=shell('echo "  maintenance:by=ann "'), drain=command, restore=command)

    state = await found.find(WEB1)
    await found.drain(WEB1)
    await found.restore(WEB1, state)

    assert state == "maintenance:by=ann"
    assert told.read_text().splitlines() == [
        "10.0.1.1 a b; c ",
        "10.0.1.1 a b; c maintenance:by=ann",
    ]


async def test_a_command_finds_a_clean_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("APOLLO_SECRET_DB", "hunter2")
    monkeypatch.setenv("TEMPORAL_API_KEY", "hunter2")
    given = {"PORT": "8080", "LD_PRELOAD": "/tmp/evil.so", "PATH": "/tmp/evil"}
    target = BalancerTarget("web1", "fra1", given, "10.0.1.1", "web")
    command = balancer(drain=shell(f"tr '\\0' '\\n' </proc/$$/environ >{tmp_path}/env"))

    await command.drain(target)

    found = dict(line.split("=", 1) for line in (tmp_path / "env").read_text().splitlines())
    assert {name: found.pop(name) for name in list(found) if name.startswith("APOLLO_")} == {
        "APOLLO_HOST": "web1",
        "APOLLO_LOCATION": "fra1",
        "APOLLO_ADDRESS": "10.0.1.1",
        "APOLLO_ROLE": "web",
        "APOLLO_VARIABLE_PORT": "8080",
        "APOLLO_VARIABLE_LD_PRELOAD": "/tmp/evil.so",
        "APOLLO_VARIABLE_PATH": "/tmp/evil",
    }
    assert found["PATH"] == os.environ["PATH"]
    assert found.keys() <= {"PATH", "HOME", "USER", "LANG"}


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("exit 0", "it printed nothing"),
        ("echo up; echo down", "found 'up down'"),
        ("echo two words", "found 'two words'"),
        ("head -c 3000000 /dev/zero | tr '\\0' x", "found '…xxxx"),
        ("head -c 2000 /dev/urandom", "expected one word"),
        ("printf '\\033[31mred'", r"found '\[31mred'"),
        ("echo up >&2", "it printed nothing"),
    ],
)
async def test_a_state_that_is_no_word_is_not_taken(script: str, words: str) -> None:
    with pytest.raises(BalancerFailed, match=words) as caught:
        await balancer(find=shell(script)).find(WEB1)
    assert (caught.value.host, caught.value.step) == ("web1", "drain")
    assert caught.value.left == "the host was not drained"
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 800


@pytest.mark.parametrize("act", ["find", "drain", "hold", "restore"])
async def test_a_command_that_fails_says_what_it_printed(act: str) -> None:
    line = shell(
        "yes noise | head -c 100000 >&2; printf '\\033[2J\\007no such\\nserver\\377' >&2; exit 3"
    )
    command = balancer(line, line, line)

    with pytest.raises(BalancerFailed) as caught:
        await (command.restore(WEB1, "up") if act == "restore" else getattr(command, act)(WEB1))

    assert "expected exit 0, found exit 3: …" in caught.value.message
    assert caught.value.message.endswith(" nois [2J no such server\N{REPLACEMENT CHARACTER}")
    assert caught.value.message.isprintable()
    assert caught.value.step == ("restore" if act == "restore" else "drain")
    assert caught.value.retried
    assert not caught.value.unreachable


async def test_what_is_killed_or_no_program_is_told() -> None:
    with pytest.raises(BalancerFailed, match="found exit -9"):
        await balancer(drain=shell("kill -9 $$")).drain(WEB1)


async def test_what_cannot_be_run_is_told(tmp_path: Path) -> None:
    program = tmp_path / "lbctl"
    program.write_text("#!/no/such/interpreter\n")
    program.chmod(0o755)

    with pytest.raises(BalancerFailed, match="cannot be run: No such file"):
        await balancer(drain=str(program)).drain(WEB1)
    with pytest.raises(BalancerFailed, match="cannot be run: embedded null byte"):
        await balancer(drain="true {X}").drain(BalancerTarget("web1", "fra1", {"X": "a\0b"}))


# What may not go on


SPAWNER = """
import os, subprocess, sys, time
mark = sys.argv[1]
sleeper = [sys.executable, "-c", "import time; time.sleep(600)", mark]
quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
subprocess.Popen(sleeper)
subprocess.Popen(sleeper, start_new_session=True, env={}, **quiet)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        subprocess.Popen(sleeper, env={}, **quiet)
        time.sleep(600)
    os._exit(0)
open(sys.argv[2], "w").close()
time.sleep(float(sys.argv[3]))
"""


@dataclass
class Spawner:
    """A command that starts others: beside it, in other sessions, and orphans."""

    folder: Path
    mark: str

    def words(self, seconds: float) -> list[str]:
        return [sys.executable, "-c", SPAWNER, self.mark, str(self.folder / "at"), str(seconds)]

    async def started(self) -> None:
        async def all_there() -> bool:
            return (self.folder / "at").exists() and len(alive(self.mark)) >= 5

        await eventually(all_there)


@pytest.fixture
def spawner(tmp_path: Path) -> Iterator[Spawner]:
    spawner = Spawner(tmp_path, f"mark-{os.getpid()}-{time.monotonic_ns()}")
    yield spawner
    for each in alive(spawner.mark):
        os.kill(each, signal.SIGKILL)


async def test_a_hanging_command_ends_at_its_time_with_all_it_started(spawner: Spawner) -> None:
    line = shlex.join(spawner.words(600))
    command = balancer(drain=line, timeout="10s")
    work = asyncio.create_task(command.drain(WEB1))
    await spawner.started()
    with pytest.raises(BalancerFailed, match="expected its end within 10s; it was ended then"):
        await work
    assert alive(spawner.mark) == []


async def test_the_control_of_it_leaves_processes(spawner: Spawner) -> None:
    """Without the supervisor: to end the command's process group is not enough."""
    words = spawner.words(600)
    process = await asyncio.to_thread(subprocess.Popen, words, start_new_session=True)
    await spawner.started()
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert alive(spawner.mark)


async def test_what_a_command_leaves_behind_ends_with_it(spawner: Spawner) -> None:
    await balancer(drain=shlex.join(spawner.words(1)), timeout="60s").drain(WEB1)
    assert alive(spawner.mark) == []


async def test_a_command_ends_when_its_turn_is_given_up(spawner: Spawner) -> None:
    work = asyncio.create_task(run(spawner.words(600), dict(os.environ), timedelta(minutes=5)))
    await spawner.started()
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert alive(spawner.mark) == []


async def test_a_command_ends_when_its_worker_is_killed(spawner: Spawner) -> None:
    program = (
        "import asyncio, json, os, sys; from datetime import timedelta;"
        "from apollo.balancers.supervised import run;"
        "asyncio.run(run(json.loads(sys.argv[1]), os.environ, timedelta(minutes=5)))"
    )
    words = [sys.executable, "-c", program, json.dumps(spawner.words(600))]
    worker = await asyncio.to_thread(subprocess.Popen, words, cwd=ROOT)
    await spawner.started()
    worker.kill()
    worker.wait()

    async def nothing_left() -> bool:
        return alive(spawner.mark) == []

    await eventually(nothing_left)


# What a worker allows


@pytest.mark.parametrize(
    ("line", "allowed"),
    [
        ("lbctl drain web1", []),
        ("lbctl drain web1", ["lbctl restore", "lbctl drain web2", "lb"]),
        ("lbctl2 drain", ["lbctl"]),
        ("/opt/lb/../../bin/sh -c x", ["/opt/lb/"]),
        ("/opt/lb/deeper/x", ["/opt/lb/"]),
        ("sh -c 'lbctl drain'", ["lbctl"]),
        ("{PROGRAM} drain", ["lbctl"]),
        ("x", ["/"]),
    ],
)
async def test_what_the_worker_does_not_allow_is_refused(line: str, allowed: list[str]) -> None:
    lines = {"find": "true", "drain": "true", "restore": line}
    spec = BalancerSpec.model_validate({"command": lines})
    target = BalancerTarget("web1", "fra1", {"PROGRAM": "/bin/sh"})

    with pytest.raises(BalancerUnavailable, match="this worker may not run it") as caught:
        await build_balancer(spec, ["true", *allowed]).find(target)

    assert "APOLLO_ALLOW_COMMANDS" in caught.value.message
    assert "balancer.command.restore" in caught.value.message
    assert caught.value.unreachable


@pytest.mark.parametrize("entry", ["{folder}/lbctl", "{folder}/lbctl drain", "{folder}/"])
async def test_what_the_worker_allows_is_run(tmp_path: Path, entry: str) -> None:
    program = tmp_path / "lbctl"
    program.write_text("#!/bin/sh\necho up\n")
    program.chmod(0o755)
    line = f"{program} drain {{host}}"
    spec = BalancerSpec.model_validate(
        {"command": dict.fromkeys(("find", "drain", "restore"), line)}
    )

    found = build_balancer(spec, [entry.format(folder=tmp_path)])

    assert await found.find(WEB1) == "up"
    program.unlink()
    with pytest.raises(BalancerUnavailable, match="has no program"):
        await found.find(WEB1)


def test_settings_name_what_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings().allow_commands == []
    monkeypatch.setenv("APOLLO_ALLOW_COMMANDS", '["lbctl drain", "/opt/lb/"]')
    assert Settings().allow_commands == ["lbctl drain", "/opt/lb/"]
    for wrong in ('[""]', '["lbctl \'x"]'):
        monkeypatch.setenv("APOLLO_ALLOW_COMMANDS", wrong)
        with pytest.raises(ValueError, match="allow_commands"):
            Settings()


# A slow word and its successor


@pytest.mark.parametrize(
    ("answer", "longest"),
    [
        (Answer(balancer="up", now=1000.0), FRESH + 30),
        (Answer(now=1000.0, state=HostState(Status.SERVING, since=999.5)), FRESH + 30),
        (Answer(now=1000.0, state=HostState(Status.SERVING, since=980.0)), FRESH + 30 + 1 - 20),
        (Answer(now=1000.0, state=HostState(Status.SERVING, since=900.0)), 0),
    ],
)
async def test_a_successor_waits_until_no_command_can_be_heard(
    monkeypatch: pytest.MonkeyPatch, answer: Answer, longest: float
) -> None:
    waited = [0.0]

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr("apollo.hosts.traffic.asyncio.sleep", sleep)
    root: HostRoot = None  # type: ignore[assignment]

    await Traffic(balancer(), WEB1, root).quiet(answer)

    assert sum(waited) == longest


# Whole turns


ASK = r"""
import socket, sys
with socket.socket(socket.AF_UNIX) as s:
    s.connect(sys.argv[1]); s.sendall(b"show servers state shop\n")
    print(b"".join(iter(lambda: s.recv(65536), b"")).decode())
"""


@dataclass
class Scene:
    """A host behind HAProxy, which is spoken to by commands alone."""

    bench: Bench
    haproxy: HaproxyServer
    folder: Path

    @property
    def name(self) -> str:
        return self.bench.host.name

    async def admin(self) -> str:
        """What HAProxy was told about the host, as it says itself."""
        return (await self.haproxy.admin())[self.name]

    def said(self) -> list[str]:
        """What the commands were asked for since last time."""
        file = self.haproxy.socket.with_name("said")
        lines = file.read_text().splitlines() if file.exists() else []
        file.unlink(missing_ok=True)
        return lines


@pytest.fixture
async def scene(tmp_path: Path, program: object) -> AsyncIterator[Scene]:
    assert callable(program)
    program("haproxy")
    async with SshFleet(tmp_path / "fleet", {"fra1": 1}) as fleet:
        (host,) = fleet.hosts
        async with HaproxyServer(tmp_path / "haproxy", {host.name: host.app_port}) as haproxy:
            common = f"{sys.executable} {LB} {haproxy.socket} shop/{{host}}"
            spec = {
                "drain": {"wait": "0s"},
                "command": {
                    **{act: f"{common} {act}" for act in ("find", "drain", "restore")},
                    "timeout": "10s",
                },
            }
            names = ("name", "location", "address", "port", "user")
            bench = Bench(
                tmp_path,
                Host(**{name: getattr(host, name) for name in names}),
                host.host_key,
                fleet.client_key,
                f"{host.folder}/shop",
                BalancerSpec.model_validate(spec),
                commands=[f"{sys.executable} {LB}"],
            )
            yield Scene(bench, haproxy, tmp_path)


@pytest.mark.parametrize("state", ["ready", "maint", "drain"])
async def test_a_turn_gives_the_host_back_as_it_was_found(scene: Scene, state: str) -> None:
    await scene.haproxy.command(f"set server shop/{scene.name} state {state}")
    seen = scene.folder / "seen"
    asks = f"{sys.executable} -c {shlex.quote(ASK)} {scene.haproxy.socket} >{seen}"
    release = await scene.bench.release("1", start=asks)

    record = await scene.bench.run(scene.bench.turn(release))

    assert record.outcome is Outcome.UPDATED
    assert await scene.admin() == state
    assert scene.said() == ["find", "drain", f"restore {state}"]
    while_it_started = int(seen.read_text().splitlines()[2].split()[6])
    assert while_it_started == {"ready": 8, "drain": 8, "maint": 1}[state]


async def test_an_attempt_that_takes_over_restores_what_the_journal_has(scene: Scene) -> None:
    """The first attempt dies after the drain; the second finds `drain`, and restores `ready`."""
    gate = scene.folder / "gate"
    gate.touch()
    waits = f"while [ -e {gate} ]; do sleep 0.05; done"
    turn = scene.bench.turn(await scene.bench.release("1", start=waits))
    first = scene.bench.process(turn)

    async def drained() -> bool:
        return await scene.admin() == "drain"

    await eventually(drained)
    first.process.kill()
    first.process.wait()
    assert scene.said() == ["find", "drain"]
    gate.unlink()

    assert (await scene.bench.run(turn, 2)).outcome is Outcome.UPDATED

    assert await scene.admin() == "ready"
    said = scene.said()
    assert "find" not in said
    assert said[-1] == "restore ready"


async def test_a_failing_restore_never_puts_a_healthy_host_back(scene: Scene) -> None:
    starts = f"cat version >>{scene.folder}/started"
    first = scene.bench.turn(await scene.bench.release("1", start=starts))
    assert (await scene.bench.run(first)).outcome is Outcome.UPDATED
    spec = scene.bench.balancer
    assert spec
    assert spec.command
    broken = spec.command.model_copy(
        update={"restore": f"{sys.executable} {LB} no.sock a/b restore"}
    )
    turn = scene.bench.turn(await scene.bench.release("2", start=starts))
    failing = turn.model_copy(update={"balancer": spec.model_copy(update={"command": broken})})

    with pytest.raises(BalancerFailed, match=r"balancer\.command\.restore .* exit 1") as caught:
        await scene.bench.run(failing)

    assert caught.value.retried
    assert await scene.admin() == "drain"
    assert (await scene.bench.run(turn, 2)).outcome is Outcome.UPDATED
    assert await scene.admin() == "ready"
    assert (scene.folder / "started").read_text() == "12"


async def test_a_turn_knows_the_variables_of_release_and_environment(scene: Scene) -> None:
    """Not only those that the inventory gives the host."""
    plain = await scene.bench.store.get_bytes(await scene.bench.release("1", start="true"))
    variables = {"BACKEND": "shop"}
    manifest = Manifest.model_validate_json(plain).model_copy(update={"variables": variables})
    digest = await scene.bench.store.put_bytes(manifest.canonical())
    assert scene.bench.balancer
    text = scene.bench.balancer.model_dump_json().replace("shop/{host}", "{BACKEND}/{host}")
    turn = scene.bench.turn(digest, balancer=BalancerSpec.model_validate_json(text))

    assert (await scene.bench.run(turn)).outcome is Outcome.UPDATED

    assert scene.said() == ["find", "drain", "restore ready"]


async def test_a_worker_that_may_not_run_them_leaves_the_host_alone(scene: Scene) -> None:
    turn = scene.bench.turn(await scene.bench.release("1", start="true"))
    scene.bench.commands = []

    with pytest.raises(BalancerUnavailable, match="APOLLO_ALLOW_COMMANDS"):
        await scene.bench.run(turn)

    assert scene.said() == []
    assert await scene.admin() == "ready"
    assert "current" not in os.listdir(scene.bench.root)
