"""What deployments and batches tell each other: each word costs both of them a task."""

from typing import Any

import pytest
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner

from apollo import names
from apollo.domain.rollout import BatchControl, Progress
from apollo.settings import Settings
from apollo.workers import worker
from apollo.workflows.batch import Batch
from tests.support import stage as support
from tests.support.stage import (
    Play,
    Running,
    Stage,
    ending_during_a_write,
    heard,
    records,
    until,
)


async def held(stage: Stage, *hosts: str) -> tuple[Play, Running]:
    """Four hosts in two locations with one lane each; these, or all, do not end their turns."""
    play = await stage.play(hosts=4)
    play.script.hold(*hosts)
    running = await play.start()
    await until(lambda: "h2" in play.script.running(), "h2 has its turn")
    return play, running


async def test_a_batch_knows_from_its_start_what_it_must_know(stage: Stage) -> None:
    play, running = await held(stage)
    play.script.let_go()
    await running.result()
    assert await heard(running, running.batch(1, 1, "forward")) == []


async def test_what_is_said_later_it_is_told(stage: Stage) -> None:
    """The control of the test before."""
    play, running = await held(stage)
    await running.said.pause()
    await running.batch_heard("paused")
    await running.said.resume()
    play.script.let_go()
    await running.result()
    told = await heard(running, running.batch(1, 1, "forward"))
    assert [word["paused"] for _, word in told] == [True, False]
    assert all(BatchControl.model_validate(word) for _, word in told)


async def test_how_a_batch_ended_is_told_by_its_result_alone(stage: Stage) -> None:
    play, running = await held(stage, "h2")
    await until(lambda: _heard(running, 2), "it is told of the two that were not held")
    before = await heard(running)
    play.script.let_go()
    await running.result()
    assert await heard(running) == before
    assert {name for name, _ in before} == {names.PROGRESS}
    details = await stage.temporal("workflow", "metadata", "-w", running.id)
    assert details.count("2 ended") == 2, details


async def _heard(running: Running, ended: int) -> bool:
    told = [Progress.model_validate(word) for _, word in await heard(running)]
    return bool(told) and told[-1].ended == ended


async def test_workflows_run_in_the_sandbox_here_and_without_it_at_work(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the sandbox finds must be found by tests; it is what the SDK takes by itself."""
    for module in (worker, support):
        monkeypatch.setattr(module, "Worker", _options)
    at_work: Any = worker.control_worker(stage.client, Settings(home=stage.folder), [Batch])
    here: Any = stage.worker("unused")
    assert isinstance(at_work["workflow_runner"], UnsandboxedWorkflowRunner)
    assert "workflow_runner" not in here


def _options(client: Client, **options: Any) -> dict[str, Any]:
    return options


async def test_what_ends_while_a_write_waits_is_written_at_once(stage: Stage) -> None:
    """Each write costs the same, however many hosts it tells of."""
    play = await stage.play(hosts=60, max_unavailable="100%")
    running = await ending_during_a_write(play, 60)

    assert await records(running) == [1, 59]
