"""The manifests of a fleet are those of its hosts, one by one."""

from pathlib import Path
from typing import Any

import pytest

from apollo.artifacts.store import FolderStore
from apollo.domain.environment import Environment
from apollo.domain.fleet import Fleet, Host
from apollo.domain.manifest import KEPT, build_manifest, build_manifests
from apollo.domain.release import Artifact, Release
from apollo.domain.setup import Setup
from apollo.wiring import StoredManifests

TEXTS = {"h1.yml": "same", "h2.yml": "other", "h3.yml": "same"}


def release(**setup: Any) -> Release:
    values = {"root": "/srv/shop", "roles": {"worker": {"variables": {"QUEUE": "q"}}}, **setup}
    return Release(
        application="shop",
        version="1.0",
        artifact=Artifact(sha256="a" * 64, size=1),
        setup=Setup.model_validate(values),
    )


def environment(**values: Any) -> Environment:
    hosts = [
        Host(
            name=f"h{number}",
            location="fra1" if number < 10 else "ams1",
            address="10.0.0.1",
            labels={"role": "worker"} if number % 4 == 0 else {},
            variables={"WEIGHT": "2"} if number % 6 == 0 else {},
        )
        for number in range(1, 16)
    ]
    fleet = Fleet(hosts=tuple(hosts[:3] if values else hosts))
    return Environment.model_validate(
        {"application": "shop", "name": "prod", "fleet": fleet, **values}
    )


@pytest.mark.parametrize(
    ("setup", "values", "distinct"),
    [
        ({}, {}, 4),
        ({"root": "/srv/{host}"}, {}, 15),
        ({"health": {"http": {"port": "80", "path": "/{host}"}}}, {}, 15),
        ({"secrets": ["KEY"]}, {"secrets": {"KEY": "file:/etc/apollo/secrets/{host}"}}, 3),
        (
            {},
            {"files_by_host": {"c": {"from": "{host}.yml", "mode": "0644", "texts": TEXTS}}},
            2,
        ),
    ],
)
def test_each_host_has_its_own(
    setup: dict[str, Any], values: dict[str, Any], distinct: int
) -> None:
    """The last: the first and the last host of a group have the same file, the one between not."""
    made, where = release(**setup), environment(**values)

    built = build_manifests(made, where, where.fleet.hosts)

    assert built == {h.name: build_manifest(made, where, h) for h in where.fleet.hosts}
    assert len({manifest.digest for manifest in built.values()}) == distinct


class Asked(FolderStore):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.digests: list[str] = []

    async def get_bytes(self, sha256: str) -> bytes:
        self.digests.append(sha256)
        return await super().get_bytes(sha256)


async def test_what_many_hosts_run_is_read_once(tmp_path: Path) -> None:
    """The store is asked again only for what so many others have come after."""
    store = Asked(tmp_path)
    manifests = StoredManifests(store)
    host = environment().fleet.hosts[0]
    built = [
        build_manifest(release(variables={"N": str(number)}), environment(), host)
        for number in range(KEPT + 1)
    ]
    first, *others = [await store.put_bytes(manifest.canonical()) for manifest in built]
    for digest in others:
        await manifests.manifest(digest)
        assert await manifests.manifest(first) == built[0]
    assert store.digests.count(first) == 1
    for digest in others:
        await manifests.manifest(digest)
    assert await manifests.manifest(first) == built[0]
    assert store.digests.count(first) == 2
