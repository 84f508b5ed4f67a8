"""Workers are upgraded in the middle of a deployment: with builds, and one after the other."""

import asyncio
import subprocess
from collections import Counter
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

from temporalio.api.enums.v1 import EventType
from temporalio.client import Client

from apollo import names
from apollo.client import DeploymentHandle
from apollo.domain.status import DeploymentState
from apollo.local.judge import HookRun, read_hook_log, repeated_hooks
from apollo.local.process import find_program
from apollo.versions import Version, switch
from apollo.versions import versions as builds
from tests.support.gate import gated_release, has_attached, open_gate, until_attached
from tests.support.scene import eventually
from tests.support.witness import hooks_of, locations, versions
from tests.support.world import World

FLEET = {"fra1": 12, "ams1": 10, "lhr1": 8}
STRATEGY = "strategy: {waves: [100%], max_unavailable: 40%}"
QUEUES = (names.CONTROL_QUEUE, names.HOSTS_QUEUE)
FIRST, LATER = ("install", "start", "validate"), ("install", "stop", "start", "validate")
TAKEOVER = 2
PATIENCE = timedelta(minutes=2)


def next_worker(world: World, code: str, **variables: str) -> "subprocess.Popen[bytes]":
    """A worker of a later version, whose deployments are made of other commands."""
    return world.start_worker("tests.support.next_worker", NEXT_CODE=code, **variables)


async def under_way(world: World, hosts: int) -> DeploymentHandle:
    """A deployment that has got to `start` on some hosts, where all wait at their gates."""
    deployment = await world.apollo.deploy("shop", "prod", "1.0.0")
    await eventually(lambda: _started(world, hosts), rounds=2400)
    return deployment


async def _started(world: World, hosts: int) -> bool:
    runs = read_hook_log(world.hook_log)
    return len({run.host for run in runs if run.step == "start"}) >= hosts


def open_gates(world: World) -> None:
    for location in ("fra1", "ams1", "lhr1"):
        open_gate(world, location)


async def make_current(world: World, build: str) -> Client:
    client = await world.apollo.temporal()
    await switch(client, build, QUEUES, by="tester", wait=PATIENCE)
    return client


async def by_build(client: Client) -> dict[str, Version]:
    return {each.build: each for each in await builds(client, QUEUES)}


async def build_of(client: Client, workflow_id: str) -> str:
    """The build on which Temporal has a workflow run."""
    described = await client.get_workflow_handle(workflow_id).describe()
    info = described.raw_description.workflow_execution_info
    return info.versioning_info.deployment_version.build_id


async def processes(client: Client, deployment: DeploymentHandle) -> Counter[int]:
    """The workers that were given turns of a deployment, by process id."""
    found: Counter[int] = Counter()
    ours = f"WorkflowType = 'Batch' AND WorkflowId STARTS_WITH '{deployment.workflow_id}/'"
    async for each in client.list_workflows(ours):
        async for event in client.get_workflow_handle(each.id).fetch_history_events():
            identity = event.activity_task_started_event_attributes.identity
            if identity.startswith(names.HOSTS_QUEUE):
                found[int(identity.rpartition(":")[2])] += 1
    return found


async def paused_first(client: Client, deployment: DeploymentHandle) -> bool:
    """Whether it was begun by the later version, which begins with a pause."""
    handle = client.get_workflow_handle(deployment.workflow_id)
    kinds = [event.event_type async for event in handle.fetch_history_events()]
    begun = EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED
    return EventType.EVENT_TYPE_TIMER_STARTED in kinds[: kinds.index(begun)]


def once_each(runs: Iterable[HookRun], hosts: Iterable[str], steps: Iterable[str]) -> None:
    ran = Counter((run.host, run.step) for run in runs)
    assert ran == {(host, step): 1 for host in hosts for step in steps}


async def test_a_deployment_ends_on_the_build_on_which_it_began(tmp_path: Path) -> None:
    """The later build cannot carry on what the earlier one has begun, and need not."""
    async with World(tmp_path, FLEET, STRATEGY, takeover=TAKEOVER) as world:
        await gated_release(world, "1.0.0")
        await world.release("2.0.0")
        old = world.start_worker(APOLLO_BUILD_ID="1")
        client = await make_current(world, "1")
        first = await under_way(world, 6)

        new = next_worker(world, "broken", APOLLO_BUILD_ID="2")
        await make_current(world, "2")
        second = await world.apollo.deploy("shop", "prod", "2.0.0", if_busy="wait")
        await eventually(lambda: _begun(client, second), rounds=1200)
        between = await by_build(client)
        assert not await _started(world, 15), "most hosts have their turn after the switch"
        on = [await build_of(client, each.workflow_id) for each in (first, second)]
        open_gates(world)
        results = [await first.result()]
        await eventually(lambda: _may_go(client, "1"), rounds=1200)
        await world.stop_worker(old)
        results.append(await second.result())
        ran, hosts = await versions(world.fleet), list(locations(world.fleet))
        given = [await processes(client, each) for each in (first, second)]
        paused = [await paused_first(client, each) for each in (first, second)]

    assert on == ["1", "2"]
    assert between["2"].current
    assert between["1"].deployments == ("shop/prod#1",)
    assert not between["1"].needless
    assert [each.state for each in results] == [DeploymentState.SUCCEEDED] * 2
    assert [each.outcomes for each in results] == [{"updated": 30}] * 2
    assert ran == dict.fromkeys(hosts, "2.0.0")
    assert paused == [False, True]
    assert [set(each) for each in given] == [{old.pid}, {new.pid}]
    runs = read_hook_log(world.hook_log)
    assert repeated_hooks(runs) == {}
    once_each(hooks_of(runs, "shop/prod#1"), hosts, FIRST)
    once_each(hooks_of(runs, "shop/prod#2"), hosts, LATER)


