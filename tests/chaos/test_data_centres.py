"""Two data centres with workers of their own; the line of one is cut while its hosts are at work.

The line is away for `APOLLO_CUT` seconds, 15 unless said; `make cut` takes a whole minute.
"""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from temporalio.api.workflow.v1 import PendingActivityInfo

from apollo.catalog.records import HostRow
from apollo.client import Apollo, DeploymentHandle
from apollo.domain.lending import PIECE
from apollo.domain.rollout import DeploymentResult
from apollo.files.environment import resolve
from apollo.files.project import load_project
from apollo.local.judge import HookRun, read_hook_log, repeated_hooks
from apollo.local.temporal import TemporalServer
from apollo.settings import Settings
from tests.support.data_centres import DataCentre, data_centres, leading_to
from tests.support.openssh import OpenSshFleet
from tests.support.scene import eventually

CUT = float(os.environ.get("APOLLO_CUT") or 15)
TAKEOVER = "3"
PATIENCE = 2400
"""Rounds of `eventually`: two minutes."""
PLACES = {"fra1": 2, "ams1": 2}
PROJECT = """
application: shop
release: {artifact: dist/}
setup:
  root: /srv/shop
  hooks: {install: bin/install, stop: bin/stop, start: bin/start}
environments:
  prod:
    fleet: {inventory: fleet.yaml}
    strategy: {waves: [100%], max_unavailable: 50%, max_unreachable: 100%}
pipeline: [prod]
"""
HOOK = """\
#!/bin/sh
printf '%s %s %s %s %s %s\\n' "$(date +%s.%N)" "$APOLLO_HOST" "$APOLLO_RELEASE" \\
    "$APOLLO_TURN" "${0##*/}" "$APOLLO_DEPLOYMENT" >>/srv/hooks.log
"""
GATED = "until [ -e /srv/gate ]; do sleep 0.1; done\n"


