"""What the catalog tells a sync and a restart of the turns that hosts have had."""

from pathlib import Path
from typing import Any

from apollo.activities.sync import SyncActivities
from apollo.catalog import Catalog
from apollo.catalog.records import NewDeployment, StoredDeployment
from apollo.domain.plan import PlannedHost
from apollo.domain.rollback import RollbackTurn
from apollo.domain.status import DeploymentState, Outcome
from apollo.domain.sync import JudgeInput, Sight
from tests.support.catalogs import digest, ended, release, shop_catalog

HOSTS = ("web1", "web2", "web3", "web4")


async def deployed(
    catalog: Catalog,
    mark: str,
    *ends: Outcome | None,
    state: str = "succeeded",
    kind: str = "deploy",
) -> StoredDeployment:
    """A deployment in which the first hosts ended so; none: they had no turn."""
    new = NewDeployment(
        workflow_id=f"{kind}{mark}",
        run_id="r",
        application="shop",
        environment="prod",
        release=mark,
        kind=kind,
        whole_fleet=kind == "deploy",
    )
    stored = await catalog.deployments.open(new)
    rows = [
        PlannedHost(order=n, wave=1, batch=1, host=host, location="fra1")
        for n, host in enumerate(HOSTS, 1)
    ]
    manifests = dict.fromkeys(HOSTS, digest(mark))
    await catalog.plans.store(stored.uuid, rows, manifests, {}, {})
    records = [ended(h, end, runs=mark) for h, end in zip(HOSTS, ends, strict=False) if end]
    await catalog.turns.record(stored.uuid, "forward", records)
    if state != "running":
        await catalog.deployments.end(stored.uuid, DeploymentState(state))
    return stored


async def past(catalog: Catalog, number: int) -> dict[str, list[tuple[Any, ...]]]:
    found = await catalog.turns.since("shop", "prod", number=number, hosts=HOSTS)
    return {
        host: [(turn.number, str(turn.outcome), turn.wanted, turn.ran) for turn in turns]
        for host, turns in found.items()
    }


async def test_turns_since_a_deployment(tmp_path: Path) -> None:
    """The oldest first; what had no turn, or was skipped, is none."""
    up, a, b = Outcome.UPDATED, digest("a"), digest("b")
    async with shop_catalog(tmp_path) as catalog:
        await deployed(catalog, "0", up, up, up, up)
        await deployed(catalog, "a", up, Outcome.UNREACHABLE, Outcome.SKIPPED)
        await deployed(catalog, "b", None, up, state="running", kind="sync")
        assert await past(catalog, 2) == {
            "web1": [(2, "updated", a, a)],
            "web2": [(2, "unreachable", a, a), (3, "updated", b, b)],
        } | {host: [] for host in HOSTS[2:]}
        kinds = await catalog.turns.since("shop", "prod", number=3, hosts=["web2"])
    (turn,) = kinds["web2"]
    assert (turn.kind, turn.state, turn.release) == ("sync", "waiting", "b")


async def test_both_phases_are_one_turn(tmp_path: Path) -> None:
    """What the rollback decided counts; a look at a host that was put back decides nothing."""
    up, old = Outcome.UPDATED, digest("a")
    async with shop_catalog(tmp_path) as catalog:
        stored = await deployed(catalog, "b", up, up, Outcome.REVERTED, up, state="running")
        back = [
            RollbackTurn(order=n, host=host, location="fra1", action=action, manifest=manifest)  # type: ignore[arg-type]
            for n, (host, action, manifest) in enumerate(
                [
                    ("web1", "restore", old),
                    ("web2", "stop", None),
                    ("web3", "check", old),
                    ("web4", "restore", old),
                ],
                1,
            )
        ]
        await catalog.plans.store_rollback(stored.uuid, back)
        records = [
            ended("web1", Outcome.ROLLED_BACK, turn=2, runs="a"),
            ended("web2", Outcome.BROKEN, turn=2, runs=None),
            ended("web3", Outcome.ROLLED_BACK, turn=2, runs="a"),
            ended("web4", Outcome.SKIPPED, turn=2, runs=None),
        ]
        await catalog.turns.record(stored.uuid, "rollback", records)
        found = await past(catalog, 1)
    new = digest("b")
    assert found == {
        "web1": [(1, "rolled_back", old, old)],
        "web2": [(1, "broken", None, None)],
        "web3": [(1, "reverted", new, new)],
        "web4": [(1, "updated", new, new)],
    }


async def test_a_restart_and_a_sync_leave_the_current_release(tmp_path: Path) -> None:
    up = Outcome.UPDATED
    async with shop_catalog(tmp_path) as catalog:
        await deployed(catalog, "a", up, up, up, up)
        await deployed(catalog, "b", up, up, up, up, kind="restart")
        await deployed(catalog, "c", up, up, kind="sync")
        current = await catalog.deployments.current("shop", "prod")
        good = await catalog.turns.last_good("shop", "prod", before=9, hosts=HOSTS)
    assert current
    assert (current.number, current.release) == (1, "a")
    assert {host: last.release for host, last in good.items()} == {
        "web1": "c",
        "web2": "c",
        "web3": "a",
        "web4": "a",
    }


async def test_a_host_in_the_middle_of_a_turn_is_an_open_case(tmp_path: Path) -> None:
    """The catalog does not know of the turn before it has ended; the host does."""
    up = Outcome.UPDATED
    async with shop_catalog(tmp_path) as catalog:
        await catalog.releases.add(release("a"), "ada")
        await deployed(catalog, "a", up, up, up, up)
        running = await deployed(catalog, "b", state="running")
        sights = (
            Sight(host="web1", state="changing", turn_of=running.uuid),
            Sight(host="web2", state="changing", turn_of="a deployment of another catalog"),
        )
        given = JudgeInput(
            application="shop",
            environment="prod",
            release="a",
            number=1,
            revision=1,
            sights=sights,
        )
        judged = await SyncActivities(catalog, None).judge(given)  # type: ignore[arg-type]
    assert [(each.finding, each.number) for each in judged.found] == [
        ("open", 2),
        ("drifted", None),
    ]
