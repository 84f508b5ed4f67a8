"""Deployments: numbered without gaps, opened once, ended once."""

import asyncio
from pathlib import Path

import pytest

from apollo.catalog import Catalog
from apollo.catalog.records import NewDeployment
from apollo.domain.status import DeploymentState
from apollo.errors import NotFound
from tests.support.catalogs import (
    StandingClock,
    ended,
    environment,
    opened,
    shop_catalog,
    url,
)

pytestmark = pytest.mark.usefixtures("every_database")


def _new(workflow: str, environment: str = "prod") -> NewDeployment:
    return NewDeployment(
        workflow_id=workflow,
        run_id="run",
        application="shop",
        environment=environment,
        release="1.0",
        by="anna",
        request={"release": "1.0"},
    )


async def test_two_catalogs_number_at_once_without_gaps(tmp_path: Path) -> None:
    async with shop_catalog(tmp_path) as one, Catalog.open(url(tmp_path / "catalog.db")) as two:
        await one.environments.apply(environment(name="dev"), ["dev"], "anna")
        stored = await asyncio.gather(
            *(
                (one, two)[n % 2].deployments.open(_new(f"w{n // 2}", ("prod", "dev")[n // 2 % 2]))
                for n in range(80)
            )
        )

    numbers = {(each.environment, each.number): each.workflow_id for each in stored}
    assert {(name, n) for name in ("prod", "dev") for n in range(1, 21)} == numbers.keys()
    assert len({each.uuid for each in stored}) == 40


async def test_a_workflow_opens_one_deployment(tmp_path: Path) -> None:
    async with shop_catalog(tmp_path) as catalog:
        first = await catalog.deployments.open(_new("w1"))
        await catalog.deployments.set_state(first.uuid, DeploymentState.RUNNING)
        again = await catalog.deployments.open(_new("w1").model_copy(update={"release": "2.0"}))

        assert (
            again.label,
            again.release,
            again.request,
        ) == ("shop/prod#1", "1.0", {"release": "1.0"})
        assert again == await catalog.deployments.by_workflow("w1")
        assert again == await catalog.deployments.by_uuid(first.uuid)
        assert again == await catalog.deployments.get("shop", "prod", 1)
        assert None is await catalog.deployments.by_workflow("w2")


async def test_it_comes_with_the_newest_revision_of_its_environment(tmp_path: Path) -> None:
    async with shop_catalog(tmp_path) as catalog:
        await catalog.environments.apply(environment(name="dev"), ["dev"], "anna")
        first = await catalog.deployments.open(_new("w1"))
        assert await catalog.deployments.with_newest(first.uuid) == (first, 1)
        await catalog.environments.apply(environment(5), ["prod"], "anna")
        assert await catalog.deployments.with_newest(first.uuid) == (first, 2)


async def test_states_and_times(tmp_path: Path) -> None:
    clock = StandingClock()
    async with shop_catalog(tmp_path, clock=clock) as catalog:
        deployment = await catalog.deployments.open(_new("w1"))
        await catalog.deployments.set_state(deployment.uuid, DeploymentState.WAITING)
        started = clock.move(60)
        await catalog.deployments.set_state(deployment.uuid, DeploymentState.RUNNING)
        clock.move(60)
        await catalog.deployments.set_state(deployment.uuid, DeploymentState.PAUSED, "look at it")
        running = await catalog.deployments.running("shop", "prod")
        finished = clock.move(60)
        await catalog.deployments.end(deployment.uuid, DeploymentState.HALTED, "too many failed")
        clock.move(60)
        await catalog.deployments.set_state(deployment.uuid, DeploymentState.RUNNING)
        last = await catalog.deployments.end(deployment.uuid, DeploymentState.SUCCEEDED)

        assert [(r.state, r.detail) for r in running] == [(DeploymentState.PAUSED, "look at it")]
        assert await catalog.deployments.running() == []
    assert (last.state, last.detail) == (DeploymentState.HALTED, "too many failed")
    assert (started, finished) == (last.started_at, last.ended_at)


async def test_what_has_not_had_its_turn_is_not_started_at_the_end(tmp_path: Path) -> None:
    async with shop_catalog(tmp_path) as catalog:
        deployment = await opened(catalog)
        await catalog.turns.record(deployment.uuid, "forward", [ended("web1")])
        await catalog.deployments.end(deployment.uuid, DeploymentState.ABORTED)

        assert await catalog.turns.counts(deployment.uuid) == {"updated": 1, "not_started": 3}


async def test_unknown_deployments_and_environments(tmp_path: Path) -> None:
    async with shop_catalog(tmp_path) as catalog:
        with pytest.raises(NotFound, match="shop/staging"):
            await catalog.deployments.open(_new("w1", "staging"))
        await catalog.deployments.open(_new("w1"))
        with pytest.raises(NotFound, match="shop/prod#2") as caught:
            await catalog.deployments.get("shop", "prod", 2)
        with pytest.raises(NotFound, match="shop/staging"):
            await catalog.deployments.get("shop", "staging", 1)
        with pytest.raises(NotFound):
            await catalog.deployments.by_uuid("nobody")
        with pytest.raises(NotFound):
            await catalog.deployments.with_newest("nobody")
        with pytest.raises(NotFound):
            await catalog.deployments.end("nobody", DeploymentState.FAILED)

    assert caught.value.hint == "the newest is #1"


async def test_lists_are_newest_first_and_can_be_paged(tmp_path: Path) -> None:
    clock = StandingClock()
    async with shop_catalog(tmp_path, clock=clock) as catalog:
        for n in range(1, 6):
            clock.move(1)
            stored = await catalog.deployments.open(_new(f"w{n}"))
            if n == 3:
                await catalog.deployments.end(stored.uuid, DeploymentState.FAILED)
        listed = await catalog.deployments.list("shop", "prod", limit=2)
        rest = await catalog.deployments.list("shop", "prod", before=4)
        failed = await catalog.deployments.list(states=[DeploymentState.FAILED], release="1.0")

    assert [each.number for each in listed] == [5, 4]
    assert [each.number for each in rest] == [3, 2, 1]
    assert [each.number for each in failed] == [3]


async def test_the_current_release_is_of_the_whole_fleet(tmp_path: Path) -> None:
    ends = [
        ("1.0", DeploymentState.SUCCEEDED, True, "1.0"),
        ("1.1", DeploymentState.ROLLED_BACK, True, "1.0"),
        ("1.2", DeploymentState.PARTIAL, True, "1.2"),
        ("1.3", DeploymentState.SUCCEEDED, False, "1.2"),
        ("1.4", DeploymentState.ABORTED, True, "1.2"),
    ]
    async with shop_catalog(tmp_path) as catalog:
        assert None is await catalog.deployments.current_release("shop", "prod")
        for version, state, whole, current in ends:
            stored = await opened(catalog, version, version, whole_fleet=whole)
            await catalog.deployments.end(stored.uuid, state)

            assert current == await catalog.deployments.current_release("shop", "prod")