@dataclass
class Scene:
    """Temporal, a catalog and a control worker outside; hosts and their workers inside."""

    folder: Path
    apollo: Apollo
    centres: dict[str, DataCentre]
    fleet: OpenSshFleet
    lines: dict[str, str]
    """Where each data centre finds Temporal."""
    processes: "list[subprocess.Popen[bytes]]" = field(default_factory=list)

    async def apply(self, *, own_workers: bool = True) -> None:
        """Apply the environment."""
        lines = ["defaults: {user: root}", "locations:"]
        for centre in self.centres.values():
            lines += [f"  {centre.location}:"]
            lines += ["    own_workers: true"] if own_workers else []
            lines += ["    hosts:"]
            for host in centre.hosts:
                where = f'address: {host.address}, host_key: "{host.host_key}"'
                lines.append(f"      {host.name}: {{{where}}}")
        (self.folder / "fleet.yaml").write_text("\n".join(lines) + "\n")
        (self.folder / "apollo.yaml").write_text(PROJECT)
        self.project = load_project(self.folder)
        await self.apollo.apply(resolve(self.project, "prod"), ["prod"])

    async def release(self, version: str, *, gated: bool = False) -> None:
        """A release of several pieces, whose `start` may wait at the host's gate."""
        dist = self.folder / f"dist-{version}"
        (dist / "bin").mkdir(parents=True)
        for name in ("install", "stop", "start"):
            hook = dist / "bin" / name
            hook.write_text(HOOK + (GATED if gated and name == "start" else ""))
            hook.chmod(0o755)
        (dist / "large").write_bytes(os.urandom(2 * PIECE))
        await self.apollo.create_release("shop", version, self.project.setup, dist)

    def outside(self, role: str) -> "subprocess.Popen[bytes]":
        """A worker outside, which has the catalog, the store and the key."""
        environment = {
            **os.environ,
            "APOLLO_HOME": str(self.apollo.settings.home),
            "APOLLO_SSH_KEY": str(self.fleet.key),
            "APOLLO_TAKEOVER": TAKEOVER,
            "APOLLO_GRACE": "1",
        }
        command = [sys.executable, "-m", "apollo.cli", "worker", "--role", role]
        with (self.folder / f"worker-{role}.log").open("ab") as log:
            worker = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        self.processes.append(worker)
        return worker

    def inside(self, location: str) -> None:
        """The worker of a data centre."""
        environment = {
            "TEMPORAL_ADDRESS": self.lines[location],
            "APOLLO_SSH_KEY": str(self.fleet.key),
        }
        self.processes.append(self.centres[location].start_worker(self.folder, **environment))

    def ran(self, location: str, release: str) -> list[HookRun]:
        """The hooks that ran there, as the hosts themselves have it."""
        hosts = self.centres[location].hosts
        runs = [run for host in hosts for run in read_hook_log(host.disk / "hooks.log")]
        return [run for run in runs if run.release == release]

    async def type(self, *words: str) -> str:
        """What a command says on standard output."""
        command = (sys.executable, "-m", "apollo.cli", *words)
        home = {"APOLLO_HOME": str(self.apollo.settings.home), "COLUMNS": "200"}
        done = await asyncio.to_thread(
            subprocess.run, command, env={**os.environ, **home}, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def open_gates(self) -> None:
        """Let every `start` go on."""
        for host in self.fleet.hosts.values():
            (host.disk / "gate").touch()

    def end(self) -> None:
        """Stop all workers."""
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait(60)


@contextmanager
def connected_to(address: str) -> Iterator[None]:
    os.environ["TEMPORAL_ADDRESS"] = address
    try:
        yield
    finally:
        del os.environ["TEMPORAL_ADDRESS"]


@pytest.fixture(scope="module")
async def scene(
    tmp_path_factory: pytest.TempPathFactory, program: Callable[[str], str]
) -> AsyncIterator[Scene]:
    folder = tmp_path_factory.mktemp("centres")
    with data_centres(folder / "hosts", PLACES, program) as (centres, fleet):
        async with TemporalServer(folder / "temporal") as temporal:
            settings = Settings(home=folder / "home", identity="tester")
            with connected_to(temporal.address):
                async with (
                    leading_to(centres, temporal.address) as lines,
                    Apollo.connect(settings) as apollo,
                ):
                    scene = Scene(folder, apollo, centres, fleet, lines)
                    try:
                        await scene.apply()
                        scene.outside("control")
                        yield scene
                    finally:
                        await asyncio.to_thread(scene.end)


@dataclass
class Played:
    """What was seen, in this order."""

    alone: dict[str, str | None]
    """Host → outcome, when only fra1 had a worker and its hosts had ended."""
    said: str
    """`apollo status shop/prod` then."""
    polled: dict[str, bool]
    """Queue → whether anybody polls it, as `apollo workers` had it then."""
    healed: DeploymentResult
    under_way: dict[str, int]
    """Hooks that ran in each data centre when the line was cut."""
    meanwhile: dict[str, str | None]
    """Host → outcome, at the end of the cut."""
    attempts: dict[str, int]
    """Turns in ams1 that Temporal had missed by then: host → the attempt that it offers."""
    waiting: dict[str, str]
    """What `waits` says during the cut: location → for what."""
    second: list[HookRun]
    """What ran on ams1's other host until then; it was staged ahead."""
    result: DeploymentResult
    rows: dict[str, HostRow]


@pytest.fixture(scope="module")
async def played(scene: Scene) -> Played:
    await scene.release("1.0.0")
    scene.inside("fra1")
    first = await scene.apollo.deploy("shop", "prod", "1.0.0")
    await eventually(lambda: ended(first, "fra1"), rounds=PATIENCE)
    alone = await outcomes(first)
    await eventually(lambda: waiting(first), rounds=PATIENCE)
    said = await scene.type("status", "shop/prod")
    queues = json.loads(await scene.type("workers", "shop/prod", "--json"))["queues"]
    polled = {each["queue"]: each["polled"] for each in queues}
    scene.inside("ams1")
    healed = await first.result()

    await scene.release("2.0.0", gated=True)
    deployment = await scene.apollo.deploy("shop", "prod", "2.0.0")
    await eventually(lambda: started(scene, "2.0.0"), rounds=PATIENCE)
    under_way = {place: len(starts(scene, place, "2.0.0")) for place in PLACES}
    scene.centres["ams1"].cut()
    cut_at = time.monotonic()
    scene.open_gates()
    await eventually(lambda: ended(deployment, "fra1"), rounds=PATIENCE)
    await eventually(lambda: missed(deployment, "ams1"), rounds=PATIENCE)
    await eventually(lambda: waiting(deployment), rounds=PATIENCE)
    waits = {each.location: each.text for each in await deployment.waits()}
    await asyncio.sleep(max(0.0, cut_at + CUT - time.monotonic()))
    meanwhile, attempts = await outcomes(deployment), await offered(deployment)
    (begun,) = {run.host for run in starts(scene, "ams1", "2.0.0")}
    second = [run for run in scene.ran("ams1", "2.0.0") if run.host != begun]
    scene.centres["ams1"].heal()
    result = await deployment.result()
    rows = {row.host: row for row in await deployment.rows()}
    return Played(
        alone=alone,
        said=said,
        polled=polled,
        healed=healed,
        under_way=under_way,
        meanwhile=meanwhile,
        attempts=attempts,
        waiting=waits,
        second=second,
        result=result,
        rows=rows,
    )


async def waiting(deployment: DeploymentHandle) -> bool:
    return bool(await deployment.waits())


async def outcomes(deployment: DeploymentHandle) -> dict[str, str | None]:
    return {row.host: row.outcome for row in await deployment.rows()}


async def ended(deployment: DeploymentHandle, location: str) -> bool:
    rows = [row for row in await deployment.rows() if row.location == location]
    return bool(rows) and all(row.outcome for row in rows)


def starts(scene: Scene, location: str, release: str) -> list[HookRun]:
    return [run for run in scene.ran(location, release) if run.step == "start"]


async def started(scene: Scene, release: str) -> bool:
    """Whether a host in each data centre is in its `start`."""
    return all(starts(scene, place, release) for place in PLACES)


async def turns(deployment: DeploymentHandle) -> dict[str, PendingActivityInfo]:
    """The turns that Temporal has under way: host → what it knows of them."""
    client = await deployment.apollo.temporal()
    found = {}
    async for each in client.list_workflows("WorkflowType = 'Batch'"):
        if each.id.startswith(deployment.workflow_id):
            told = await client.get_workflow_handle(each.id).describe()
            for one in told.raw_description.pending_activities:
                if one.activity_id.startswith("turn:"):
                    found[one.activity_id.split(":")[1]] = one
    return found


async def offered(deployment: DeploymentHandle) -> dict[str, int]:
    return {host: one.attempt for host, one in (await turns(deployment)).items()}


async def missed(deployment: DeploymentHandle, location: str) -> bool:
    """Whether Temporal has heard no more of a turn there."""
    return any(
        host.startswith(location) and one.attempt > 1
        for host, one in (await turns(deployment)).items()
    )


def test_without_a_worker_only_that_location_waits_and_it_heals_by_itself(played: Played) -> None:
    assert played.alone == {
        "fra1-1": "updated",
        "fra1-2": "updated",
        "ams1-1": None,
        "ams1-2": None,
    }
    command = "apollo worker --role hosts --locations ams1"
    assert f"no worker polls apollo-hosts-ams1 ({command})" in played.said
    assert "fra1:" not in played.said
    assert played.polled == {
        "apollo": True,
        "apollo-hosts-ams1": False,
        "apollo-hosts-fra1": True,
    }
    assert (played.healed.state, played.healed.outcomes) == ("succeeded", {"updated": 4})


def test_a_worker_inside_needs_neither_catalog_nor_store(played: Played, scene: Scene) -> None:
    """Both releases came through Temporal, by the piece, and were kept."""
    for location in PLACES:
        home = scene.folder / f"home-{location}"
        assert not (home / "store").exists()
        assert not (home / "catalog.db").exists()
        sizes = [place.stat().st_size for place in (home / "lent").glob("??/*")]
        assert sum(size > 2 * PIECE for size in sizes) == 2


def test_the_cut_cuts_turns_in_flight_and_only_its_hosts_wait(played: Played) -> None:
    assert played.under_way == {"fra1": 1, "ams1": 1}
    assert played.meanwhile == {
        "fra1-1": "updated",
        "fra1-2": "updated",
        "ams1-1": None,
        "ams1-2": None,
    }
    assert max(played.attempts.values()) > 1
    assert set(played.waiting) == {"ams1"}
    assert "its line is cut" in played.waiting["ams1"]
    assert [run.step for run in played.second] == ["install"]


def test_nothing_is_lost_and_nothing_is_repeated(played: Played, scene: Scene) -> None:
    """Counted on the hosts."""
    assert (played.result.state, played.result.outcomes) == ("succeeded", {"updated": 4})
    for location in PLACES:
        runs = scene.ran(location, "2.0.0")
        assert repeated_hooks(runs) == {}
        steps = Counter((run.host, run.step) for run in runs)
        names = [host.name for host in scene.centres[location].hosts]
        assert steps == {(name, step): 1 for name in names for step in ("install", "start")}
        stopped = [run.host for run in scene.ran(location, "1.0.0") if run.step == "stop"]
        assert sorted(stopped) == names
    attempts = {name: row.record.attempts for name, row in played.rows.items() if row.record}
    assert (attempts["fra1-1"], attempts["fra1-2"]) == (1, 1)
    assert max(attempts["ams1-1"], attempts["ams1-2"]) > 1


async def test_the_control_without_its_journal_a_hook_runs_twice(
    played: Played, scene: Scene
) -> None:
    """It is the journal on the host that keeps a cut from repeating a hook."""
    await scene.release("3.0.0", gated=True)
    for host in scene.fleet.hosts.values():
        (host.disk / "gate").unlink(missing_ok=True)
    (scene.fleet.hosts["fra1-1"].disk / "gate").touch()
    (scene.fleet.hosts["fra1-2"].disk / "gate").touch()
    deployment = await scene.apollo.deploy("shop", "prod", "3.0.0")
    await eventually(lambda: started(scene, "3.0.0"), rounds=PATIENCE)
    (begun,) = starts(scene, "ams1", "3.0.0")
    scene.centres["ams1"].cut()
    await eventually(lambda: missed(deployment, "ams1"), rounds=PATIENCE)
    shutil.rmtree(scene.fleet.hosts[begun.host].disk / "shop" / ".apollo")
    scene.centres["ams1"].heal()

    async def twice() -> bool:
        return sum(run.host == begun.host for run in starts(scene, "ams1", "3.0.0")) == 2

    await eventually(twice, rounds=PATIENCE)
    scene.open_gates()
    await deployment.result()


async def test_the_control_without_own_workers_nobody_reaches_its_hosts(scene: Scene) -> None:
    """Its line leads to Temporal alone: what reaches its hosts runs inside."""
    await scene.apply(own_workers=False)
    scene.outside("hosts")
    await scene.release("4.0.0")
    deployment = await scene.apollo.deploy("shop", "prod", "4.0.0")

    async def tried() -> bool:
        """Whether a host in each has been tried; the others may have to wait for it."""
        rows = await deployment.rows()
        return {row.location for row in rows if row.error == "ConnectFailed"} == set(PLACES)

    await eventually(tried, rounds=PATIENCE)
    assert set((await outcomes(deployment)).values()) <= {"unreachable", None}
    assert all(scene.ran(place, "4.0.0") == [] for place in PLACES)
