"""Which releases are staged ahead, how long that may take, and by which pages."""

from datetime import timedelta
from typing import Any

import pytest

from apollo.domain.environment import Environment
from apollo.domain.fleet import Fleet, Host
from apollo.domain.manifest import Manifest, build_manifest
from apollo.domain.release import Artifact, Release
from apollo.domain.rollout import BatchHosts, BatchLoad, HostTurn
from apollo.domain.setup import Setup
from apollo.domain.staging import LARGE, MARGIN, PAGE, StagingInput, pages, staging_limit

LOAD = BatchLoad(
    deployment="d", workflow_id="w", phase="forward", wave=1, batch=1, granted_ms=1700000000000
)
GIVEN = StagingInput(
    load=LOAD, label="shop/prod#1", limit=timedelta(minutes=6), takeover=timedelta(seconds=10)
)


def manifest(size: int = 1, **hooks: Any) -> Manifest:
    release = Release(
        application="shop",
        version="1.0",
        artifact=Artifact(sha256="a" * 64, size=size),
        setup=Setup.model_validate({"root": "/srv/shop", "hooks": hooks}),
    )
    host = Host(name="web1", location="fra1", address="10.0.0.1")
    environment = Environment(application="shop", name="prod", fleet=Fleet(hosts=(host,)))
    return build_manifest(release, environment, host)


@pytest.mark.parametrize(
    ("manifests", "limit"),
    [
        ([], timedelta(0)),
        ([manifest()], timedelta(0)),
        ([manifest(LARGE, start="bin/start")], timedelta(0)),
        ([manifest(LARGE + 1)], MARGIN),
        ([manifest(install="bin/setup")], MARGIN + timedelta(minutes=10)),
        (
            [manifest(install={"run": "bin/setup", "timeout": "1m", "retries": 2}), manifest()],
            MARGIN + timedelta(minutes=3),
        ),
        (
            [manifest(install="a"), manifest(install=["a", {"run": "b", "timeout": "5m"}])],
            MARGIN + timedelta(minutes=15),
        ),
    ],
)
def test_what_takes_long_is_staged_ahead(manifests: list[Manifest], limit: timedelta) -> None:
    """The longest that any host may take, with its hooks' retries."""
    assert staging_limit(manifests) == limit


def turn(name: str, location: str = "fra1", manifest: str | None = "m" * 64) -> HostTurn:
    return HostTurn(
        host=Host(name=name, location=location, address="10.0.0.1"),
        manifest=manifest,
        own_workers=location == "ams1",
    )


def test_pages_hold_hosts_of_the_same_workers() -> None:
    """A host that is only to be stopped has nothing to stage."""
    turns = (
        *(turn(f"f{n}") for n in range(PAGE)),
        turn("stopped", manifest=None),
        turn("a1", "ams1"),
        turn("l1", "lhr1"),
        turn("a2", "ams1"),
    )
    hosts = BatchHosts(
        turns=turns,
        owner="catalog/shop/prod",
        label="shop/prod#1",
        application="shop",
        environment="prod",
        release="1.0",
        folder="20261126T000000Z-1.0",
    )
    found = [
        (page.location, [each.host.name for each in page.turns]) for page in pages(GIVEN, hosts)
    ]
    assert found == [
        ("", [f"f{n}" for n in range(PAGE)]),
        ("", ["l1"]),
        ("ams1", ["a1", "a2"]),
    ]
    assert all(each.ahead for page in pages(GIVEN, hosts) for each in page.turns)
