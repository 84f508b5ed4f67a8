"""The manifests of a fleet are those of its hosts, one by one."""

from typing import Any

import pytest

from apollo.domain.environment import Environment
from apollo.domain.fleet import Fleet, Host
from apollo.domain.manifest import build_manifest, build_manifests
from apollo.domain.release import Artifact, Release
from apollo.domain.setup import Setup

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
