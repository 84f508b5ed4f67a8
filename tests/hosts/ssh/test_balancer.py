"""HAProxy's admin socket on a machine that the worker reaches by SSH only."""

from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from apollo.balancers import BalancerTarget, Lines, until_drained
from apollo.balancers.haproxy import Haproxy
from apollo.errors import BalancerFailed
from tests.support.haproxy import HaproxyServer
from tests.support.openssh import OpenSshFleet, OpenSshHost, openssh_fleet

WEB1 = BalancerTarget("web1", "fra1", {"LB": "lb1"})
STREAMS = "AllowStreamLocalForwarding"


@pytest.fixture(scope="module")
def fleet(
    tmp_path_factory: pytest.TempPathFactory, program: Callable[[str], str]
) -> Iterator[OpenSshFleet]:
    with openssh_fleet(tmp_path_factory.mktemp("balancer"), ["lb1"], program) as fleet:
        yield fleet


@pytest.fixture
def lb1(fleet: OpenSshFleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OpenSshHost:
    """The balancer's machine, whose key the worker knows."""
    found = fleet.hosts["lb1"]
    folder = tmp_path / ".ssh"
    folder.mkdir()
    (folder / "known_hosts").write_text(f"{found.address} {found.host_key}\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    return found


@pytest.fixture
async def haproxy(
    tmp_path: Path, lb1: OpenSshHost, program: Callable[[str], str]
) -> AsyncIterator[HaproxyServer]:
    program("haproxy")
    async with HaproxyServer(tmp_path, {"web1": 1, "web2": 1}, options="no-check") as server:
        yield server


def through(fleet: OpenSshFleet, lb1: OpenSshHost, haproxy: HaproxyServer) -> Haproxy:
    at = f"ssh:root@{lb1.address}:{haproxy.socket}"
    return Haproxy([at], ["shop"], "{host}", timedelta(seconds=0.5), Lines(fleet.key))


def logins(lb1: OpenSshHost) -> int:
    """How many connections its sshd carries now."""
    return lb1.inside("ss -Htn state established '( sport = :22 )'").count("\n")


async def test_a_host_is_drained_and_restored_over_one_connection(
    fleet: OpenSshFleet, lb1: OpenSshHost, haproxy: HaproxyServer
) -> None:
    balancer = through(fleet, lb1, haproxy)
    found = await balancer.find(WEB1)
    await balancer.drain(WEB1)
    assert await haproxy.admin() == {"web1": "drain", "web2": "ready"}
    assert await until_drained(balancer, WEB1)
    assert logins(lb1) == 1

    await balancer.restore(WEB1, found)
    assert await haproxy.admin() == {"web1": "ready", "web2": "ready"}


async def test_a_connection_that_ended_is_made_anew(
    fleet: OpenSshFleet, lb1: OpenSshHost, haproxy: HaproxyServer
) -> None:
    balancer = through(fleet, lb1, haproxy)
    await balancer.drain(WEB1)
    lb1.reboot()
    assert logins(lb1) == 0

    await balancer.restore(WEB1, "{}")
    assert await haproxy.admin() == {"web1": "ready", "web2": "ready"}


async def test_a_machine_whose_key_nobody_trusts_is_told_nothing(
    fleet: OpenSshFleet, lb1: OpenSshHost, haproxy: HaproxyServer, tmp_path: Path
) -> None:
    (tmp_path / ".ssh" / "known_hosts").write_text("")
    with pytest.raises(BalancerFailed, match="not trusted") as refused:
        await through(fleet, lb1, haproxy).drain(WEB1)

    assert "known_hosts" in (refused.value.hint or "")
    assert await haproxy.admin() == {"web1": "ready", "web2": "ready"}


async def test_a_machine_that_forwards_no_sockets_is_told_by_name(
    fleet: OpenSshFleet, lb1: OpenSshHost, haproxy: HaproxyServer
) -> None:
    config = lb1.folder / "sshd_config"
    before = config.read_text()
    config.write_text(f"{before}{STREAMS} no\n")
    lb1.restart_sshd()
    try:
        with pytest.raises(BalancerFailed, match="open failed") as refused:
            await through(fleet, lb1, haproxy).drain(WEB1)
    finally:
        config.write_text(before)
        lb1.restart_sshd()

    assert lb1.address in str(refused.value)
    assert STREAMS in (refused.value.hint or "")


async def test_a_machine_that_is_away_is_told_by_name(
    fleet: OpenSshFleet,
    lb1: OpenSshHost,
    haproxy: HaproxyServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also when a connection stood before; the next word makes another."""
    monkeypatch.setattr("apollo.balancers.runtime_api.SSH_TIMEOUT", 1)
    balancer = through(fleet, lb1, haproxy)
    await balancer.find(WEB1)
    lb1.cut()
    try:
        with pytest.raises(BalancerFailed, match="expected an answer within 1s"):
            await balancer.drain(WEB1)
    finally:
        lb1.heal()
    monkeypatch.undo()

    monkeypatch.setenv("HOME", str(haproxy.folder))
    await balancer.drain(WEB1)
    assert await haproxy.admin() == {"web1": "drain", "web2": "ready"}
