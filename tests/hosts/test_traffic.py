"""The judges themselves: traffic loses nothing where it must not, and sees it where it is lost."""

import asyncio
from datetime import timedelta
from pathlib import Path

from apollo.balancers import BalancerTarget, until_drained
from apollo.balancers.haproxy import Haproxy
from apollo.local.caddy import CaddyServer
from apollo.local.judge import CapacitySampler, read_hook_log, repeated_hooks
from apollo.local.traffic import TrafficProcess
from apollo.testing.fleet import FleetHost
from tests.support.capacity import HaproxyView
from tests.support.haproxy import HaproxyServer
from tests.support.scene import Scene, eventually, serving, until_out

LOCATIONS = {"fra1": 2, "ams1": 2}
SLOWEST = 2.0


async def served(traffic: TrafficProcess, requests: int) -> None:
    """Wait until so many requests more were sent."""
    goal = traffic.report.sent + requests

    async def reached() -> bool:
        return traffic.report.sent >= goal

    await eventually(reached)


async def replace_behind_caddy(scene: Scene, caddy: CaddyServer, hosts: list[FleetHost]) -> None:
    view = caddy.view()
    for host in hosts:
        scene.online(host).unlink()
    await until_out(view, {host.name for host in hosts})
    await asyncio.sleep(SLOWEST + 0.5)
    await asyncio.gather(*(scene.replace(host, "1.0", "1.1") for host in hosts))
    for host in hosts:
        scene.online(host).touch()
    await until_out(view, set())


async def test_draining_by_the_health_file_loses_nothing(tmp_path: Path) -> None:
    async with (
        serving(tmp_path, LOCATIONS, "1.0", "1.1") as scene,
        CaddyServer(tmp_path / "caddy", scene.upstreams, interval="250ms") as caddy,
    ):
        await until_out(caddy.view(), set())
        async with (
            TrafficProcess(caddy.port) as traffic,
            CapacitySampler(caddy.view(), scene.locations) as sampler,
        ):
            await served(traffic, 100)
            first, second, third, fourth = scene.fleet.hosts
            await replace_behind_caddy(scene, caddy, [first, third])
            await replace_behind_caddy(scene, caddy, [second, fourth])
            await served(traffic, 100)

    report, capacity = traffic.report, sampler.capacity
    assert report.lost == []
    assert report.sent == sum(report.by_version.values()) > 400
    assert set(report.by_version) == {"1.0", "1.1"}
    assert set(report.by_host) == set(scene.upstreams)
    assert (capacity.in_fleet, dict(capacity.by_location)) == (2, {"fra1": 1, "ams1": 1})
    assert capacity.ever_out == set(scene.upstreams)
    assert capacity.out_now == frozenset()
    runs = read_hook_log(scene.artifacts / "hooks.log")
    assert [run.step for run in runs].count("stop") == 4
    assert set(repeated_hooks(runs)) == set()


async def test_a_host_that_is_killed_loses_requests(tmp_path: Path) -> None:
    """The control: the judges see a loss when there is one."""
    async with (
        serving(tmp_path, LOCATIONS, "1.0") as scene,
        CaddyServer(tmp_path / "caddy", scene.upstreams, interval="250ms") as caddy,
        TrafficProcess(caddy.port) as traffic,
        CapacitySampler(caddy.view(), scene.locations) as sampler,
    ):
        await served(traffic, 200)
        assert traffic.report.lost == []
        await scene.fleet.kill_processes("fra1-01")
        await until_out(caddy.view(), {"fra1-01"})
        await served(traffic, 100)

    assert traffic.report.lost
    assert sampler.capacity.by_location == {"fra1": 1}
    assert sampler.capacity.out_now == {"fra1-01"}


async def test_draining_by_the_runtime_api_loses_nothing(tmp_path: Path) -> None:
    async with (
        serving(tmp_path, LOCATIONS, "1.0", "1.1") as scene,
        HaproxyServer(tmp_path / "haproxy", scene.upstreams) as haproxy,
    ):
        balancer = Haproxy(haproxy.addresses[:1], ["shop"], "{host}", timedelta(seconds=30))
        view = HaproxyView(haproxy)
        await until_out(view, set())

        async def replace(host: FleetHost) -> None:
            target = BalancerTarget(host.name, host.location)
            found = await balancer.find(target)
            await balancer.drain(target)
            assert await until_drained(balancer, target)
            await scene.replace(host, "1.0", "1.1")
            await balancer.hold(target)
            await balancer.restore(target, found)

        async with (
            TrafficProcess(haproxy.port) as traffic,
            CapacitySampler(view, scene.locations) as sampler,
        ):
            await served(traffic, 100)
            first, second, third, fourth = scene.fleet.hosts
            await asyncio.gather(replace(first), replace(third))
            await until_out(view, set())
            await asyncio.gather(replace(second), replace(fourth))
            await until_out(view, set())
            await served(traffic, 100)

    assert traffic.report.lost == []
    assert set(traffic.report.by_version) == {"1.0", "1.1"}
    assert sampler.capacity.in_fleet == 2
    assert sampler.capacity.ever_out == set(scene.upstreams)
