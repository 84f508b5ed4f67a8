"""`apollo doctor`: what is missing is found, and named with the command that mends it."""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from apollo import pulse
from apollo.catalog import Catalog
from apollo.domain.status import DeploymentState, Outcome
from apollo.domain.turn import TurnRecord
from apollo.local.temporal import TemporalServer
from apollo.pulse import beating, last_beat
from apollo.settings import Settings
from apollo.wiring import connect_temporal
from apollo.workers.worker import running
from tests.cli.conftest import Shop
from tests.support.catalogs import opened

KEYS = {f"web{n}": ["ssh-ed25519 AAAA"] for n in range(1, 5)}


def findings(shop: Shop, *words: str) -> dict[str, dict[str, Any]]:
    """What is found, by what it is about; the exit code must fit."""
    said = shop("doctor", *words, "--json")
    document = json.loads(said.out)
    wrong = any(each["grade"] == "bad" for each in document["findings"])
    assert said.code == int(wrong)
    assert document["good"] is not wrong
    return {each["what"]: each for each in document["findings"]}


def grades(found: dict[str, dict[str, Any]]) -> dict[str, str]:
    return {what: each["grade"] for what, each in found.items()}


def test_nothing_is_there_and_nothing_is_made(shop: Shop) -> None:
    found = findings(shop)

    assert grades(found) == {
        "settings": "good",
        "temporal": "bad",
        "catalog": "bad",
        "store": "good",
        "programs": "good",
    }
    assert found["temporal"]["next"].startswith("start one with apollo up")
    assert "has no tables" in found["catalog"]["found"]
    assert not shop.home.exists()
    out = shop("doctor").out
    assert "✘  temporal  no Temporal server answers at 127.0.0.1:1" in out
    assert out.endswith("2 things to mend\n")


