"""Roots that may be taken over, once."""

from pathlib import Path

import pytest

from apollo.domain.status import Outcome
from tests.support.catalogs import ended, opened, shop_catalog

pytestmark = pytest.mark.usefixtures("every_database")


async def test_an_adoption_counts_until_the_host_has_had_a_turn(tmp_path: Path) -> None:
    async with shop_catalog(tmp_path) as catalog:
        place = "shop", "prod"
        assert await catalog.adoptions.allow(*place, ["web1", "web2"], "anna", "moved") == [
            "web1",
            "web2",
        ]
        assert await catalog.adoptions.allow(*place, ["web2", "web3"], "anna", "moved") == ["web3"]

        uuid = (await opened(catalog)).uuid
        unreachable = ended("web2", Outcome.UNREACHABLE)
        await catalog.turns.record(uuid, "forward", [ended("web1"), unreachable])

        assert await catalog.adoptions.hosts(*place) == {"web2", "web3"}
        entries = [e for e in await catalog.audit.list(*place) if e.action == "hosts adopt"]
        assert [entry.detail["hosts"] for entry in entries] == [["web3"], ["web1", "web2"]]
