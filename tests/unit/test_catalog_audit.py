"""The audit and the host keys: who did what, once."""

from pathlib import Path

import pytest

from apollo.errors import NotFound
from tests.support.catalogs import new_catalog, shop_catalog

pytestmark = pytest.mark.usefixtures("every_database")

ED = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5"
RSA = "ssh-rsa AAAAB3NzaC1yc2E"


async def test_a_control_is_written_once_for_each_deployment(tmp_path: Path) -> None:
    async with new_catalog(tmp_path) as catalog:
        for deployment in ("one", "one", "two"):
            await catalog.audit.add("pause", by="anna", deployment=deployment, control="c1")
        for _ in range(2):
            await catalog.audit.add("resume", by="bert", deployment="one", kind="verified")
        entries = await catalog.audit.list(deployment="one")

    assert [entry.action for entry in entries] == ["resume", "resume", "pause"]
    assert [entry.identity_kind for entry in entries[1:]] == ["verified", "declared"]


async def test_entries_come_in_pages(tmp_path: Path) -> None:
    async with new_catalog(tmp_path) as catalog:
        for n in range(5):
            await catalog.audit.add("pace", by="anna", reason=str(n), detail={"to": n})
        page = await catalog.audit.list(limit=2)
        rest = await catalog.audit.list(before=page[-1].id)

        assert [entry.reason for entry in [*page, *rest]] == ["4", "3", "2", "1", "0"]
        assert page[0].detail == {"to": 4}
        assert await catalog.audit.list("shop") == []


async def test_keys_are_added_to_what_is_trusted(tmp_path: Path) -> None:
    async with shop_catalog(tmp_path) as catalog:
        trust = catalog.keys.trust
        assert await trust("shop", "prod", {"web1": [ED], "web2": [ED]}, "anna", "seen them") == [
            "web1",
            "web2",
        ]
        assert await trust("shop", "prod", {"web1": [RSA, ED], "web2": [ED]}, "anna") == ["web1"]
        assert await trust("shop", "prod", {"web1": [RSA + "\n"]}, "anna") == []
        lines = await catalog.keys.lines("shop", "prod")
        audited = [e.detail["hosts"] for e in await catalog.audit.list() if "trust" in e.action]
        first = (await catalog.keys.list("shop", "prod"))[0]

        assert lines == {"web1": [ED, RSA], "web2": [ED]}
        assert audited == [["web1"], ["web1", "web2"]]
        assert (
            first.host,
            first.line,
            first.added_by,
            first.reason,
        ) == ("web1", ED, "anna", "seen them")


async def test_keys_are_replaced_or_left_alone(tmp_path: Path) -> None:
    async with shop_catalog(tmp_path) as catalog:
        trust = catalog.keys.trust
        await trust("shop", "prod", {"web1": [ED]}, "anna")
        new = await trust("shop", "prod", {"web1": [RSA], "web2": [RSA]}, "w", mode="new_only")
        assert new == ["web2"]
        assert await catalog.keys.lines("shop", "prod") == {"web1": [ED], "web2": [RSA]}
        assert await trust("shop", "prod", {"web1": [RSA]}, "anna", mode="replace") == ["web1"]
        assert await trust("shop", "prod", {"web1": [RSA]}, "anna", mode="replace") == []

        assert await catalog.keys.lines("shop", "prod") == {"web1": [RSA], "web2": [RSA]}


async def test_keys_belong_to_an_environment(tmp_path: Path) -> None:
    async with shop_catalog(tmp_path) as catalog:
        await catalog.keys.trust("shop", "prod", {"web1": [ED]}, "anna")
        with pytest.raises(NotFound):
            await catalog.keys.trust("shop", "dev", {"web1": [ED]}, "anna")

        assert await catalog.keys.lines("shop", "dev") == {}
