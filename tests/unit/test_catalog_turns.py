"""Plans and turns: written once, whatever is repeated; what hosts ran before is known."""

import asyncio
import itertools
import tempfile
from datetime import timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apollo.catalog import Catalog
from apollo.catalog.records import HostRow, KnownHost, NewDeployment, final_outcome
from apollo.domain.plan import HostState, make_plan
from apollo.domain.rollback import EndedHost, rollback_plan
from apollo.domain.status import DeploymentState, Outcome, Serving
from apollo.domain.strategy import Strategy
from apollo.domain.turn import Step, TurnRecord
from apollo.errors import NotFound
from tests.support.catalogs import (
    StandingClock,
    digest,
    ended,
    environment,
    opened,
    shop_catalog,
)
from tests.support.statements import listening

pytestmark = pytest.mark.usefixtures("every_database")

HOSTS = ("web1", "web2", "web3", "web4")
RECORDS = st.lists(
    st.builds(
        ended,
        st.sampled_from(HOSTS),
        st.sampled_from(list(Outcome)),
        turn=st.integers(1, 4),
        runs=st.sampled_from(["a", "b", None]),
    ),
    max_size=8,
)


async def _all(catalog: Catalog, uuid: str) -> tuple[list[HostRow], list[list[KnownHost]]]:
    histories = [await catalog.hosts.history("shop", "prod", host) for host in HOSTS]
    return await catalog.plans.rows(uuid), histories


async def test_many_hosts_take_few_statements_more(tmp_path: Path) -> None:
    took = {}
    for hosts in (10, 10_000):
        fleet = environment(hosts).fleet
        manifests = {host.name: digest("a") for host in fleet.hosts}
        plan = make_plan(fleet, Strategy(), {}, manifests)
        (folder := tmp_path / str(hosts)).mkdir()
        async with shop_catalog(folder) as catalog:
            new = NewDeployment(
                workflow_id="w1", run_id="run", application="shop", environment="prod"
            )
            deployment = await catalog.deployments.open(new)
            records = [ended(host.name) for host in fleet.hosts[:500]]
            with listening() as storing:
                assert await catalog.plans.store(deployment.uuid, plan.hosts, manifests, {}, {})
            with listening() as recording:
                await catalog.turns.record(deployment.uuid, "forward", records)
            counts = await catalog.turns.counts(deployment.uuid)
        assert counts == {"updated": len(records), **({"pending": 9500} if hosts > 10 else {})}
        took[hosts] = len(storing), len(recording)

    few, many = took[10], took[10_000]
    assert many[0] <= few[0] + 2, "rows are inserted in pieces"
    assert many[1] - few[1] <= 500 - 10, "one for what each host's hooks have printed"


async def test_a_plan_is_stored_once(tmp_path: Path) -> None:
    states = {"web1": HostState(serving=Serving.BROKEN, manifest=digest("b"), release="b")}
    async with shop_catalog(tmp_path) as catalog:
        deployment = await opened(catalog, states=states)
        rows = await catalog.plans.rows(deployment.uuid)
        other = make_plan(environment(9).fleet, Strategy(), {}, {}).hosts

        assert not await catalog.plans.store(deployment.uuid, other, {}, {}, {"other": True})
        assert rows == await catalog.plans.rows(deployment.uuid)
        stored = await catalog.deployments.by_uuid(deployment.uuid)
    assert (stored.hosts, (stored.plan or {})["failures_allowed"]) == (4, 0)
    first = next(row for row in rows if row.host == "web1")
    assert (True, True, digest("a"), digest("b"), "b", 1) == (
        first.was_out,
        first.was_broken,
        first.manifest,
        first.previous_manifest,
        first.previous_release,
        first.next_turn,
    )


async def test_a_batch_has_its_hosts_in_order(tmp_path: Path) -> None:
    async with shop_catalog(tmp_path) as catalog:
        deployment = await opened(catalog)
        rows = await catalog.plans.rows(deployment.uuid)
        second = await catalog.plans.batch(deployment.uuid, "forward", 2, 1)

        assert [row.order for row in second] == [2, 3, 4]
        assert second == rows[1:]
        assert await catalog.plans.batch(deployment.uuid, "rollback", 1, 1) == []
        with pytest.raises(NotFound):
            await catalog.plans.store("nobody", [], {}, {}, {})


async def test_a_turn_is_kept_whole(tmp_path: Path) -> None:
    clock = StandingClock()
    record = TurnRecord(
        host="web1",
        outcome=Outcome.REVERTED,
        turn=2,
        manifest=digest("b"),
        release="b",
        steps=(Step(name="start", exit=1, seconds=0.5),),
        attached=("start",),
        error="HookFailed",
        step="start",
        message="start ended with 1",
        output="no such file\n",
        began_at=clock.now.astimezone(timezone(timedelta(hours=2))),
        seconds=4.5,
    )
    async with shop_catalog(tmp_path, clock=clock) as catalog:
        deployment = await opened(catalog)
        began = clock.now
        end = clock.move(5)
        await catalog.turns.record(deployment.uuid, "forward", [record])
        row = next(r for r in await catalog.plans.rows(deployment.uuid) if r.host == "web1")

        assert await catalog.turns.errors(deployment.uuid) == {"HookFailed": 1}
    assert record == row.record
    assert (
        row.step,
        row.error,
        row.message,
        row.attached,
        row.next_turn,
    ) == ("start", "HookFailed", "start ended with 1", ("start",), 3)
    assert (began, end) == (row.started_at, row.ended_at)


