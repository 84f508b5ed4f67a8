"""Twelve hosts go to a new release under traffic, behind two real balancers.

Requests are judged at the clients, capacity at the balancer, hooks by what they wrote themselves;
clients and balancers never retry.
"""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

from apollo.domain.status import DeploymentState
from tests.support.capacity import HaproxyView
from tests.support.haproxy import HaproxyServer
from tests.support.show import FILE, Show, Watched

QUARTER = "strategy: {max_unavailable: 25%}"
IN_FLEET, IN_LOCATION = 3, 1
STEPS = ("install", "stop", "start", "validate")


def assert_nothing_was_lost(watched: Watched, old: str, new: str) -> None:
    assert watched.result.state is DeploymentState.SUCCEEDED
    assert watched.report.lost == []
    assert sum(watched.report.by_version.values()) == watched.report.sent
    assert set(watched.report.by_version) == {old, new}


def assert_within_the_allowance(show: Show, watched: Watched) -> None:
    capacity = watched.capacity
    assert capacity.ever_out == set(show.places)
    assert capacity.in_fleet <= IN_FLEET
    assert all(count <= IN_LOCATION for count in capacity.by_location.values())


async def assert_done_once(show: Show, watched: Watched, new: str) -> None:
    assert set((await show.versions()).values()) == {new}
    ran = Counter((run.host, run.turn, run.step) for run in show.hooks(watched.result))
    assert ran == {(host, "1", step): 1 for host in show.places for step in STEPS}


async def test_behind_caddy(show: Show) -> None:
    old, new = await show.serving(), await show.release()
    await show.world.apply(f"{FILE}\n    {QUARTER}")
    watched = await show.deploy_under_traffic(new)

    assert_nothing_was_lost(watched, old, new)
    assert_within_the_allowance(show, watched)
    await assert_done_once(show, watched, new)


async def test_behind_haproxy(show: Show, program: Callable[[str], str], tmp_path: Path) -> None:
    program("haproxy")
    old, new = await show.serving(), await show.release()
    upstreams = {host.name: host.app_port for host in show.world.fleet.hosts}
    async with HaproxyServer(tmp_path / "haproxy", upstreams) as haproxy:
        at = f'haproxy: {{at: ["{haproxy.addresses[0]}"], backends: [shop]}}'
        await show.world.apply(f"balancer: {{drain: {{wait: 5s}}, {at}}}\n    {QUARTER}")
        watched = await show.deploy_under_traffic(new, haproxy.port, HaproxyView(haproxy))

    assert_nothing_was_lost(watched, old, new)
    assert_within_the_allowance(show, watched)
    await assert_done_once(show, watched, new)


async def test_without_a_drain_requests_are_lost(show: Show) -> None:
    """The control: it is the drain that loses nothing."""
    await show.serving()
    new = await show.release()
    await show.world.apply(QUARTER)
    watched = await show.deploy_under_traffic(new)

    assert watched.result.state is DeploymentState.SUCCEEDED
    assert watched.report.lost


async def test_without_lanes_capacity_is_exceeded(show: Show) -> None:
    """The control: it is the lanes that keep hosts in service."""
    await show.serving()
    new = await show.release()
    await show.world.apply(f"{FILE}\n    strategy: {{max_unavailable: 100%}}")
    watched = await show.deploy_under_traffic(new)

    assert watched.result.state is DeploymentState.SUCCEEDED
    assert watched.capacity.in_fleet > IN_FLEET
    assert all(count > IN_LOCATION for count in watched.capacity.by_location.values())
