"""The examples, used as people use them, on OpenSSH hosts: deployed, upgraded, broken, rolled back."""

import asyncio
import hmac
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from apollo.local.process import find_program
from apollo.local.temporal import TemporalServer
from tests.support.openssh import PORT, OpenSshFleet, OpenSshHost, openssh_fleet

EXAMPLES = Path(__file__).parents[2] / "examples"
KEY = """it's a "key" with $HOME, `id`, \\n and \\ in it"""
ROLLED_BACK = 4


@dataclass(frozen=True)
class Example:
    """What a test has to know of one."""

    name: str
    source: str
    breakage: tuple[str, str]
    """What makes its third version bad."""
    step: str
    """Where Apollo notices."""
    needs: tuple[str, ...] = ()
    boot: str = ""
    """What its hosts' process 1 starts, as the example's README says."""


RUNIT = "mkdir -p /srv/services && { runsvdir -P /srv/services & }"
SHOWN = [
    Example(
        "python", "app/server.py", ('"/health"', '"/nothing"'), "start", ("python3", "sv"), RUNIT
    ),
    Example("java", "Greeter.java", ("getenv", "getProperty"), "start", ("make", "jar", "java")),
    Example("ruby", "server.rb", ("request.path ==", "request.pfad =="), "validate", ("ruby",)),
    Example("static", "public/index.html", ("about.html", "abuot.html"), "install"),
    Example(
        "native",
        "greeter.c",
        ('strncmp(request, "GET /health ", 12) == 0', "0"),
        "start",
        ("make", "gcc", "start-stop-daemon"),
    ),
]
BY_NAME = {example.name: example for example in SHOWN}


@dataclass
class Used:
    """A copy of an example, in the hands of somebody who types."""

    example: Example
    folder: Path
    hosts: list[OpenSshHost]
    environment: Mapping[str, str]
    served: dict[str, list[str]] = field(default_factory=dict)
    """Release → what each host answered when its deployment had ended."""
    said: dict[str, str] = field(default_factory=dict)

    def prepare(self) -> None:
        """Copy what lies in the repository; only the machines are the test's."""
        left_out = shutil.ignore_patterns("dist", "build", "__pycache__")
        shutil.copytree(EXAMPLES / self.example.name, self.folder, ignore=left_out)
        lines = ["defaults: {user: root}", "locations:", "  lab1:", "    hosts:"]
        for host in self.hosts:
            key = f'host_key: "{host.host_key}"'
            lines.append(f"      {host.name}: {{address: {host.address}, {key}}}")
        (self.folder / "hosts.yaml").write_text("\n".join(lines) + "\n")

    async def live(self) -> None:
        """Three releases, of which the last is bad."""
        await self.run("check")
        await self.run("apply", "prod", "--yes")
        await self.release("1.0")
        self.edit("1.0", "2.0")
        self.edit("Hello", "Welcome")
        await self.release("2.0")
        self.edit("2.0", "3.0")
        self.edit(*self.example.breakage)
        await self.release("3.0", ROLLED_BACK)

    async def release(self, version: str, code: int = 0) -> None:
        await self.run("release", "create", version)
        await self.run("deploy", "prod", version, "--yes", code=code)
        self.served[version] = [ask(host) for host in self.hosts]

    def edit(self, old: str, new: str) -> None:
        path = self.folder / self.example.source
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    async def run(self, *command: str, code: int = 0) -> None:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "apollo.cli", *command),
            cwd=self.folder,
            env=self.environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        out, _ = await process.communicate()
        words = " ".join(command)
        self.said[words] = out.decode()
        assert process.returncode == code, f"{self.example.name}: {words}: {self.said[words]}"


def ask(host: OpenSshHost, path: str = "/") -> str:
    """What the application answers, asked inside its host; nothing when nothing listens."""
    url = f"http://127.0.0.1:{PORT}{path}"
    return host.inside(f"curl --silent --fail {url} || true").strip()


@pytest.fixture(scope="module")
def fleet(
    tmp_path_factory: pytest.TempPathFactory, program: Callable[[str], str]
) -> Iterator[OpenSshFleet]:
    program("curl")
    boot = {f"{each.name}{number}": each.boot for each in SHOWN for number in (1, 2)}
    boot["bare"] = RUNIT
    caddy = f"{find_program('caddy')} run --config {EXAMPLES / 'static' / 'Caddyfile'} &"
    boot |= {"static1": caddy, "static2": caddy}
    folder = tmp_path_factory.mktemp("examples")
    with openssh_fleet(folder / "hosts", list(boot), program, boot=boot) as made:
        yield made


