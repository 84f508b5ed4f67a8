"""Hosts behind a real jump host: its own key is checked, and many logins go through it."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from apollo.domain.fleet import Host
from apollo.errors import AuthFailed, ConnectFailed, HostKeyChanged, HostKeyUnknown, TurnError
from apollo.hosts import connect
from apollo.hosts.session import SshHosts
from apollo.ports import Reach
from tests.support.openssh import OpenSshFleet, OpenSshHost, openssh_fleet, run

NEVER = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ"
LOGINS = 12


@pytest.fixture(scope="module")
def fleet(
    tmp_path_factory: pytest.TempPathFactory, program: Callable[[str], str]
) -> Iterator[OpenSshFleet]:
    folder = tmp_path_factory.mktemp("jump")
    with openssh_fleet(folder, ["jump", "inner"], program) as fleet:
        config = fleet.hosts["jump"].folder / "sshd_config"
        config.write_text(config.read_text() + "MaxStartups 3:100:3\n")
        fleet.hosts["jump"].restart_sshd()
        join(fleet.hosts["jump"], fleet.hosts["inner"])
        yield fleet


def join(jump: OpenSshHost, inner: OpenSshHost) -> None:
    """A line between the two; it goes when they go."""
    pair = f"ip link add j0 netns {jump.link} type veth peer name j0 netns {inner.link}"
    run(*pair.split())
    for host, end in ((jump, 1), (inner, 2)):
        host.inside(f"ip addr add 172.31.99.{end}/30 dev j0 && ip link set j0 up")
    jump.inside(f"ip route add {inner.address}/32 via 172.31.99.2")


@pytest.fixture
def home(fleet: OpenSshFleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A worker's home: its ssh_config sends it through the jump host, whose key it knows."""
    folder, jump, inner = tmp_path / ".ssh", fleet.hosts["jump"], fleet.hosts["inner"]
    folder.mkdir()
    (folder / "config").write_text(
        f"Host {inner.address}\n  ProxyJump {jump.address}\n  User nobody\n  Port 2222\n"
        f"Host {jump.address}\n  User root\n  IdentityFile {fleet.key}\n"
    )
    (folder / "known_hosts").write_text(f"{jump.address} {jump.host_key}\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    return folder


def through(inner: OpenSshHost, *keys: str) -> Reach:
    """The host as the inventory has it; its user and port go before those of ssh_config."""
    host = Host(name=inner.name, location="lab1", address=inner.address, port=22, user="root")
    return Reach(host, keys or (inner.host_key,), False, "shop", "prod")


async def source(hosts: SshHosts, reach: Reach) -> str:
    """From where the host sees the login."""
    async with hosts.connect(reach) as session:
        return (await session.run("echo $SSH_CLIENT")).decode().split()[0]


async def test_a_host_is_reached_through_its_jump_host_and_both_keys_are_checked(
    fleet: OpenSshFleet, home: Path
) -> None:
    inner, jump = fleet.hosts["inner"], fleet.hosts["jump"]
    hosts = SshHosts(key=fleet.key)
    (home / "config").rename(home / "aside")
    direct = await source(hosts, through(inner))
    (home / "aside").rename(home / "config")

    assert await source(hosts, through(inner)) != direct
    with pytest.raises(HostKeyChanged, match="inner"):
        await source(hosts, through(inner, NEVER))

    (home / "known_hosts").write_text(f"{jump.address} {NEVER}\n")
    with pytest.raises(HostKeyUnknown, match=f"the jump host {jump.address} of inner") as told:
        await source(hosts, through(inner))
    assert "known_hosts of the worker" in told.value.hint


async def test_a_jump_host_that_refuses_the_login_is_named(fleet: OpenSshFleet, home: Path) -> None:
    config = home / "config"
    config.write_text(config.read_text().replace(f"IdentityFile {fleet.key}", "IdentitiesOnly yes"))

    with pytest.raises(AuthFailed, match=r"the jump host .* of inner .* refused"):
        await source(SshHosts(key=fleet.key), through(fleet.hosts["inner"]))


async def at_once(hosts: SshHosts, reach: Reach) -> list[TurnError]:
    """What went wrong with logins that all begin together."""

    async def one() -> TurnError | None:
        try:
            await source(hosts, reach)
        except TurnError as error:
            return error
        return None

    ends = await asyncio.gather(*(one() for _ in range(LOGINS)))
    return [end for end in ends if end]


@pytest.mark.parametrize("cap", [2, LOGINS], ids=["capped", "retried"])
async def test_a_jump_host_that_drops_logins_lets_all_in_when_capped_or_retried(
    fleet: OpenSshFleet, home: Path, monkeypatch: pytest.MonkeyPatch, cap: int
) -> None:
    if cap < LOGINS:  # then nothing need be tried again
        monkeypatch.setattr(connect, "DROPPED_TRIES", 1)

    hosts = SshHosts(key=fleet.key, jump_handshakes=cap)

    assert await at_once(hosts, through(fleet.hosts["inner"])) == []


async def test_without_cap_and_retries_some_are_dropped(
    fleet: OpenSshFleet, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control."""
    monkeypatch.setattr(connect, "DROPPED_TRIES", 1)
    monkeypatch.setattr(connect, "TRIES", 1)
    hosts = SshHosts(key=fleet.key, jump_handshakes=LOGINS)

    failed = await at_once(hosts, through(fleet.hosts["inner"]))

    assert failed
    assert {type(error) for error in failed} == {ConnectFailed}
    assert all("the jump host" in error.message for error in failed)


async def test_a_host_that_refuses_the_login_or_the_connection_is_told_itself(
    fleet: OpenSshFleet,
) -> None:
    jump = fleet.hosts["jump"]
    there = through(jump)
    stranger = SshHosts(key=jump.folder / "hostkey")
    closed = Reach(there.host.model_copy(update={"port": 23}), there.host_keys, False, "shop", "p")

    with pytest.raises(AuthFailed, match=r"^jump .* refused the login of root"):
        await source(stranger, there)
    with pytest.raises(ConnectFailed, match=r"^jump .*:23\) cannot be reached"):
        await source(SshHosts(key=fleet.key), closed)
    with pytest.raises(AuthFailed, match="cannot prepare its login"):
        await source(SshHosts(key=fleet.folder / "none"), there)
