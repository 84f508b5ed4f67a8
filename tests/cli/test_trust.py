"""`apollo hosts trust` and the scan behind it, against real SSH servers."""

import json
from pathlib import Path

import pytest

from apollo.catalog import Catalog
from apollo.cli.scan import scan
from apollo.domain.fleet import Host
from apollo.testing.fleet import FleetHost, SshFleet
from apollo.testing.ports import ReservedPort
from tests.cli.conftest import Shop


def host(found: FleetHost) -> Host:
    return Host(name=found.name, location=found.location, address=found.address, port=found.port)


async def test_a_scan_tells_new_known_changed_and_unreachable_apart(tmp_path: Path) -> None:
    async with SshFleet(tmp_path, {"fra1": 4}) as fleet:
        one, two, three, four = fleet.hosts
        await fleet.refuse(four.name)
        trusted = {two.name: [f"{two.host_key} comment"], three.name: [two.host_key]}

        found = await scan([host(each) for each in fleet.hosts], trusted)

    assert [each.found for each in found] == ["new", "known", "changed", "unreachable"]
    assert found[0].line == one.host_key
    assert found[0].fingerprint.startswith("SHA256:")
    assert found[3].message


def test_hosts_that_cannot_be_asked_are_told_and_the_exit_code_is_6(applied: Shop) -> None:
    port = ReservedPort()
    applied.edit("dev1: 127.0.0.1", f"dev1: {{address: 127.0.0.1, port: {port.number}}}")
    applied.good("apply")

    said = applied("hosts", "trust", "dev", "--yes")
    document = json.loads(applied("hosts", "trust", "dev", "--json").out)
    port.release()

    assert said.code == 6
    assert "dev1  127.0.0.1:" in said.out
    assert "? unreachable" in said.out
    assert document["hosts"][0]["found"] == "unreachable"


@pytest.fixture
def scanned(applied: Shop, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """The scan finds the key AAAA on dev1."""
    from apollo.cli import trust
    from apollo.cli.scan import Scanned

    async def found(hosts: list[Host], trusted: dict[str, list[str]]) -> list[Scanned]:
        key = "ssh-ed25519 AAAA"
        known = trusted.get("dev1", [])
        kind = "known" if key in known else "changed" if known else "new"
        return [Scanned(hosts[0], kind, key, "SHA256:x")]  # type: ignore[arg-type]

    monkeypatch.setattr(trust, "scan", found)
    return applied


def lines(shop: Shop) -> dict[str, list[str]]:
    async def read(catalog: Catalog) -> dict[str, list[str]]:
        return await catalog.keys.lines("shop", "dev")

    return shop.in_catalog(read)


def test_keys_are_trusted_only_when_somebody_says_so(scanned: Shop) -> None:
    refused = scanned("hosts", "trust", "dev")
    assert refused.code == 5
    assert "nobody is here to compare the keys" in refused.err
    assert "+ new  ssh-ed25519  SHA256:x" in refused.out
    assert lines(scanned) == {}

    assert "Trusted 1 key." in scanned.good("hosts", "trust", "dev", "--yes").err
    assert lines(scanned) == {"dev1": ["ssh-ed25519 AAAA"]}
    assert "✔ known" in scanned.good("hosts", "trust", "dev").out


def test_a_changed_key_takes_the_place_of_the_old_one_only_by_name(scanned: Shop) -> None:
    async def trust_another(catalog: Catalog) -> None:
        await catalog.keys.trust("shop", "dev", {"dev1": ["ssh-ed25519 BBBB"]}, "ben")

    scanned.in_catalog(trust_another)

    kept = scanned("hosts", "trust", "dev", "--yes")
    assert kept.code == 6
    assert "If dev1 was rebuilt: apollo hosts trust dev --replace dev1" in kept.err
    assert lines(scanned) == {"dev1": ["ssh-ed25519 BBBB"]}

    scanned.good("hosts", "trust", "dev", "--yes", "--replace", "dev1")
    assert lines(scanned) == {"dev1": ["ssh-ed25519 AAAA"]}


def test_a_question_on_a_terminal_is_answered_by_its_user(
    scanned: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    from apollo.cli import ask, trust

    answers = iter(["no\n", "y\n"])
    for module in (ask, trust):
        monkeypatch.setattr(module, "on_terminal", lambda: True)
    monkeypatch.setattr("sys.stdin.readline", lambda: next(answers), raising=False)

    declined = scanned("hosts", "trust", "dev")
    assert (declined.code, "no key was trusted" in declined.err) == (5, True)

    scanned.good("hosts", "trust", "dev")
    assert lines(scanned) == {"dev1": ["ssh-ed25519 AAAA"]}
