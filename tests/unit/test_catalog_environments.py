"""Environments and releases: every revision is kept, no release ever changes."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from apollo.catalog import Catalog
from apollo.domain.base import Share
from apollo.domain.setup import Setup
from apollo.domain.strategy import Strategy
from apollo.errors import NotFound, Refused
from tests.support.catalogs import (
    StandingClock,
    environment,
    new_catalog,
    release,
    shop_catalog,
    url,
)

pytestmark = pytest.mark.usefixtures("every_database")


async def test_an_environment_comes_back_as_it_was_applied(tmp_path: Path) -> None:
    given = environment(
        variables={"PORT": "8080"},
        files={"config/app.yml": ("port: ${PORT}\n", "0640")},
        secrets={"PASSWORD": "env:APOLLO_SECRET_PASSWORD"},
        balancer={"drain": {"wait": "30s"}, "haproxy": {"at": ["tcp:lb:9999"], "backends": ["b"]}},
        strategy=Strategy(
            max_unavailable=Share(percent=12.5), progress_deadline=timedelta(minutes=5)
        ),
    )
    async with new_catalog(tmp_path) as catalog:
        assert await catalog.environments.apply(given, ["dev", "prod"], "anna", "first") == 1
        applied = await catalog.environments.get("shop", "prod")

    assert given == applied.environment
    assert (
        applied.revision,
        applied.pipeline,
        applied.applied_by,
        applied.reason,
    ) == (1, ("dev", "prod"), "anna", "first")
    assert applied.applied_at.tzinfo is not None


async def test_the_same_content_is_the_same_revision(tmp_path: Path) -> None:
    async with new_catalog(tmp_path) as catalog:
        revisions = [
            await catalog.environments.apply(environment(hosts), ["prod"], "anna")
            for hosts in (2, 2, 3, 3, 2)
        ]
        second = await catalog.environments.get("shop", "prod", 2)
        changes = await catalog.audit.list("shop", "prod")

    assert revisions == [1, 1, 2, 2, 3]
    assert len(second.environment.fleet.hosts) == 3
    assert [entry.detail["revision"] for entry in changes] == [3, 2, 1]


async def test_a_new_pipeline_alone_is_no_revision(tmp_path: Path) -> None:
    async with new_catalog(tmp_path) as catalog:
        await catalog.environments.apply(environment(), ["prod"], "anna")
        assert await catalog.environments.apply(environment(), ["dev", "prod"], "anna") == 1

        assert (await catalog.environments.get("shop", "prod")).pipeline == ("dev", "prod")


async def test_two_catalogs_apply_at_once(tmp_path: Path) -> None:
    async with new_catalog(tmp_path) as one, Catalog.open(url(tmp_path / "catalog.db")) as two:
        revisions = await asyncio.gather(
            *(
                (one, two)[n % 2].environments.apply(environment(n), ["prod"], "anna")
                for n in range(1, 11)
            )
        )

    assert list(range(1, 11)) == sorted(revisions)


async def test_an_unknown_environment_names_the_known(tmp_path: Path) -> None:
    async with shop_catalog(tmp_path) as catalog:
        await catalog.environments.apply(environment(name="dev"), ["dev", "prod"], "anna")
        with pytest.raises(NotFound, match="shop/staging") as caught:
            await catalog.environments.get("shop", "staging")
        with pytest.raises(NotFound, match="no revision 7"):
            await catalog.environments.get("shop", "prod", 7)

        assert caught.value.hint == "known are shop/dev, shop/prod"
        assert [e.environment.name for e in await catalog.environments.list()] == ["dev", "prod"]
        assert await catalog.environments.list("other") == []


async def test_a_release_is_added_once(tmp_path: Path) -> None:
    async with new_catalog(tmp_path) as catalog:
        assert await catalog.releases.add(release("1.0"), "anna")
        assert not await catalog.releases.add(release("1.0"), "bert")
        stored = await catalog.releases.get("shop", "1.0")

    assert (release("1.0"), "anna") == (stored.release, stored.created_by)


async def test_a_release_with_all_of_a_setup_comes_back(tmp_path: Path) -> None:
    setup = Setup.model_validate(
        {
            "root": "/srv/{host}",
            "hooks": {"validate": {"run": "bin/smoke", "timeout": "1.5s"}, "start": "bin/start"},
            "health": {"http": {"port": 8080}, "healthy_for": "250ms"},
            "roles": {"worker": {"hooks": {"start": "bin/worker"}, "balancer": "none"}},
        }
    )
    given = release("1.0").model_copy(update={"setup": setup})
    async with new_catalog(tmp_path) as catalog:
        await catalog.releases.add(given, "anna")

        assert given == (await catalog.releases.get("shop", "1.0")).release


@pytest.mark.parametrize(
    ("other", "differs"),
    [(release("1.0", content="b"), "artifact"), (release("1.0", root="/opt/shop"), "setup")],
)
async def test_a_version_never_changes(tmp_path: Path, other: object, differs: str) -> None:
    async with new_catalog(tmp_path, StandingClock()) as catalog:
        await catalog.releases.add(release("1.0"), "anna")
        with pytest.raises(Refused) as caught:
            await catalog.releases.add(other, "bert")  # type: ignore[arg-type]

        assert (
            f"shop 1.0 exists with another {differs}: anna made it 2026-03-01 12:00 UTC, "
            "and releases never change"
        ) == caught.value.message
        assert release("1.0") == (await catalog.releases.get("shop", "1.0")).release


async def test_an_unknown_release_names_the_known(tmp_path: Path) -> None:
    clock = StandingClock()
    async with new_catalog(tmp_path, clock) as catalog:
        with pytest.raises(NotFound) as nothing:
            await catalog.releases.get("shop", "2.0")
        for version in ("1.10", "1.9"):
            await catalog.releases.add(release(version), "anna")
            clock.move(1)
        with pytest.raises(NotFound) as caught:
            await catalog.releases.get("shop", "2.0")

        assert nothing.value.hint == "make one: apollo release create"
        assert caught.value.hint == "the newest are 1.9, 1.10"
        newest = await catalog.releases.list("shop", limit=1)
        assert [stored.release.version for stored in newest] == ["1.9"]