async def test_hosts_that_are_not_planned_cannot_end(tmp_path: Path) -> None:
    async with shop_catalog(tmp_path) as catalog:
        deployment = await opened(catalog, limit=["web1", "web2"])
        with pytest.raises(NotFound, match="plans no forward turn for web3"):
            await catalog.turns.record(deployment.uuid, "forward", [ended("web3"), ended("web1")])

        assert await catalog.turns.counts(deployment.uuid) == {"pending": 2}
        assert await catalog.turns.record(deployment.uuid, "forward", []) == 0


@settings(max_examples=40, deadline=None)
@given(records=RECORDS, again=st.lists(st.integers(0, 7), max_size=8), cut=st.integers(0, 8))
def test_replays_change_nothing(records: list[TurnRecord], again: list[int], cut: int) -> None:
    """Writes may be repeated in any order, in any company: the highest turn holds."""
    repeated = [records[n] for n in again if n < len(records)]
    clock = StandingClock()

    async def check(folder: Path) -> None:
        async with shop_catalog(folder, clock=clock) as catalog:
            uuid = (await opened(catalog)).uuid
            for part in (records[:cut], records[cut:]):
                clock.move(1)
                await catalog.turns.record(uuid, "forward", part)
            rows, histories = before = await _all(catalog, uuid)
            for part in [repeated, *([record] for record in repeated), records]:
                clock.move(1)
                assert await catalog.turns.record(uuid, "forward", part) == 0

            assert before == await _all(catalog, uuid)
            for row in rows:
                turns = [record.turn for record in records if record.host == row.host]
                assert max(turns, default=0) == row.turns
                assert row.record is None or row.record in records
            assert sum((await catalog.turns.counts(uuid)).values()) == 4
            assert all(
                older.since <= newer.since
                for history in histories
                for newer, older in itertools.pairwise(history)
            )

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(check(Path(folder)))


async def test_an_older_deployment_does_not_set_back_what_is_known(tmp_path: Path) -> None:
    async with shop_catalog(tmp_path) as catalog:
        older, newer = await opened(catalog, "w1", "a"), await opened(catalog, "w2", "b")
        await catalog.leases.take("shop", "prod", "w1", "run", 1, 1000)
        await catalog.leases.replace("shop", "prod", "w1", "w2", "run", 2, 1000)
        await catalog.turns.record(newer.uuid, "forward", [ended("web1", runs="b")])
        late = ended("web1", Outcome.LOST, turn=3)

        assert await catalog.turns.record(older.uuid, "forward", [late]) == 1
        assert await catalog.turns.counts(older.uuid) == {"lost": 1, "pending": 3}
        state = (await catalog.hosts.states("shop", "prod"))["web1"]
    assert (Serving.SERVING, digest("b"), "b") == (state.serving, state.manifest, state.release)


async def test_the_holder_of_a_newer_lease_knows_better_whatever_its_number(
    tmp_path: Path,
) -> None:
    async with shop_catalog(tmp_path) as catalog:
        first, second = await opened(catalog, "w1", "a"), await opened(catalog, "w2", "b")
        for workflow, number in (("w2", 2), ("w1", 1)):
            await catalog.leases.take("shop", "prod", workflow, "run", number, 1000)
            await catalog.leases.release(workflow)
        await catalog.turns.record(second.uuid, "forward", [ended("web1", runs="b")])
        await catalog.turns.record(first.uuid, "forward", [ended("web1", runs="a")])

        assert digest("a") == (await catalog.hosts.states("shop", "prod"))["web1"].manifest


async def _broken_deployment(catalog: Catalog) -> str:
    """#1 succeeds; of #2, one host is updated, one put back, one breaks, one is not begun."""
    first = await opened(catalog, "w1", "a")
    await catalog.turns.record(first.uuid, "forward", [ended(host) for host in HOSTS])
    await catalog.deployments.end(first.uuid, DeploymentState.SUCCEEDED)
    second = await opened(
        catalog, "w2", "b", states=dict(await catalog.hosts.states("shop", "prod"))
    )
    ends = [
        ended("web1", runs="b"),
        ended("web2", Outcome.REVERTED, runs="a"),
        ended("web3", Outcome.BROKEN, turn=2, runs=None),
    ]
    await catalog.turns.record(second.uuid, "forward", ends)
    return second.uuid


async def _plan_rollback(catalog: Catalog, uuid: str) -> bool:
    rows = await catalog.plans.rows(uuid, "forward")
    good = await catalog.turns.last_good("shop", "prod", before=2, hosts=HOSTS)
    hosts = [
        EndedHost(
            planned=row,
            outcome=row.outcome,
            wanted=row.manifest,
            runs=row.ran,
            last_good=good[row.host].manifest,
        )
        for row in rows
        if row.outcome is not None
    ]
    return await catalog.plans.store_rollback(uuid, rollback_plan(hosts))


