"""A worker that is told to stop hands its turns over at once; one that is killed is missed."""

import asyncio
import signal
import subprocess
from pathlib import Path

from temporalio.api.enums.v1 import EventType, TimeoutType
from temporalio.api.failure.v1 import Failure

from apollo.client import DeploymentHandle
from apollo.domain.setup import Once
from apollo.domain.status import DeploymentState
from apollo.local.judge import read_hook_log, repeated_hooks
from apollo.testing.artifact import write_artifact
from tests.support.gate import gated_release, open_gate, until_attached
from tests.support.scene import eventually
from tests.support.world import World

LATE, SOON = 10, 2
"""Seconds until a worker is missed."""


async def begun(world: World) -> DeploymentHandle:
    """A deployment whose turn is in `start`, which waits at its gate."""
    await gated_release(world, "1.0.0")
    world.start_worker()
    deployment = await world.apollo.deploy("shop", "prod", "1.0.0")

    async def started() -> bool:
        return any(run.step == "start" for run in read_hook_log(world.hook_log))

    await eventually(started, rounds=1200)
    return deployment


async def stop(worker: "subprocess.Popen[bytes]") -> int:
    """SIGTERM; the exit code."""
    worker.send_signal(signal.SIGTERM)
    return await asyncio.to_thread(worker.wait, 60)


async def why_again(world: World, deployment: DeploymentHandle) -> list[Failure]:
    """How the attempts before the last ended, of all turns and of what runs once."""
    client = await world.apollo.temporal()
    found = []
    query = f"WorkflowId STARTS_WITH '{deployment.workflow_id}'"
    async for each in client.list_workflows(query):
        history = await client.get_workflow_handle(each.id).fetch_history()
        for event in history.events:
            if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED:
                started = event.activity_task_started_event_attributes
                if started.attempt > 1 and "apollo-hosts@" in str(started.identity):
                    found.append(started.last_failure)
    return found


async def test_sigterm_hands_over_at_once(tmp_path: Path) -> None:
    """The next worker attaches because it was told, not because the first one was missed."""
    async with World(tmp_path, {"fra1": 1}, takeover=LATE) as world:
        deployment = await begun(world)
        assert await stop(world.workers.pop()) == 0
        world.start_worker()
        await until_attached(world)
        open_gate(world, "fra1")
        result = await deployment.result()
        failures = await why_again(world, deployment)
        (row,) = await deployment.rows()

    assert result.state is DeploymentState.SUCCEEDED
    runs = read_hook_log(world.hook_log)
    assert repeated_hooks(runs) == {}
    assert [run.step for run in runs] == ["install", "start", "validate"]
    assert "activate" in row.attached
    assert row.record
    assert row.record.attempts == 2
    assert [each.application_failure_info.type for each in failures] == ["HandedOver"]


async def test_sigkill_is_noticed_when_signs_of_life_are_missed(tmp_path: Path) -> None:
    """The control: without a word the turn waits for `takeover`."""
    async with World(tmp_path, {"fra1": 1}, takeover=SOON) as world:
        deployment = await begun(world)
        world.kill_worker()
        world.start_worker()
        await until_attached(world)
        open_gate(world, "fra1")
        result = await deployment.result()
        failures = await why_again(world, deployment)

    assert result.state is DeploymentState.SUCCEEDED
    missed = TimeoutType.TIMEOUT_TYPE_HEARTBEAT
    assert [each.timeout_failure_info.timeout_type for each in failures][:1] == [missed]


async def test_sigterm_hands_over_what_runs_once(tmp_path: Path) -> None:
    async with World(tmp_path, {"fra1": 1}, takeover=LATE) as world:
        dist = write_artifact(tmp_path / "dist-1.0.0", "1.0.0")
        ran, gate = tmp_path / "migrated", tmp_path / "gate"
        (dist / "bin" / "migrate").write_text(
            f"#!/bin/sh\necho ran >>{ran}\nuntil [ -e {gate} ]; do sleep 0.1; done\n"
        )
        once = Once.model_validate({"before": "sh bin/migrate"})
        setup = world.project.setup.model_copy(update={"once": once})
        await world.apollo.create_release("shop", "1.0.0", setup, dist)
        world.start_worker()
        deployment = await world.apollo.deploy("shop", "prod", "1.0.0")

        async def migrating() -> bool:
            return ran.exists()

        await eventually(migrating, rounds=1200)
        world.start_worker()
        assert await stop(world.workers.pop(0)) == 0
        await until_attached(world)
        gate.touch()
        result = await deployment.result()
        failures = await why_again(world, deployment)

    assert result.state is DeploymentState.SUCCEEDED
    assert ran.read_text() == "ran\n"
    assert [each.application_failure_info.type for each in failures] == ["HandedOver"]
