"""Releases that fail on their hosts: put back, rolled back, halted, or tolerated."""

from collections.abc import Mapping
from typing import Literal

import pytest

from apollo.domain.rollout import DeploymentResult
from apollo.domain.status import DeploymentState, Serving
from apollo.testing.artifact import Fault, write_artifact
from tests.support.scene import until_out
from tests.support.show import FILE, FLEET, HASTY, Show

HOSTS = sum(FLEET.values())
ROLLBACK = "strategy: {max_unavailable: 25%}"
HALT = "strategy: {max_unavailable: 25%, on_failure: halt}"

BUDGET = "strategy: {{waves: [100%], max_unavailable: 67%, max_failures: {}}}"


def assert_adds_up(result: DeploymentResult, outcomes: Mapping[str, int]) -> None:
    assert result.outcomes == outcomes
    assert sum(result.outcomes.values()) == HOSTS


async def host_outcomes(show: Show, result: DeploymentResult) -> dict[str, str]:
    """How each host ended forward."""
    number = int(result.label.partition("#")[2])
    handle = await show.world.apollo.deployment("shop", "prod", number)
    status = await handle.status()
    assert status
    return {row.host: str(row.outcome) for row in status.rows if row.phase == "forward"}


async def test_what_passes_its_one_box_and_fails_elsewhere_is_rolled_back(show: Show) -> None:
    old, bad = await show.serving(), await show.release(Fault("health", from_wave=2))
    await show.world.apply(f"{FILE}\n    {ROLLBACK}")
    watched = await show.deploy_under_traffic(bad)

    assert watched.result.state is DeploymentState.ROLLED_BACK
    assert set((await show.versions()).values()) == {old}
    assert watched.report.lost == []
    # The one box served the bad release: it had really passed.
    assert set(watched.report.by_version) == {old, bad}
    reverted = watched.result.outcomes["reverted"]
    assert 1 <= reverted <= len(FLEET)
    assert_adds_up(
        watched.result,
        {"rolled_back": 1, "reverted": reverted, "not_started": HOSTS - 1 - reverted},
    )
    assert watched.result.errors == {"NotHealthy": reverted}
    assert watched.capacity.in_fleet <= len(FLEET)


@pytest.mark.parametrize("step", ["install", "start", "validate"])
async def test_a_failing_hook_is_rolled_back(
    show: Show, step: Literal["install", "start", "validate"]
) -> None:
    old, bad = await show.serving(), await show.release(Fault(step, from_wave=2))
    await show.world.apply(ROLLBACK)
    result = await show.world.deploy(bad)

    assert result.state is DeploymentState.ROLLED_BACK
    assert set((await show.versions()).values()) == {old}
    assert result.errors == {"HookFailed": result.outcomes["reverted"]}
    assert result.outcomes["rolled_back"] == 1
    assert sum(result.outcomes.values()) == HOSTS


async def test_halt_leaves_every_host_as_it_is(show: Show) -> None:
    old, bad = await show.serving(), await show.release(Fault("start", from_wave=2))
    await show.world.apply(HALT)
    result = await show.world.deploy(bad)

    assert result.state is DeploymentState.HALTED
    ended = await host_outcomes(show, result)
    assert set(ended.values()) == {"updated", "reverted", "not_started"}
    runs = {"updated": bad, "reverted": old, "not_started": old}
    assert await show.versions() == {host: runs[outcome] for host, outcome in ended.items()}
    assert sum(result.outcomes.values()) == HOSTS


async def test_a_host_that_cannot_be_put_back_is_broken_and_out(show: Show) -> None:
    old = await show.serving()
    bad = await release_that_ruins(show, "lhr1-01")
    await show.world.apply(
        f"{HASTY}\n    strategy: {{waves: [100%], max_unavailable: 67%, on_failure: halt}}"
    )
    result = await show.world.deploy(bad)

    assert result.state is DeploymentState.HALTED
    assert result.outcomes["broken"] == 1
    assert sum(result.outcomes.values()) == HOSTS
    served = await show.versions()
    assert served.pop("lhr1-01") == ""
    assert set(served.values()) <= {old, bad}
    await until_out(show.caddy.view(), {"lhr1-01"})
    known = await show.world.apollo.hosts("shop", "prod")
    assert known["lhr1-01"].serving is Serving.BROKEN

    # The next deployment begins with it, and mends it.
    good = await show.serving()
    assert set((await show.versions()).values()) == {good}


async def release_that_ruins(show: Show, host: str) -> str:
    """A release that does not start on a host, and keeps its predecessor from starting there."""
    version = show.next_version()
    dist = write_artifact(show.world.folder / f"dist-{version}", version, Fault("start", (host,)))
    start = dist / "bin" / "start"
    previous = '-path "*-$APOLLO_PREVIOUS_RELEASE/bin/start"'
    ruin = f'if faulty start; then find "$root/releases" {previous} -delete; fi\n'
    start.write_text(start.read_text().replace(". bin/common\n", f". bin/common\n{ruin}"))
    await show.world.apollo.create_release("shop", version, show.world.project.setup, dist)
    return version


async def test_as_many_failures_as_are_allowed_are_tolerated(show: Show) -> None:
    old, bad = await show.serving(), await show.release(Fault("start", hosts=("lhr1-*",)))
    await show.world.apply(BUDGET.format(3))
    result = await show.world.deploy(bad)

    assert result.state is DeploymentState.PARTIAL
    assert_adds_up(result, {"updated": 9, "reverted": 3})
    assert await show.versions() == {
        host: old if place == "lhr1" else bad for host, place in show.places.items()
    }


async def test_one_failure_more_than_allowed_is_not(show: Show) -> None:
    """The control: a budget that is one smaller."""
    old, bad = await show.serving(), await show.release(Fault("start", hosts=("lhr1-*",)))
    await show.world.apply(BUDGET.format(2))
    result = await show.world.deploy(bad)

    assert result.state is DeploymentState.ROLLED_BACK
    assert set((await show.versions()).values()) == {old}
    assert result.outcomes["reverted"] == 3
    assert sum(result.outcomes.values()) == HOSTS