async def test_a_rollback_has_rows_of_its_own(tmp_path: Path) -> None:
    async with shop_catalog(tmp_path) as catalog:
        uuid = await _broken_deployment(catalog)
        forward = await catalog.plans.rows(uuid)
        assert await _plan_rollback(catalog, uuid)
        assert not await _plan_rollback(catalog, uuid)
        back = await catalog.plans.batch(uuid, "rollback", 1, 1)

        assert forward == await catalog.plans.rows(uuid, "forward")
    assert sorted((row.host for row in back), reverse=True) == ["web3", "web2", "web1"]
    by_host = {row.host: row for row in back}
    assert (3, digest("a"), False) == (
        by_host["web3"].next_turn,
        by_host["web3"].manifest,
        by_host["web3"].check_only,
    )
    assert (by_host["web2"].next_turn, by_host["web2"].check_only) == (2, True)


async def test_both_phases_add_up_to_the_plan(tmp_path: Path) -> None:
    async with shop_catalog(tmp_path) as catalog:
        uuid = await _broken_deployment(catalog)
        await _plan_rollback(catalog, uuid)
        ends = [
            ended("web1", Outcome.ROLLED_BACK, turn=2),
            ended("web2", Outcome.CURRENT, turn=2),
            ended("web3", Outcome.BROKEN, turn=3, runs=None),
        ]
        for _ in range(2):
            await catalog.turns.record(uuid, "rollback", ends)
        await catalog.deployments.end(uuid, DeploymentState.ROLLBACK_FAILED)
        outcomes = {end.host: str(end.outcome) for end in await catalog.turns.ends(uuid)}
        states = await catalog.hosts.states("shop", "prod")

        assert await catalog.turns.errors(uuid) == {"HookFailed": 2}
    assert outcomes == {
        "web1": "rolled_back",
        "web2": "reverted",
        "web3": "broken",
        "web4": "not_started",
    }
    assert {host: state.failed_last for host, state in states.items()} == {
        "web1": False,
        "web2": True,
        "web3": True,
        "web4": False,
    }
    assert (Serving.SERVING, digest("a")) == (states["web1"].serving, states["web1"].manifest)
    assert (states["web3"].serving, states["web3"].manifest) == (Serving.BROKEN, None)


async def test_the_last_good_manifest_is_of_a_succeeded_deployment(tmp_path: Path) -> None:
    runs: list[tuple[str, tuple[str, ...], DeploymentState]] = [
        ("a", HOSTS, DeploymentState.SUCCEEDED),
        ("b", ("web1", "web2"), DeploymentState.SUCCEEDED),
        ("c", HOSTS, DeploymentState.PARTIAL),
        ("d", ("web2",), DeploymentState.SUCCEEDED),
        ("e", HOSTS, DeploymentState.HALTED),
    ]
    async with shop_catalog(tmp_path) as catalog:
        for mark, hosts, state in runs:
            deployment = await opened(catalog, mark, mark, limit=hosts)
            records = [ended(host, runs=mark) for host in hosts]
            await catalog.turns.record(deployment.uuid, "forward", records)
            await catalog.deployments.end(deployment.uuid, state)
        found = {
            before: await catalog.turns.last_good(
                "shop", "prod", before=before, hosts=[*HOSTS, "web9"]
            )
            for before in (1, 3, 6)
        }

    assert found[1] == {}
    assert {host: good.release for host, good in found[3].items()} == {
        "web1": "b",
        "web2": "b",
        "web3": "a",
        "web4": "a",
    }
    assert {host: (good.number, good.manifest[0]) for host, good in found[6].items()} == {
        "web1": (2, "b"),
        "web2": (4, "d"),
        "web3": (1, "a"),
        "web4": (1, "a"),
    }


@pytest.mark.parametrize(
    ("forward", "back", "check_only", "final"),
    [
        (Outcome.UPDATED, None, False, Outcome.UPDATED),
        (Outcome.UPDATED, Outcome.NOT_STARTED, False, Outcome.UPDATED),
        (Outcome.UPDATED, Outcome.SKIPPED, False, Outcome.UPDATED),
        (Outcome.UPDATED, Outcome.ROLLED_BACK, False, Outcome.ROLLED_BACK),
        (Outcome.LOST, Outcome.CURRENT, False, Outcome.ROLLED_BACK),
        (Outcome.REVERTED, Outcome.CURRENT, True, Outcome.REVERTED),
        (Outcome.REVERTED, Outcome.UNREACHABLE, True, Outcome.UNREACHABLE),
        (Outcome.BROKEN, Outcome.BROKEN, False, Outcome.BROKEN),
        (None, None, False, None),
    ],
)
def test_what_two_turns_come_to(
    forward: Outcome | None, back: Outcome | None, check_only: bool, final: Outcome | None
) -> None:
    assert final == final_outcome(forward, back, check_only=check_only)
