"""Keys with a passphrase, and user certificates, on a real OpenSSH server."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import asyncssh
import pytest

from apollo.domain.fleet import Host
from apollo.errors import AuthFailed
from apollo.hosts.session import SshHosts
from apollo.ports import Reach
from tests.support.openssh import OpenSshFleet, openssh_fleet
from tests.support.scene import eventually

PASSPHRASE = "open sesame"


@pytest.fixture(scope="module")
def fleet(
    tmp_path_factory: pytest.TempPathFactory, program: Callable[[str], str]
) -> Iterator[OpenSshFleet]:
    with openssh_fleet(tmp_path_factory.mktemp("logins"), ["web1"], program) as fleet:
        yield fleet


@pytest.fixture
def key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> asyncssh.SSHKey:
    """A key in a file with a passphrase, and no agent."""
    monkeypatch.setenv("SSH_AUTH_SOCK", "")
    key = asyncssh.generate_private_key("ssh-ed25519")
    key.write_private_key(tmp_path / "id", passphrase=PASSPHRASE)
    return key


async def login(fleet: OpenSshFleet, hosts: SshHosts) -> bytes:
    host = fleet.hosts["web1"]
    there = Host(name="web1", location="lab1", address=host.address, user="root")
    reach = Reach(there, (host.host_key,), False, "shop", "prod")
    async with hosts.connect(reach) as session:
        return await session.run("echo in")


def let_in(fleet: OpenSshFleet, line: str) -> None:
    (fleet.hosts["web1"].folder / "authorized_keys").write_text(line)


async def test_a_key_with_a_passphrase(
    fleet: OpenSshFleet, key: asyncssh.SSHKey, tmp_path: Path
) -> None:
    let_in(fleet, key.export_public_key().decode())

    assert await login(fleet, SshHosts(key=tmp_path / "id", passphrase=PASSPHRASE)) == b"in\n"
    for passphrase in (None, "wrong"):
        hosts = SshHosts(key=tmp_path / "id", passphrase=passphrase)
        with pytest.raises(AuthFailed) as caught:
            await login(fleet, hosts)
        assert "APOLLO_SSH_PASSPHRASE" in caught.value.hint
        assert PASSPHRASE not in repr(hosts)


async def test_a_certificate_logs_in_where_only_its_authority_is_known(
    fleet: OpenSshFleet, key: asyncssh.SSHKey, tmp_path: Path
) -> None:
    authority = asyncssh.generate_private_key("ssh-ed25519")
    let_in(fleet, f"cert-authority {authority.export_public_key().decode()}")
    hosts = SshHosts(key=tmp_path / "id", passphrase=PASSPHRASE)
    with pytest.raises(AuthFailed, match="refused the login"):
        await login(fleet, hosts)

    certificate = authority.generate_user_certificate(key, "worker", principals=["root"])
    certificate.write_certificate(tmp_path / "id-cert.pub")
    assert await login(fleet, hosts) == b"in\n"


async def test_an_agent_logs_in_and_keeps_its_key(
    fleet: OpenSshFleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No key lies where the worker could read it; without the agent the host refuses."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    key.write_private_key(tmp_path / "id")
    os.chmod(tmp_path / "id", 0o600)
    let_in(fleet, key.export_public_key().decode())
    monkeypatch.setenv("HOME", str(tmp_path))
    socket = tmp_path / "agent"
    agent = await asyncio.create_subprocess_exec("ssh-agent", "-D", "-a", str(socket))
    try:
        await eventually(socket_there(socket))
        monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
        add = await asyncio.create_subprocess_exec("ssh-add", "-q", str(tmp_path / "id"))
        assert await add.wait() == 0
        (tmp_path / "id").unlink()

        assert await login(fleet, SshHosts()) == b"in\n"
        monkeypatch.setenv("SSH_AUTH_SOCK", "")
        with pytest.raises(AuthFailed, match="refused the login"):
            await login(fleet, SshHosts())
    finally:
        agent.terminate()
        await agent.wait()


def socket_there(socket: Path) -> Callable[[], Awaitable[bool]]:
    async def there() -> bool:
        return socket.name in os.listdir(socket.parent)

    return there
