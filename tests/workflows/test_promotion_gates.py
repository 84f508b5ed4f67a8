"""Newer releases supersede older ones at a gate; bakes count from the end of a deployment."""

import asyncio
from datetime import timedelta

from apollo.domain.pipeline import Stage as PipelineStage
from tests.support.promotions import pipeline, promote, told
from tests.support.stage import Stage


async def test_a_newer_release_supersedes_one_that_waits_at_the_same_gate(stage: Stage) -> None:
    play = await pipeline(stage, ["prod"], approval=True)
    older = await promote(play, "1.0")
    await older.until("awaiting")
    newer = await promote(play, "1.1")
    result = await older.result()
    assert result.state == "superseded"
    assert result.detail == "1.1 is newer, and is at prod or past it"
    await newer.until("awaiting")
    await newer.said.approve()
    assert (await newer.result()).state == "succeeded"
    assert await stage.catalog.deployments.current_release(play.application, "prod") == "1.1"


async def test_an_older_release_that_comes_later_gives_way(stage: Stage) -> None:
    play = await pipeline(stage, ["prod"], approval=True)
    await play.release("1.0")
    newer = await promote(play, "1.1")
    await newer.until("awaiting")
    older = await promote(play, "1.0")
    assert (await older.result()).state == "superseded"
    await newer.said.approve()
    play.script.hold()
    await newer.until("deploying")
    again = await promote(play, "1.0")
    assert (await again.result()).detail == "1.1 is newer, and is at prod or past it"
    play.script.let_go()
    assert (await newer.result()).state == "succeeded"


async def test_an_older_release_may_be_promoted_on_purpose_once_the_newer_is_done(
    stage: Stage,
) -> None:
    play = await pipeline(stage, ["prod"])
    await play.release("1.0")
    assert (await (await promote(play, "1.1")).result()).state == "succeeded"
    assert (await (await promote(play, "1.0")).result()).state == "succeeded"
    assert await stage.catalog.deployments.current_release(play.application, "prod") == "1.0"


async def test_a_newer_release_that_got_there_meanwhile_makes_it_give_way(stage: Stage) -> None:
    play = await pipeline(stage, ["dev", "prod"])
    play.script.hold()
    older = await promote(play, "1.0")
    await play.under_way(1)
    direct = await play.start("1.1")
    await play.under_way(2)
    play.script.let_go()
    assert (await direct.result()).state == "succeeded"
    result = await older.result()
    assert told(result) == [("dev", "succeeded"), ("prod", "superseded")]


async def test_a_terminated_newer_promotion_supersedes_nobody(stage: Stage) -> None:
    play = await pipeline(stage, ["prod"], approval=True)
    await play.release("1.0")
    newer = await promote(play, "1.1")
    await newer.until("awaiting")
    await stage.client.get_workflow_handle(newer.id).terminate()
    older = await promote(play, "1.0")
    await older.until("awaiting")
    assert (await newer.stored()).state == "lost"
    await older.said.reject()
    await older.result()


async def test_a_stage_bakes_before_the_next_one(stage: Stage) -> None:
    baked = PipelineStage(environment="dev", bake=timedelta(seconds=1.5))
    play = await pipeline(stage, [baked, "prod"])
    promoted = await promote(play)
    waits = await promoted.until("baking", "dev")
    assert waits.detail.startswith("dev bakes until ")
    assert not waits.at_gate
    result = await promoted.result()
    assert result.state == "succeeded"
    dev, prod = [
        (await stage.catalog.deployments.list(play.application, name))[0]
        for name in ("dev", "prod")
    ]
    assert dev.ended_at is not None
    assert prod.opened_at - dev.ended_at >= timedelta(seconds=1.5)


async def test_whoever_begins_later_waits_for_the_bake_of_the_stage_before(stage: Stage) -> None:
    baked = PipelineStage(environment="dev", bake=timedelta(hours=1))
    play = await pipeline(stage, [baked, "prod"])
    first = await promote(play, to="dev")
    await first.until("baking", "dev")
    await first.said.reject("enough")
    assert told(await first.result()) == [("dev", "succeeded")]

    later = await promote(play, from_="dev")
    waits = await later.until("baking", "prod")
    assert waits.detail.startswith("the stage before prod bakes until ")
    assert waits.at_gate
    (dev,) = await stage.catalog.deployments.list(play.application, "dev")
    assert dev.ended_at is not None
    assert f"{dev.ended_at + timedelta(hours=1):%Y-%m-%d %H:%M:%S}" in waits.detail
    await asyncio.sleep(0.3)
    assert (await later.stored()).state == "baking"
    await later.said.reject()
    assert (await later.result()).state == "rejected"
