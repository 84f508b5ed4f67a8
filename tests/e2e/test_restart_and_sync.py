"""Restarts, new configuration and hosts that return: real hosts, hooks counted by themselves."""

import asyncio
import json
import os
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from urllib.request import urlopen

import pytest

from apollo.client import DeploymentHandle
from apollo.domain.rollout import DeploymentResult
from apollo.domain.status import DeploymentState, Serving
from apollo.files.environment import resolve
from apollo.local.caddy import CaddyServer
from apollo.testing.fleet import FleetHost
from tests.support.scene import eventually, until_out
from tests.support.show import FILE, HASTY, Show
from tests.support.world import World

HALF = "strategy: {waves: [100%], max_unavailable: 50%}"
QUICK = "strategy: {waves: [100%], max_unavailable: 100%}"
FILES = "files: {config/colour: {from: colour}}"


@pytest.fixture(scope="module")
async def show(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Show]:
    """Four hosts in two locations that serve one release."""
    folder = tmp_path_factory.mktemp("restart")
    async with World(folder, {"fra1": 2, "ams1": 2}) as world:
        upstreams = {host.name: host.app_port for host in world.fleet.hosts}
        async with CaddyServer(folder / "caddy", upstreams) as caddy:
            world.start_worker()
            show = Show(world, caddy)
            await show.serving()
            yield show


async def restart(show: Show) -> DeploymentResult:
    return await (await show.world.apollo.restart("shop", "prod")).result()


async def restart_with_a_kill(show: Show) -> DeploymentResult:
    """A restart whose worker is killed when the first hook runs."""
    before = len(show.world.hooks())
    running = asyncio.create_task(restart(show))

    async def begun() -> bool:
        return len(show.world.hooks()) > before

    await eventually(begun)
    show.world.kill_worker()
    show.world.start_worker()
    return await running


async def sync(show: Show) -> DeploymentResult:
    return await (await show.world.apollo.sync("shop", "prod")).result()


async def synced_by_itself(show: Show) -> DeploymentResult:
    """What a schedule brings, without a command."""
    catalog = show.world.apollo.catalog
    before = len(await catalog.deployments.list("shop", "prod"))
    await show.world.apollo.schedules.sync_every("shop", "prod", "10s")

    async def begun() -> bool:
        return len(await catalog.deployments.list("shop", "prod")) > before

    await eventually(begun)
    newest, *_ = await catalog.deployments.list("shop", "prod", limit=1)
    assert newest.kind == "sync"
    result = await DeploymentHandle(show.world.apollo, newest.workflow_id).result()
    await show.world.apollo.schedules.delete("shop", "sync-prod")
    return result


async def looked(show: Show) -> dict[str, tuple[str, str]]:
    drift = await show.world.apollo.look("shop", "prod")
    return {each.host: (str(each.finding), each.runs) for each in drift.found}


async def apply(show: Show, hosts: Sequence[str], **variables: str) -> None:
    """Apply the environment with these hosts only; the first has these variables."""
    resolved = resolve(show.world.project, "prod")
    kept = [host for host in resolved.fleet.hosts if host.name in hosts]
    more = {"variables": {**kept[0].variables, **variables}}
    kept[0] = kept[0].model_copy(update=more)
    fleet = resolved.fleet.model_copy(update={"hosts": tuple(kept)})
    resolved = resolved.model_copy(update={"fleet": fleet})
    await show.world.apollo.catalog.environments.apply(resolved, ["prod"], "tester")


def root(host: FleetHost) -> Path:
    return Path(host.folder) / "shop"


async def processes(show: Show) -> dict[str, int]:
    """The application's process on each host."""

    def pid(host: FleetHost) -> int:
        with urlopen(f"http://127.0.0.1:{host.app_port}/", timeout=20) as answer:
            return int(json.load(answer)["pid"])

    return {host.name: await asyncio.to_thread(pid, host) for host in show.world.fleet.hosts}


def hooks_once(show: Show, result: DeploymentResult, hosts: Sequence[str], *steps: str) -> None:
    """These hooks ran once on each of these hosts, and no others did anywhere."""
    ran = Counter((run.host, run.turn, run.step) for run in show.hooks(result))
    assert ran == {(host, "1", step): 1 for host in hosts for step in steps}


