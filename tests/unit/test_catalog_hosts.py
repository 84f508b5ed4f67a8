"""What runs where: now, and at any past moment."""

import asyncio
import tempfile
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apollo.catalog import Catalog
from apollo.catalog.changes import after_turn
from apollo.catalog.records import KnownHost
from apollo.domain.plan import HostState
from apollo.domain.rollout import Phase
from apollo.domain.status import Outcome, Serving
from apollo.domain.turn import TurnRecord
from apollo.errors import NotFound
from tests.support.catalogs import StandingClock, digest, ended, opened, shop_catalog

pytestmark = pytest.mark.usefixtures("every_database")

A, B = digest("a"), digest("b")
DEEDS = st.lists(
    st.tuples(
        st.sampled_from(["disable", "enable", "forget", *Outcome]),
        st.sets(st.sampled_from(["web1", "web2", "web3"]), min_size=1),
        st.sampled_from(["a", "b", None]),
    ),
    max_size=12,
)


async def _do(
    catalog: Catalog, deed: str, hosts: set[str], runs: str | None, uuid: str, turn: int
) -> None:
    if deed == "disable":
        await catalog.hosts.disable("shop", "prod", hosts, "anna", "disk")
    elif deed == "enable":
        await catalog.hosts.enable("shop", "prod", hosts, "anna")
    elif deed == "forget":
        await catalog.hosts.forget("shop", "prod", hosts, "anna")
    else:
        records = [ended(host, Outcome(deed), turn=turn, runs=runs) for host in hosts]
        await catalog.turns.record(uuid, "forward", records)


@settings(max_examples=40, deadline=None)
@given(deeds=DEEDS)
def test_the_past_is_as_it_was_seen_then(
    deeds: list[tuple[str, set[str], str | None]],
) -> None:
    clock = StandingClock()

    async def check(folder: Path) -> None:
        async with shop_catalog(folder, clock=clock) as catalog:
            uuid = (await opened(catalog)).uuid
            seen: list[tuple[datetime, dict[str, KnownHost]]] = []
            for turn, (deed, hosts, runs) in enumerate(deeds, 1):
                now = clock.move(10)
                await _do(catalog, deed, hosts, runs, uuid, turn)
                seen.append((now, await catalog.hosts.states("shop", "prod")))
            for moment, states in seen:
                assert states == await catalog.hosts.at("shop", "prod", moment)
                later = moment + timedelta(seconds=9)
                assert states == await catalog.hosts.at("shop", "prod", later)

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(check(Path(folder)))


async def test_what_runs_since_when(tmp_path: Path) -> None:
    clock = StandingClock()
    async with shop_catalog(tmp_path, clock=clock) as catalog:
        first = await opened(catalog, "w1", "a")
        since = clock.move(60)
        await catalog.turns.record(first.uuid, "forward", [ended("web1")])
        clock.move(60)
        second = await opened(catalog, "w2", "a")
        await catalog.turns.record(second.uuid, "forward", [ended("web1", Outcome.CURRENT)])
        state = (await catalog.hosts.states("shop", "prod"))["web1"]

        assert [state] == await catalog.hosts.history("shop", "prod", "web1")
        assert await catalog.hosts.at("shop", "prod", since - timedelta(seconds=1)) == {}
    assert (Serving.SERVING, A, "a", since, first.uuid) == (
        state.serving,
        state.manifest,
        state.release,
        state.since,
        state.deployment,
    )


async def test_a_clock_that_goes_back_does_not_undo_history(tmp_path: Path) -> None:
    clock = StandingClock()
    async with shop_catalog(tmp_path, clock=clock) as catalog:
        deployment = await opened(catalog)
        now = clock.now
        await catalog.turns.record(deployment.uuid, "forward", [ended("web1")])
        clock.move(-3600)
        records = [ended("web1", Outcome.BROKEN, turn=2)]
        await catalog.turns.record(deployment.uuid, "forward", records)

        assert Serving.BROKEN is (await catalog.hosts.at("shop", "prod", now))["web1"].serving
        assert len(await catalog.hosts.history("shop", "prod", "web1")) == 2
        assert await catalog.hosts.at("shop", "prod", now - timedelta(seconds=1)) == {}