def test_a_setting_that_cannot_be_read(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APOLLO_SLOTS", "many")

    found = findings(shop)

    assert grades(found) == {"settings": "bad"}
    assert "APOLLO_SLOTS" in found["settings"]["found"]


def test_an_older_and_a_newer_catalog(shop: Shop) -> None:
    async def become(catalog: Catalog, revision: str) -> None:
        async with catalog._database.write() as connection:
            await connection.exec_driver_sql(
                f"UPDATE alembic_version SET version_num = '{revision}'"
            )

    for revision, step in (("0000", "start a control worker"), ("9999", "use the newest Apollo")):
        shop.in_catalog(lambda catalog, to=revision: become(catalog, to))  # type: ignore[misc]
        found = findings(shop)["catalog"]
        assert found["grade"] == "bad"
        assert f"has tables of revision {revision}" in found["found"]
        assert found["next"].startswith(step)
        (shop.home / "catalog.db").unlink()


def test_a_catalog_that_does_not_answer(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APOLLO_CATALOG", "postgresql://apollo:hush@127.0.0.1:1/apollo")

    said = shop("doctor")

    assert "127.0.0.1:1/apollo does not answer" in said.out
    assert "hush" not in said.out


def test_a_store_that_cannot_be_written(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APOLLO_STORE", "/proc/apollo")

    assert findings(shop)["store"]["grade"] == "bad"


def test_an_environment_that_was_never_applied(shop: Shop) -> None:
    shop.good("apply", "dev")

    found = findings(shop, "prod")

    assert found["applied"]["grade"] == "bad"
    assert found["applied"]["next"] == "apollo apply"


def test_an_environment_before_its_first_deployment(applied: Shop) -> None:
    found = findings(applied, "prod")

    assert grades(found) | {"temporal": ""} == {
        **{"settings": "good", "temporal": "", "catalog": "good", "store": "good"},
        **{"programs": "good", "applied": "good", "release": "note", "secrets": "good"},
        **{"host keys": "bad", "hosts": "good", "deployments": "note", "balancer": "note"},
    }
    assert found["host keys"]["found"] == "none for web1, web2, web3, web4"
    assert found["host keys"]["next"] == "apollo hosts trust shop/prod"


def test_an_environment_in_trouble(applied: Shop) -> None:
    applied.edit('variables: {PORT: "8080"}', 'variables: {PORT: "8080"}\n  secrets: [TOKEN]')
    for name in ("dev", "prod"):
        applied.edit(f"  {name}:\n", f"  {name}:\n    secrets: {{TOKEN: 'env:APOLLO_SECRET_T'}}\n")
    applied.good("apply")
    applied.edit("secrets: [TOKEN]", "secrets: [TOKEN, PASS]")
    applied.edit("_T'}", "_T', PASS: 'env:APOLLO_SECRET_P'}")
    applied.good("release", "create", "1.1")
    applied.in_catalog(in_trouble)

    found = findings(applied, "shop/prod")

    assert found["release"]["found"] == "1.1"
    assert found["secrets"]["found"] == "no reference for PASS"
    assert found["host keys"]["grade"] == "good"
    assert found["broken hosts"]["found"] == "web1"
    assert found["unreachable hosts"]["found"] == "web2"
    assert found["disabled hosts"]["found"] == "web3 (its disk)"
    assert found["deployments"]["grade"] == "bad"
    assert "shop/prod#2 of 1.1: halted (too many)" in found["deployments"]["found"]


async def in_trouble(catalog: Catalog) -> None:
    first = await opened(catalog, "w1", "1.1")
    await catalog.deployments.end(first.uuid, DeploymentState.SUCCEEDED)
    second = await opened(catalog, "w2", "1.1")
    ends = {"web1": Outcome.BROKEN, "web2": Outcome.UNREACHABLE, "web3": Outcome.BROKEN}
    records = [TurnRecord(host=host, outcome=end, turn=1) for host, end in ends.items()]
    await catalog.turns.record(second.uuid, "forward", records)
    await catalog.deployments.end(second.uuid, DeploymentState.HALTED, "too many")
    await catalog.hosts.disable("shop", "prod", ["web3"], "anna", "its disk")
    await catalog.keys.trust("shop", "prod", KEYS, "anna")


@asynccontextmanager
async def server_of(shop: Shop, folder: Path) -> AsyncIterator[TemporalServer]:
    async with TemporalServer(folder / "temporal") as server:
        os.environ["TEMPORAL_ADDRESS"] = server.address  # the fixture of `shop` puts it back
        yield server


def test_a_cluster_step_by_step(shop: Shop, tmp_path: Path) -> None:
    shop.edit("ams1:\n", "ams1:\n    own_workers: true\n", "fleet.yaml")
    shop.good("apply")

    async def steps() -> None:
        async with server_of(shop, tmp_path):
            os.environ["TEMPORAL_NAMESPACE"] = "deploy"
            found = await asyncio.to_thread(findings, shop, "prod")
            assert found["namespace"]["next"] == "apollo cluster setup --namespace deploy"
            assert "workers control" not in found

            await asyncio.to_thread(shop.good, "cluster", "setup")
            found = await asyncio.to_thread(findings, shop, "prod")
            assert found["attributes"]["grade"] == "good"
            assert found["workers control"]["next"] == "apollo worker --role control"
            assert found["workers hosts"]["next"] == "apollo worker --role hosts"
            assert found["workers ams1"]["next"] == "apollo worker --role hosts --locations ams1"

            settings = Settings()
            client = await connect_temporal(settings)
            async with running(client, settings, "all", ["ams1"]):
                names = ("workers control", "workers hosts", "workers ams1")
                for _ in range(100):
                    found = await asyncio.to_thread(findings, shop, "prod")
                    if all(found[name]["grade"] == "good" for name in names):
                        break
                assert [found[name]["grade"] for name in names] == ["good"] * 3
                assert found["workers ams1"]["found"].startswith("1 polling apollo-hosts-ams1: ")

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEMPORAL_NAMESPACE", "default")
        asyncio.run(steps())


# The sign of life.


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse, "BEAT", 0.02)


async def until_it_beats(home: Path) -> float:
    for _ in range(500):
        if (passed := last_beat(home, "hosts")) is not None:
            return passed
        await asyncio.sleep(0.01)
    raise AssertionError("no sign of life")


async def test_the_sign_of_life_goes_with_the_worker(shop: Shop, quick: None) -> None:
    def doctor() -> int:
        return shop("doctor", "--worker", "hosts").code

    assert last_beat(shop.home, "hosts") is None
    async with beating(shop.home, "hosts"):
        assert await until_it_beats(shop.home) < 5
        assert await asyncio.to_thread(doctor) == 0
        assert last_beat(shop.home, "control") is None
    assert await asyncio.to_thread(doctor) == 1


async def test_an_event_loop_that_hangs_shows(
    shop: Shop, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with beating(shop.home, "hosts"):
        await until_it_beats(shop.home)
        began = time.monotonic()
        while time.monotonic() - began < 0.5:
            pass
        passed = last_beat(shop.home, "hosts")

    assert passed is not None
    assert passed > 0.3


def test_an_old_sign_is_none(shop: Shop) -> None:
    file = pulse._file(shop.home, "hosts")
    file.parent.mkdir(parents=True)
    for text, told in (
        (str(time.monotonic() - 60), "the last sign of life 60s ago"),
        (str(time.monotonic() + 900), "no sign of life"),  # of before a reboot
        ("", "no sign of life"),
    ):
        file.write_text(text, encoding="utf-8")
        said = shop("doctor", "--worker", "hosts")
        assert said.code == 1
        assert told in said.out


async def test_a_disk_that_cannot_be_written_does_not_end_the_worker(
    tmp_path: Path, quick: None
) -> None:
    (tmp_path / "alive").write_text("a file", encoding="utf-8")
    async with beating(tmp_path, "hosts"):
        await asyncio.sleep(0.05)

    assert last_beat(tmp_path, "hosts") is None