async def _begun(client: Client, deployment: DeploymentHandle) -> bool:
    return bool(await build_of(client, deployment.workflow_id))


async def _may_go(client: Client, build: str) -> bool:
    return (await by_build(client))[build].needless


async def test_one_worker_after_the_other_repeats_nothing(tmp_path: Path) -> None:
    """Without builds: the old worker hands over to a later version that understands it."""
    async with World(tmp_path, FLEET, STRATEGY, takeover=TAKEOVER) as world:
        await gated_release(world, "1.0.0")
        old = world.start_worker()
        deployment = await under_way(world, 6)
        await world.stop_worker(old)
        new = next_worker(world, "patched")
        await until_attached(world)
        open_gates(world)
        result = await deployment.result()
        status = await deployment.status()
        client = await world.apollo.temporal()
        given = await processes(client, deployment)
        ran, hosts = await versions(world.fleet), list(locations(world.fleet))

    assert (result.state, result.outcomes) == (DeploymentState.SUCCEEDED, {"updated": 30})
    assert ran == dict.fromkeys(hosts, "1.0.0")
    assert status
    assert [row.host for row in status.rows if row.attached], "the stop cut nothing"
    assert new.pid in given
    once_each(read_hook_log(world.hook_log), hosts, FIRST)


async def test_without_builds_a_version_that_does_not_understand_it_is_stuck(
    tmp_path: Path,
) -> None:
    """The control: what builds protect from. It still repeats nothing, and can be mended."""
    async with World(tmp_path, {"fra1": 2}, takeover=TAKEOVER) as world:
        await gated_release(world, "1.0.0")
        old = world.start_worker()
        deployment = await under_way(world, 1)
        await world.stop_worker(old)
        broken = next_worker(world, "broken")
        open_gates(world)
        client = await world.apollo.temporal()
        await eventually(lambda: _differs(client, deployment), rounds=2400)
        assert not (await _ended(deployment))

        await world.stop_worker(broken)
        world.start_worker()
        result = await deployment.result()
        hosts = list(locations(world.fleet))

    assert (result.state, result.outcomes) == (DeploymentState.SUCCEEDED, {"updated": 2})
    once_each(read_hook_log(world.hook_log), hosts, FIRST)


async def _differs(client: Client, deployment: DeploymentHandle) -> bool:
    handle = client.get_workflow_handle(deployment.workflow_id)
    failed = [
        event.workflow_task_failed_event_attributes.failure.message
        async for event in handle.fetch_history_events()
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED
    ]
    return any("Nondeterminism" in each for each in failed)


async def _ended(deployment: DeploymentHandle) -> bool:
    status = await deployment.status()
    return bool(status and status.deployment.state.ended)


async def test_what_workers_without_a_build_have_begun_moves_on_to_the_first(
    tmp_path: Path,
) -> None:
    async with World(tmp_path, {"fra1": 1}, takeover=TAKEOVER) as world:
        await gated_release(world, "1.0.0")
        old = world.start_worker()
        deployment = await under_way(world, 1)
        next_worker(world, "patched", APOLLO_BUILD_ID="1")
        client = await make_current(world, "1")
        await world.stop_worker(old)
        await until_attached(world)
        open_gates(world)
        result = await deployment.result()
        on, hosts = await build_of(client, deployment.workflow_id), list(locations(world.fleet))

    assert (result.state, result.outcomes, on) == (DeploymentState.SUCCEEDED, {"updated": 1}, "1")
    once_each(read_hook_log(world.hook_log), hosts, FIRST)


async def test_what_a_lost_build_has_begun_can_be_moved_to_the_next(tmp_path: Path) -> None:
    """As docs/cluster.md says, with Temporal's own program; until then it waits."""
    async with World(tmp_path, {"fra1": 2}, takeover=TAKEOVER) as world:
        await gated_release(world, "1.0.0")
        world.start_worker(APOLLO_BUILD_ID="1")
        client = await make_current(world, "1")
        deployment = await under_way(world, 1)
        world.kill_worker()
        next_worker(world, "patched", APOLLO_BUILD_ID="2")
        await make_current(world, "2")
        await asyncio.sleep(3 * TAKEOVER)
        assert not await has_attached(world), "a worker of another build has taken it over"

        await asyncio.to_thread(move, world, "1")
        await until_attached(world)
        open_gates(world)
        result = await deployment.result()
        hosts = list(locations(world.fleet))
        assert (await by_build(client))["1"].needless

    assert (result.state, result.outcomes) == (DeploymentState.SUCCEEDED, {"updated": 2})
    once_each(read_hook_log(world.hook_log), hosts, FIRST)


def move(world: World, build: str) -> None:
    """Let what is pinned to a build move on to the current one."""
    lost = f"TemporalWorkerDeploymentVersion='apollo:{build}' AND ExecutionStatus='Running'"
    words = ["workflow", "update-options", "--query", lost, "--yes"]
    words += ["--versioning-override-behavior", "auto_upgrade", "--reason", "build lost"]
    command = [find_program("temporal"), *words, "--address", world.temporal.address]
    subprocess.run(command, check=True, capture_output=True)
