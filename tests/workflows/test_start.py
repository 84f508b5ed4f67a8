"""Starting `Deployment` without Apollo's client: each start ends or runs, none fails for ever."""

import asyncio
import contextlib
from typing import Any
from uuid import uuid4

import pytest
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError, WorkflowHandle

from apollo import names
from apollo.errors import Refused
from tests.support.stage import Play, Stage, failures, until


async def start(
    stage: Stage, *arguments: Any, name: str = "Deployment"
) -> WorkflowHandle[Any, Any]:
    return await stage.client.start_workflow(
        name, args=arguments, id=f"raw/{uuid4()}", task_queue=names.CONTROL_QUEUE
    )


async def why(handle: WorkflowHandle[Any, Any]) -> str:
    """How a workflow failed."""
    with pytest.raises(WorkflowFailureError) as caught:
        await asyncio.wait_for(handle.result(), 15)
    causes: list[str] = []
    error: BaseException | None = caught.value
    while error is not None:
        causes.append(str(error))
        error = error.__cause__
    return " <- ".join(causes)


def asked(play: Play, **more: Any) -> dict[str, Any]:
    return {"application": play.application, "environment": "prod", "release": "1.0", **more}


async def test_a_plain_dict_starts_a_deployment(stage: Stage) -> None:
    play = await stage.play()
    await play.release("1.0")
    handle = await start(stage, asked(play, by="eve", unknown={"field": 1}))
    result = await handle.result()
    assert result["state"] == "succeeded"
    assert result["outcomes"] == {"updated": 4}
    stored = await play.running(handle.id).stored()
    assert (stored.by, stored.number) == ("eve", 1)


async def test_the_temporal_program_starts_one(stage: Stage) -> None:
    play = await stage.play()
    await play.release("1.0")
    text = f'{{"application": "{play.application}", "environment": "prod", "release": "1.0"}}'
    name = f"cli/{play.application}"
    await stage.temporal(
        "workflow", "start", "-w", name, "--type", "Deployment", "-t", "apollo", "--input", text
    )
    assert (await play.running(name).result()).state == "succeeded"


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ({},),
        (None,),
        ("nonsense",),
        (7,),
        ([],),
        (["shop", "prod"],),
        (b"\x00\xff",),
        ({"application": 7},),
        ({"application": "shop", "environment": "prod", "if_busy": "perhaps"},),
        ({"application": "nobody", "environment": "nowhere", "release": "1.0"},),
        ({"application": "x" * 300, "environment": "../..", "release": "; rm -rf"},),
        ({"application": "a\x00b", "environment": "prod"},),
        ({}, {}),
    ],
    ids=lambda arguments: str(arguments)[:40],
)
async def test_nonsense_ends_with_words(stage: Stage, arguments: tuple[Any, ...]) -> None:
    handle = await start(stage, *arguments)
    assert await why(handle)
    history = [event async for event in handle.fetch_history_events()]
    assert failures(history) == []


async def test_what_is_missing_or_unknown_is_named(stage: Stage) -> None:
    play = await stage.play()
    await play.release("1.0")
    assert '{"application": "shop", "environment": "prod"' in await why(await start(stage))
    assert "9.9" in await why(await start(stage, asked(play, release="9.9")))
    assert "nosuch" in await why(await start(stage, asked(play, environment="nosuch")))
    assert "runs no release yet" in await why(await start(stage, asked(play, release=None)))
    assert "h9" in await why(await start(stage, asked(play, limit="h9")))
    assert "limt is no field: did you mean limit?" in await why(
        await start(stage, asked(play, limt="h1"))
    )
    assert 'the input: expected a JSON object, found "prod"' in await why(
        await start(stage, "prod")
    )
    assert await stage.catalog.deployments.list(play.application, "prod") == []


@pytest.mark.parametrize("arguments", [(), ("nonsense",), ({},), ({}, {})], ids=str)
async def test_a_batch_started_by_hand_ends_too(stage: Stage, arguments: tuple[Any, ...]) -> None:
    handle = await start(stage, *arguments, name="Batch")
    assert await why(handle)


async def test_current_deploys_the_release_again(stage: Stage) -> None:
    play = await stage.play()
    await play.deploy("1.0")
    handle = await start(stage, asked(play, release="current"))
    result = await handle.result()
    assert (result["state"], result["release"]) == ("succeeded", "1.0")


async def test_a_workflow_id_carries_one_deployment_only(stage: Stage) -> None:
    """A second start under the same id must not look like a success that did nothing."""
    play = await stage.play()
    for version in ("1.0", "2.0"):
        await play.release(version)
    name = f"raw/{play.application}"
    first = await stage.client.start_workflow(
        "Deployment", asked(play), id=name, task_queue=names.CONTROL_QUEUE
    )
    assert (await first.result())["state"] == "succeeded"
    second = await stage.client.start_workflow(
        "Deployment", asked(play, release="2.0"), id=name, task_queue=names.CONTROL_QUEUE
    )
    assert f"{play.application}/prod#1" in await why(second)
    assert sorted(play.script.begun()) == ["h1", "h2", "h3", "h4"]


async def test_a_reset_deployment_goes_on_with_its_number(stage: Stage) -> None:
    """The batch of the run before still ends its turns: the new run says so and waits."""
    play = await stage.play()
    play.script.hold()
    running = await play.start()
    await play.under_way(2)
    await stage.temporal(
        "workflow", "reset", "-w", running.id, "--type", "FirstWorkflowTask", "--reason", "test"
    )
    await until(lambda: _status(running.handle, WorkflowExecutionStatus.RUNNING), "it runs again")
    stored = await running.until("paused")
    assert stored.detail == "batch 1 still ends its turns; resume after that"
    play.script.let_go()
    await until(lambda: _ended(play, running.id), "it ends")
    assert (await running.stored()).number == 1
    assert set((await running.outcomes()).values()) == {"updated"}


async def _status(handle: WorkflowHandle[Any, Any], status: WorkflowExecutionStatus) -> bool:
    return (await handle.describe()).status is status


async def _ended(play: Play, workflow_id: str) -> bool:
    stored = await play.running(workflow_id).stored()
    if stored.state == "paused":
        with contextlib.suppress(Refused):  # it may just have gone on
            await play.running(workflow_id).said.resume()
    return stored.state.ended
