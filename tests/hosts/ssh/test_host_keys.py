"""Which keys real OpenSSH hosts may show. Nothing accepts any key."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from apollo.domain.fleet import Host
from apollo.errors import HostKeyChanged, HostKeyUnknown
from apollo.hosts.session import SshHosts
from apollo.ports import Reach
from tests.support.openssh import OpenSshFleet, OpenSshHost, openssh_fleet, run

OTHER = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ"


@pytest.fixture(scope="module")
def fleet(
    tmp_path_factory: pytest.TempPathFactory, program: Callable[[str], str]
) -> Iterator[OpenSshFleet]:
    folder = tmp_path_factory.mktemp("host-keys")
    with openssh_fleet(folder, ["plain", "certified"], program) as fleet:
        for name in ("ca", "stranger"):
            run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name))
        yield fleet


async def said(fleet: OpenSshFleet, host: OpenSshHost, *keys: str, first_use: bool = False) -> str:
    """Log in and run a command; the key that was accepted at first use, if so."""
    there = Host(name=host.name, location="lab1", address=host.address, user="root")
    reach = Reach(there, keys, first_use, "shop", "prod")
    async with SshHosts(key=fleet.key).connect(reach) as session:
        assert await session.run("echo in") == b"in\n"
        return session.accepted_key


def authority(fleet: OpenSshFleet, name: str = "ca", pattern: str = "*") -> str:
    key = " ".join((fleet.folder / f"{name}.pub").read_text().split()[:2])
    return f"@cert-authority {pattern} {key}"


def certify(fleet: OpenSshFleet, *options: str) -> OpenSshHost:
    """Have the authority sign the host's key, and the host show what was signed."""
    host = fleet.hosts["certified"]
    key, config = host.folder / "hostkey", host.folder / "sshd_config"
    run(
        "ssh-keygen", "-q", "-s", str(fleet.folder / "ca"), "-h", "-I", "it", *options, f"{key}.pub"
    )
    if "HostCertificate" not in config.read_text():
        config.write_text(config.read_text() + f"HostCertificate {key}-cert.pub\n")
    host.restart_sshd()
    return host


async def test_the_known_key_is_let_through_and_another_is_a_changed_one(
    fleet: OpenSshFleet,
) -> None:
    host = fleet.hosts["plain"]

    assert await said(fleet, host, f"{host.host_key} a comment") == ""
    assert await said(fleet, host, OTHER, host.host_key) == ""
    with pytest.raises(HostKeyChanged, match=r"known SHA256:.*shown SHA256:") as changed:
        await said(fleet, host, OTHER)
    assert "apollo hosts trust shop/prod --replace plain" in changed.value.hint


async def test_without_any_key_the_host_is_unknown_and_its_key_is_told(
    fleet: OpenSshFleet,
) -> None:
    host = fleet.hosts["plain"]
    fingerprint = run("ssh-keygen", "-lf", f"{host.folder}/hostkey.pub").split()[1]

    with pytest.raises(HostKeyUnknown) as unknown:
        await said(fleet, host)

    assert fingerprint in unknown.value.message
    assert unknown.value.hint.endswith("apollo hosts trust shop/prod")


async def test_a_host_that_has_keys_of_other_kinds_only_has_changed(
    fleet: OpenSshFleet, tmp_path: Path
) -> None:
    """It can show nothing of the known kind: that is no host that cannot be reached."""
    run("ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", str(tmp_path / "another"))
    known = " ".join((tmp_path / "another.pub").read_text().split()[:2])

    with pytest.raises(HostKeyChanged):
        await said(fleet, fleet.hosts["plain"], known)


async def test_a_line_that_cannot_be_read_is_told_and_trusts_nothing(fleet: OpenSshFleet) -> None:
    for line in ("ssh-ed25519 AAAA", "@cert-authority * ssh-ed25519 AAAA", "nonsense"):
        with pytest.raises(HostKeyUnknown, match="plain"):
            await said(fleet, fleet.hosts["plain"], line, first_use=True)


async def test_an_authority_vouches_for_the_hosts_name_or_its_address(
    fleet: OpenSshFleet,
) -> None:
    host = certify(fleet, "-n", "certified")
    assert await said(fleet, host, authority(fleet)) == ""
    assert await said(fleet, host, authority(fleet, pattern="cert*,web*")) == ""

    host = certify(fleet, "-n", host.address)
    assert await said(fleet, host, authority(fleet)) == ""


@pytest.mark.parametrize(
    ("signed", "signer", "pattern", "found"),
    [
        (("-n", "web9"), "ca", "*", "principal mismatch"),
        (("-n", "certified", "-V", "20200101:20200102"), "ca", "*", "expired"),
        (("-n", "certified"), "stranger", "*", "signed by SHA256:"),
        (("-n", "certified"), "ca", "web*", "no host key is known"),
    ],
)
async def test_a_certificate_for_another_host_or_time_or_of_a_stranger_is_refused(
    fleet: OpenSshFleet, signed: tuple[str, ...], signer: str, pattern: str, found: str
) -> None:
    host = certify(fleet, *signed)

    with pytest.raises(HostKeyUnknown, match=found):
        await said(fleet, host, authority(fleet, signer, pattern), first_use=True)


async def test_a_plain_key_is_not_enough_where_an_authority_must_vouch(
    fleet: OpenSshFleet,
) -> None:
    with pytest.raises(HostKeyUnknown, match="shows no certificate, only the key SHA256:"):
        await said(fleet, fleet.hosts["plain"], authority(fleet))


async def test_a_key_of_a_new_host_is_accepted_when_asked_for_and_told(
    fleet: OpenSshFleet,
) -> None:
    host = fleet.hosts["plain"]

    assert await said(fleet, host, first_use=True) == host.host_key


async def test_first_use_never_accepts_another_key_of_a_known_host(fleet: OpenSshFleet) -> None:
    with pytest.raises(HostKeyChanged):
        await said(fleet, fleet.hosts["plain"], OTHER, first_use=True)