@pytest.fixture(scope="module")
async def environment(fleet: OpenSshFleet) -> AsyncIterator[Mapping[str, str]]:
    """What `apollo` finds in its environment; Temporal and a worker are there."""
    folder = fleet.folder.parent
    async with TemporalServer(folder / "temporal") as temporal:
        found = {
            **os.environ,
            "TEMPORAL_ADDRESS": temporal.address,
            "APOLLO_HOME": str(folder / "home"),
            "APOLLO_SSH_KEY": str(fleet.key),
        }
        with (folder / "worker.log").open("wb") as log:
            worker = subprocess.Popen(
                [sys.executable, "-m", "apollo.workers"],
                env={**found, "APOLLO_GRACE": "1", "APOLLO_SECRET_SIGNING_KEY": KEY},
                stdout=log,
                stderr=log,
            )
        try:
            yield found
        finally:
            worker.terminate()
            worker.wait()


@pytest.fixture(scope="module")
async def used(fleet: OpenSshFleet, environment: Mapping[str, str]) -> dict[str, Used]:
    """Every example whose programs are here, side by side."""
    found: dict[str, Used] = {}
    for example in SHOWN:
        if all(shutil.which(need) for need in example.needs):
            hosts = [fleet.hosts[f"{example.name}{number}"] for number in (1, 2)]
            folder = fleet.folder.parent / example.name
            found[example.name] = Used(example, folder, hosts, environment)
    for each in found.values():
        each.prepare()
    await asyncio.gather(*(each.live() for each in found.values()))
    return found


def find(used: dict[str, Used], name: str, program: Callable[[str], str]) -> Used:
    """The example; without its programs the test skips, or fails where they are required."""
    for need in BY_NAME[name].needs:
        program(need)
    return used[name]


@pytest.mark.parametrize("name", BY_NAME)
def test_it_is_deployed_upgraded_broken_and_rolled_back(
    used: dict[str, Used], name: str, program: Callable[[str], str]
) -> None:
    each = find(used, name, program)

    first, second, third = (each.served[version] for version in ("1.0", "2.0", "3.0"))
    assert all("Hello from version 1.0" in answer for answer in first)
    assert all("Welcome from version 2.0" in answer for answer in second)
    assert third == second
    assert len(third) == 2


@pytest.mark.parametrize("name", BY_NAME)
async def test_it_is_told_what_was_bad(
    used: dict[str, Used], name: str, program: Callable[[str], str]
) -> None:
    each = find(used, name, program)
    await each.run("show", "prod#3")

    story = each.said["show prod#3"]
    assert "3.0" in story
    assert re.search(rf"\b{each.example.step}\b", story), story


@pytest.mark.parametrize("name", BY_NAME)
def test_it_is_short(name: str) -> None:
    folder = EXAMPLES / name

    assert len((folder / "apollo.yaml").read_text().splitlines()) <= 30
    assert 10 <= len((folder / "README.md").read_text().splitlines()) <= 24


def answered(host: OpenSshHost, path: str) -> str:
    """What a host answers soon after its boot."""
    for _ in range(100):
        if said := ask(host, path):
            return said
        time.sleep(0.1)
    return ""


async def test_a_reboot_brings_it_back_with_its_secret_under_a_supervisor(
    used: dict[str, Used], fleet: OpenSshFleet, program: Callable[[str], str]
) -> None:
    each = find(used, "python", program)
    host = each.hosts[0]
    proof = hmac.new(KEY.encode(), b"2.0", "sha256").hexdigest()
    assert ask(host, "/signature") == proof

    host.kill()
    host.start()

    assert answered(host, "/signature") == proof
    bare = bare_copy(each, fleet)
    await bare.run("apply", "prod", "--yes")
    await bare.release("1.0")
    (alone,) = bare.hosts
    alone.reboot()
    assert answered(alone, "/signature") == "no key", "the control: no env_file"


def bare_copy(each: Used, fleet: OpenSshFleet) -> Used:
    """The same example without its env file, on a host of its own."""
    folder = each.folder.with_name("bare")
    bare = Used(each.example, folder, [fleet.hosts["bare"]], each.environment)
    bare.prepare()
    path = folder / "apollo.yaml"
    text = re.sub("^  env_file.*\n", "", path.read_text(), flags=re.MULTILINE)
    path.write_text(text.replace("application: python-service", "application: bare"))
    return bare


def test_without_a_supervisor_a_reboot_leaves_it_down(
    used: dict[str, Used], program: Callable[[str], str]
) -> None:
    """The control of the supervisor."""
    each = find(used, "native", program)
    host = each.hosts[0]
    assert ask(host)

    host.reboot()
    time.sleep(2)

    assert ask(host) == ""