async def test_a_restart_under_traffic_loses_no_request(show: Show) -> None:
    """Nor is a hook repeated, though the worker is killed in the middle of a turn."""
    old = await show.serving()
    await show.world.apply(f"{FILE}\n    {HALF}")
    before = await processes(show)
    links = {host.name: os.lstat(root(host) / "current") for host in show.world.fleet.hosts}
    watched = await show.under_traffic(restart_with_a_kill(show))

    assert watched.result.state is DeploymentState.SUCCEEDED
    assert watched.result.outcomes == {"updated": 4}
    number = int(watched.result.label.partition("#")[2])
    stored = await show.world.apollo.catalog.deployments.get("shop", "prod", number)
    rows = await show.world.apollo.catalog.plans.rows(stored.uuid)
    assert any(row.record and row.record.attempts > 1 for row in rows)
    assert watched.report.lost == []
    assert set(watched.report.by_version) == {old}
    assert watched.capacity.ever_out == set(show.places)
    assert watched.capacity.in_fleet <= 2
    hooks_once(show, watched.result, list(show.places), "stop", "start", "validate")
    after = await processes(show)
    assert all(after[host] != before[host] for host in show.places)
    for host in show.world.fleet.hosts:
        now = os.lstat(root(host) / "current")
        assert (now.st_ino, now.st_mtime_ns) == (
            links[host.name].st_ino,
            links[host.name].st_mtime_ns,
        )


async def test_without_a_drain_a_restart_loses_requests(show: Show) -> None:
    """The control: it is the drain that loses nothing."""
    await show.serving()
    await show.world.apply(QUICK)
    watched = await show.under_traffic(restart(show))

    assert watched.result.state is DeploymentState.SUCCEEDED
    assert watched.report.lost


async def test_current_brings_new_configuration_to_those_it_changes(show: Show) -> None:
    """A variable of one host, and a file that is made with it."""
    version = await show.serving()
    (show.world.folder / "colour").write_text("${COLOUR}\n")
    await show.world.apply(f"variables: {{COLOUR: red}}\n    {FILES}\n    {QUICK}")
    assert (await show.world.deploy("current")).outcomes == {"updated": 4}
    first, *others = list(show.places)
    await apply(show, list(show.places), COLOUR="blue")
    result = await show.world.deploy("current")

    assert (result.release, result.outcomes) == (version, {"updated": 1, "current": 3})
    hooks_once(show, result, [first], "install", "stop", "start", "validate")
    colours = {
        host.name: (root(host) / "current" / "config" / "colour").read_text().strip()
        for host in show.world.fleet.hosts
    }
    assert colours == {first: "blue", **dict.fromkeys(others, "red")}


async def test_new_hosts_and_one_rebuilt_from_nothing_are_brought(show: Show) -> None:
    version = await show.serving()
    await show.world.apply(f"{HASTY}\n    {QUICK}")
    hosts = {host.name: host for host in show.world.fleet.hosts}
    kept, wiped, *new = hosts
    await apply(show, [kept, wiped])
    assert (await show.world.deploy("current")).state is DeploymentState.SUCCEEDED
    for name in (wiped, *new):
        await show.world.fleet.kill_processes(name)
        shutil.rmtree(root(hosts[name]))
    await show.world.apollo.catalog.hosts.forget("shop", "prod", new, "tester")
    await apply(show, list(hosts))

    known = await show.world.apollo.hosts("shop", "prod")
    assert (known[wiped].serving, known[wiped].release) == (Serving.SERVING, version)
    assert await looked(show) == {
        kept: ("current", version),
        wiped: ("drifted", "nothing"),
        **dict.fromkeys(new, ("new", "nothing")),
    }
    assert not any(root(hosts[name]).exists() for name in (wiped, *new)), "a look leaves no trace"

    result = await synced_by_itself(show)
    assert (result.release, result.outcomes) == (version, {"updated": 3})
    hooks_once(show, result, [wiped, *new], "install", "start", "validate")
    assert set((await show.versions()).values()) == {version}
    await until_out(show.caddy.view(), set())
    assert set((await looked(show)).values()) == {("current", version)}
    assert (await sync(show)).detail == f"nothing to do: 4 hosts run {version}"


async def test_a_host_with_nothing_on_it_is_not_restarted(show: Show) -> None:
    await show.serving()
    await show.world.apply(f"{QUICK[:-1]}, max_unreachable: 1}}")
    host = show.world.fleet.hosts[0]
    await show.world.fleet.kill_processes(host.name)
    shutil.rmtree(root(host))
    result = await restart(show)

    assert result.outcomes == {"updated": 3, "unreachable": 1}
    assert result.errors == {"NothingRuns": 1}
    assert (await looked(show))[host.name] == ("missed", "nothing")
    assert (await sync(show)).outcomes == {"updated": 1}
