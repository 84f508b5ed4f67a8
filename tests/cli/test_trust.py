"""`apollo hosts trust` and the scan behind it, against real SSH servers."""

from pathlib import Path

import pytest

from apollo.catalog import Catalog
from apollo.client import Apollo
from apollo.domain.fleet import Host
from apollo.domain.keys import Scanned
from apollo.hosts.scan import scan
from apollo.ports import Reach
from apollo.testing.fleet import FleetHost, SshFleet
from tests.cli.conftest import Shop


def reach(found: FleetHost, *trusted: str) -> Reach:
    host = Host(name=found.name, location=found.location, address=found.address, port=found.port)
    return Reach(host, trusted, False, "shop", "prod")


async def test_a_scan_tells_new_known_changed_and_unreachable_apart(tmp_path: Path) -> None:
    async with SshFleet(tmp_path, {"fra1": 5}) as fleet:
        one, two, three, four, five = fleet.hosts
        await fleet.refuse(four.name)

        found = [
            await scan(reach(one)),
            await scan(reach(two, f"{two.host_key} comment")),
            await scan(reach(three, two.host_key)),
            await scan(reach(four)),
            await scan(reach(five, f"@cert-authority * {one.host_key}")),
            await scan(reach(five, "nonsense")),
        ]

    kinds = ["new", "known", "changed", "unreachable", "certified", "unreachable"]
    assert [each.found for each in found] == kinds
    assert found[0].line == one.host_key
    assert found[0].fingerprint.startswith("SHA256:")
    assert found[3].message
    assert "cannot be read" in found[5].message


@pytest.fixture
def scanned(applied: Shop, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """The workers find the key AAAA on dev1."""

    async def found(apollo: Apollo, application: str, environment: str) -> list[Scanned]:
        key = "ssh-ed25519 AAAA"
        known = (await apollo.catalog.keys.lines(application, environment)).get("dev1", [])
        kind = "known" if key in known else "changed" if known else "new"
        host = {"host": "dev1", "address": "127.0.0.1", "port": 22}
        return [Scanned(**host, found=kind, line=key, fingerprint="SHA256:x")]  # type: ignore[arg-type]

    monkeypatch.setattr(Apollo, "scan_keys", found)
    return applied


def test_without_temporal_nothing_is_trusted_and_it_is_said(applied: Shop) -> None:
    said = applied("hosts", "trust", "dev", "--yes")

    assert said.code == 1
    assert "no Temporal server answers" in said.err
    assert lines(applied) == {}


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
