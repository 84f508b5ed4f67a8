"""The examples on OpenSSH hosts, as people use them: deployed, upgraded, broken, rolled back."""

import asyncio
import hmac
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from apollo.cli.build import create_release
from apollo.client import Apollo
from apollo.domain.status import DeploymentState
from apollo.files.environment import resolve
from apollo.files.project import load_project
from apollo.local.process import find_program
from apollo.local.temporal import TemporalServer
from apollo.settings import Settings
from tests.support.openssh import PORT, OpenSshFleet, OpenSshHost, openssh_fleet

EXAMPLES = Path(__file__).parents[2] / "examples"
KEY = """it's a "key" with $HOME, `id`, \\n and \\ in it"""


PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"


@dataclass(frozen=True)
class Example:
    """What a test has to know of one."""

    name: str
    source: str
    breakage: tuple[str, str] | None
    """What makes its third version bad; without it the source is missing."""
    step: str
    """Where Apollo notices."""
    needs: tuple[str, ...] = ()
    boot: str = ""
    """What its hosts' process 1 starts, as the example's README says."""


RUNIT = "mkdir -p /srv/services && { runsvdir -P /srv/services & }"
SHOWN = [
    Example(
        "python", "app/server.py", ('"/health"', '"/nothing"'), "verify", ("python3", "sv"), RUNIT
    ),
    Example("java", "Greeter.java", ("getenv", "getProperty"), "verify", ("make", "jar", "java")),
    Example("ruby", "server.rb", ("request.path ==", "request.pfad =="), "validate", ("ruby",)),
    Example("static", "public/index.html", None, "verify"),
    Example(
        "native",
        "greeter.c",
        ('strncmp(request, "GET /health ", 12) == 0', "0"),
        "verify",
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
    apollo: Apollo
    served: dict[str, list[str]] = field(default_factory=dict)
    """Release → what each host answered when its deployment had ended."""
    ended: dict[str, DeploymentState] = field(default_factory=dict)
    failed: dict[str, set[str]] = field(default_factory=dict)
    """Release → the steps in which a host's turn failed."""

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
        await self.apply()
        await self.release("1.0")
        self.edit("1.0", "2.0")
        self.edit("Hello", "Welcome")
        await self.release("2.0")
        self.edit("2.0", "3.0")
        if self.example.breakage:
            self.edit(*self.example.breakage)
        else:
            (self.folder / self.example.source).unlink()
        await self.release("3.0")

    async def apply(self) -> None:
        project = load_project(self.folder)
        await self.apollo.apply(resolve(project, "prod"), project.pipeline)

    async def release(self, version: str) -> None:
        """Build, pack and deploy, as `apollo release create` and `apollo deploy` do."""
        project = load_project(self.folder)
        release = await create_release(self.apollo, project, version)
        deployment = await self.apollo.deploy(release.application, "prod", version)
        self.ended[version] = (await deployment.result()).state
        status = await deployment.status()
        assert status
        self.failed[version] = {
            row.record.step for row in status.rows if row.record and row.record.error
        }
        self.served[version] = [ask(host) for host in self.hosts]

    def edit(self, old: str, new: str) -> None:
        path = self.folder / self.example.source
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))


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
async def apollo(fleet: OpenSshFleet) -> AsyncIterator[Apollo]:
    """A client; Temporal and a worker, which alone knows the key, are there."""
    folder = fleet.folder.parent
    home = folder / "home"
    async with TemporalServer(folder / "temporal") as temporal:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TEMPORAL_ADDRESS", temporal.address)
            worker = start_worker(folder, home, fleet)
            try:
                async with Apollo.connect(Settings(home=home, identity="tester")) as connected:
                    yield connected
            finally:
                worker.terminate()
                worker.wait()


def start_worker(folder: Path, home: Path, fleet: OpenSshFleet) -> "subprocess.Popen[bytes]":
    environment = {
        **os.environ,
        "APOLLO_HOME": str(home),
        "APOLLO_SSH_KEY": str(fleet.key),
        "APOLLO_GRACE": "1",
        "APOLLO_SECRET_SIGNING_KEY": KEY,
    }
    with (folder / "worker.log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "apollo.workers"], env=environment, stdout=log, stderr=log
        )


@pytest.fixture(scope="module")
async def used(fleet: OpenSshFleet, apollo: Apollo) -> dict[str, Used]:
    """Every example whose programs are here, side by side."""
    found: dict[str, Used] = {}
    for example in SHOWN:
        if all(shutil.which(need, path=PATH) for need in example.needs):
            hosts = [fleet.hosts[f"{example.name}{number}"] for number in (1, 2)]
            folder = fleet.folder.parent / example.name
            found[example.name] = Used(example, folder, hosts, apollo)
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
    assert list(each.ended.values()) == ["succeeded", "succeeded", "rolled_back"]
    assert list(each.failed.values()) == [set(), set(), {each.example.step}]


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
    await bare.apply()
    await bare.release("1.0")
    (alone,) = bare.hosts
    alone.reboot()
    assert answered(alone, "/signature") == "no key", "the control: no env_file"


def bare_copy(each: Used, fleet: OpenSshFleet) -> Used:
    """The same example without its env file, on a host of its own."""
    folder = each.folder.with_name("bare")
    bare = Used(each.example, folder, [fleet.hosts["bare"]], each.apollo)
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


def test_the_sites_check_of_links_finds_a_dead_one(tmp_path: Path) -> None:
    folder = shutil.copytree(EXAMPLES / "static", tmp_path / "static")
    good = subprocess.run("bin/links", cwd=folder, capture_output=True, text=True)
    page = folder / "public" / "index.html"
    page.write_text(page.read_text().replace("about.html", "abuot.html"))
    bad = subprocess.run("bin/links", cwd=folder, capture_output=True, text=True)

    assert (good.returncode, good.stdout) == (0, "")
    assert (bad.returncode, bad.stdout) == (1, "./index.html: abuot.html leads nowhere\n")


@pytest.mark.parametrize("name", BY_NAME)
def test_check_finds_no_mistake(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "apollo.cli", "check"],
        cwd=EXAMPLES / name,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stderr
    assert "no mistakes" in done.stdout + done.stderr
