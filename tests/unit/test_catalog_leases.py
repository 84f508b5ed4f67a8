"""The lease: one holder at a time, granted at times that only rise."""

import asyncio
from pathlib import Path

import pytest

from apollo.catalog import Catalog
from apollo.catalog.records import Lease
from apollo.errors import NotFound
from tests.support.catalogs import opened, shop_catalog, url

pytestmark = pytest.mark.usefixtures("every_database")


async def _take(catalog: Catalog, workflow: str, now_ms: int = 1000) -> Lease | None:
    return await catalog.leases.take("shop", "prod", workflow, "run", 1, now_ms)


async def test_one_of_many_gets_it(tmp_path: Path) -> None:
    async with shop_catalog(tmp_path) as one, Catalog.open(url(tmp_path / "catalog.db")) as two:
        takes = [_take((one, two)[n % 2], f"w{n}") for n in range(20)]
        granted = [lease for lease in await asyncio.gather(*takes) if lease]

        assert len(granted) == 1
        assert granted[0] == await two.leases.holder("shop", "prod")


async def test_taking_again_changes_nothing(tmp_path: Path) -> None:
    async with shop_catalog(tmp_path) as catalog:
        first = await _take(catalog, "w1", 1000)

        assert first == await _take(catalog, "w1", 2000)
        assert None is await _take(catalog, "w2", 2000)


async def test_the_time_of_a_grant_only_rises(tmp_path: Path) -> None:
    times = []
    async with shop_catalog(tmp_path) as catalog:
        for n, now_ms in enumerate((5000, 5000, 10, 7000)):
            lease = await _take(catalog, f"w{n}", now_ms)
            assert lease
            times.append(lease.granted_ms)
            assert await catalog.leases.release(f"w{n}")
            assert not await catalog.leases.release(f"w{n}")
            assert None is await catalog.leases.holder("shop", "prod")

    assert times == [5000, 5001, 5002, 7000]


async def test_it_is_taken_over_only_from_the_one_that_is_dead(tmp_path: Path) -> None:
    async with shop_catalog(tmp_path) as catalog:
        await _take(catalog, "dead", 1000)
        replace = catalog.leases.replace
        refused = await replace("shop", "prod", "another", "w2", "run", 2, 1000)
        lease = await replace("shop", "prod", "dead", "w2", "run", 2, 1000)
        again = await replace("shop", "prod", "dead", "w2", "run", 2, 3000)
        late = await replace("shop", "prod", "dead", "w3", "run", 3, 3000)
        assert not await catalog.leases.release("dead")

        assert (refused, late) == (None, None)
        assert lease == again == await catalog.leases.holder("shop", "prod")
    assert lease
    assert lease.granted_ms == 1001


async def test_it_says_which_deployment_was_the_last_to_have_it(tmp_path: Path) -> None:
    async with shop_catalog(tmp_path) as catalog:
        await opened(catalog, "w1")
        newer = await opened(catalog, "w2")
        assert await catalog.leases.newest_granted("shop", "prod") == 0

        lease = await catalog.leases.take("shop", "prod", "w2", "run", 2, 1000)
        await catalog.leases.release("w2")

        assert lease
        assert await catalog.leases.newest_granted("shop", "prod") == 2
        stored = await catalog.deployments.by_uuid(newer.uuid)
        assert lease.granted_ms == stored.granted_ms


async def test_environments_that_nobody_applied_have_none(tmp_path: Path) -> None:
    async with shop_catalog(tmp_path) as catalog:
        with pytest.raises(NotFound):
            await catalog.leases.take("shop", "staging", "w1", "run", 1, 1000)