async def test_a_disabled_host_comes_back_as_it_was(tmp_path: Path) -> None:
    async with shop_catalog(tmp_path) as catalog:
        deployment = await opened(catalog)
        await catalog.turns.record(deployment.uuid, "forward", [ended("web1")])
        disable, enable = catalog.hosts.disable, catalog.hosts.enable
        assert await disable("shop", "prod", ["web2", "web1"], "anna", "disk") == ["web1", "web2"]
        assert await disable("shop", "prod", ["web1"], "bert", "other") == []
        disabled = await catalog.hosts.states("shop", "prod")
        assert await enable("shop", "prod", ["web1", "web2", "web3"], "anna") == ["web1", "web2"]
        states = await catalog.hosts.states("shop", "prod")
        audit = [(e.action, e.detail["hosts"]) for e in await catalog.audit.list(limit=2)]

    assert (
        disabled["web1"].serving,
        disabled["web1"].disabled_reason,
        disabled["web1"].manifest,
    ) == (Serving.DISABLED, "disk", A)
    assert {host: state.serving for host, state in states.items()} == {
        "web1": Serving.SERVING,
        "web2": Serving.NEW,
    }
    assert audit == [("hosts enable", ["web1", "web2"]), ("hosts disable", ["web1", "web2"])]


async def test_a_turn_that_ends_on_a_disabled_host_leaves_it_disabled(tmp_path: Path) -> None:
    async with shop_catalog(tmp_path) as catalog:
        deployment = await opened(catalog)
        await catalog.hosts.disable("shop", "prod", ["web1"], "anna", "disk")
        await catalog.turns.record(deployment.uuid, "forward", [ended("web1")])
        state = (await catalog.hosts.states("shop", "prod"))["web1"]

        assert (state.serving, state.manifest) == (Serving.DISABLED, A)


async def test_forgotten_hosts_have_no_state_and_no_keys(tmp_path: Path) -> None:
    async with shop_catalog(tmp_path) as catalog:
        deployment = await opened(catalog)
        await catalog.turns.record(deployment.uuid, "forward", [ended("web1"), ended("web2")])
        await catalog.keys.trust("shop", "prod", {"web1": ["key"], "web3": ["key"]}, "anna")
        forget = catalog.hosts.forget
        assert await forget("shop", "prod", ["web1", "web3", "web4"], "anna") == ["web1", "web3"]
        assert await forget("shop", "prod", ["web1"], "anna") == []

        assert list(await catalog.hosts.states("shop", "prod")) == ["web2"]
        assert await catalog.keys.lines("shop", "prod") == {}
        assert len(await catalog.hosts.history("shop", "prod", "web1")) == 1
        with pytest.raises(NotFound):
            await forget("shop", "staging", ["web1"], "anna")


SERVED = HostState(serving=Serving.SERVING, manifest=A, release="a")
FAILED = SERVED.model_copy(update={"failed_last": True})


@pytest.mark.parametrize(
    ("known", "record", "phase", "serving", "manifest", "failed"),
    [
        (FAILED, ended("h", runs="b"), "forward", Serving.SERVING, B, False),
        (FAILED, ended("h", Outcome.CURRENT), "forward", Serving.SERVING, A, False),
        (SERVED, ended("h", Outcome.REVERTED), "forward", Serving.SERVING, A, True),
        (
            SERVED,
            TurnRecord(host="h", outcome=Outcome.REVERTED, previous=A),
            "forward",
            Serving.SERVING,
            A,
            True,
        ),
        (SERVED, ended("h", Outcome.BROKEN, runs="b"), "forward", Serving.BROKEN, B, True),
        (SERVED, ended("h", Outcome.BROKEN, runs=None), "forward", Serving.BROKEN, None, True),
        (SERVED, ended("h", Outcome.LOST, runs=None), "forward", Serving.LOST, A, True),
        (SERVED, ended("h", Outcome.LOST, runs="b"), "forward", Serving.LOST, B, True),
        (FAILED, ended("h", Outcome.UNREACHABLE), "forward", Serving.UNREACHABLE, A, True),
        (SERVED, ended("h", Outcome.UNREACHABLE), "forward", Serving.UNREACHABLE, A, False),
        (SERVED, ended("h", Outcome.SKIPPED, runs=None), "forward", Serving.SERVING, A, False),
        (FAILED, ended("h", Outcome.ROLLED_BACK), "rollback", Serving.SERVING, A, True),
        (SERVED, ended("h", Outcome.ROLLED_BACK), "rollback", Serving.SERVING, A, False),
        (SERVED, ended("h", Outcome.ROLLED_BACK, runs=None), "rollback", Serving.NEW, None, False),
    ],
)
def test_what_a_turn_says_about_its_host(
    known: HostState,
    record: TurnRecord,
    phase: Phase,
    serving: Serving,
    manifest: str | None,
    failed: bool,
) -> None:
    state = after_turn(known, record, phase)

    assert (serving, manifest, failed) == (state.serving, state.manifest, state.failed_last)
