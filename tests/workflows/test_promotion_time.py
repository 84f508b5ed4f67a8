"""Windows and long bakes keep a promotion at a gate; hours pass at once."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio

from apollo.domain.pipeline import Stage as PipelineStage
from apollo.domain.windows import DAYS, parse_window
from tests.support.promotions import Promoted, pipeline, promote, told
from tests.support.stage import Stage, failures, open_stage, until

HOUR = timedelta(hours=1)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def skipping(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """A stage on which hours pass at once."""
    async with open_stage(tmp_path_factory.mktemp("skipping"), skipping=True) as stage:
        yield stage


async def test_a_closed_window_keeps_it_at_the_gate_until_it_opens(skipping: Stage) -> None:
    opens = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + 31 * HOUR
    window = f"{DAYS[opens.weekday()]} {opens:%H:%M}-{opens + 2 * HOUR:%H:%M} UTC"
    windows = {"windows": (parse_window(window),)}
    play = await pipeline(skipping, ["dev", "staging"], {"staging": windows})
    promoted = await promote(play)
    why = f"outside the windows of staging; opens {opens:%Y-%m-%d %H:%M} UTC"

    async def says() -> bool:
        return (await promoted.stored()).detail == why

    await promoted.until("waiting", "staging")
    await until(says, "it says why")
    await promoted.skip(28 * HOUR)
    assert (await promoted.stored()).state == "waiting"
    assert await skipping.catalog.deployments.list(play.application, "staging") == []
    await promoted.skip(4 * HOUR)
    result = await promoted.result()
    assert told(result) == [("dev", "succeeded"), ("staging", "succeeded")]
    assert failures(await promoted.events()) == []


async def test_a_resume_looks_at_windows_that_were_applied_anew(skipping: Stage) -> None:
    far = DAYS[(datetime.now(UTC).weekday() + 3) % 7]
    windows = (parse_window(f"{far} 00:00-24:00 UTC"),)
    play = await pipeline(skipping, ["dev"], {"dev": {"windows": windows}})
    promoted = await promote(play)
    await promoted.until("waiting", "dev")
    await promoted.said.hold("windows change")
    await promoted.until("held", "dev")
    applied = await skipping.catalog.environments.get(play.application, "dev")
    wide = applied.environment.model_copy(update={"windows": ()})
    await skipping.catalog.environments.apply(wide, ["dev"], "ada")
    await promoted.said.resume()
    assert (await promoted.result()).state == "succeeded"


async def test_a_bake_of_days_since_the_stage_before(skipping: Stage) -> None:
    baked = PipelineStage(environment="dev", bake=timedelta(hours=49))
    play = await pipeline(skipping, [baked, "staging"])
    first = await promote(play, to="dev")
    await first.until("baking", "dev")
    await first.skip(48 * HOUR)
    assert (await first.stored()).state == "baking"
    await first.said.reject()
    await first.result()

    later = await promote(play, from_="dev")
    await later.until("baking", "staging")
    await later.skip(48 * HOUR)
    assert (await later.stored()).state == "baking"
    await later.skip(2 * HOUR)
    assert told(await later.result()) == [("staging", "succeeded")]
    assert failures(await later.events()) == []


async def test_a_schedule_promotes_after_a_word_a_bake_and_a_window(skipping: Stage) -> None:
    """Made as people make it, and started by Temporal; nothing but the approval is said to it."""
    opens = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + 60 * HOUR
    window = parse_window(f"{DAYS[opens.weekday()]} {opens:%H:%M}-{opens + 2 * HOUR:%H:%M} UTC")
    baked = PipelineStage(environment="dev", bake=49 * HOUR)
    staging = {"windows": (window,), "approval": True}
    play = await pipeline(skipping, [baked, "staging"], {"staging": staging})
    await play.release("1.0")
    assert (await (await skipping.apollo.deploy(play.application, "dev", "1.0")).result()).label
    schedules = skipping.apollo.schedules
    await schedules.create_promotion(
        play.application, "weekly", from_="dev", to="staging", cron="0 10 * * TUE"
    )
    run = await schedules.trigger(play.application, "weekly")

    async def opened() -> bool:
        return bool(await skipping.catalog.promotions.running(play.application))

    await until(opened, "the schedule's promotion is opened")
    (stored,) = await skipping.catalog.promotions.running(play.application)
    assert stored.workflow_id == run.workflow_id
    promoted = Promoted(play, await skipping.apollo.promotion(stored))
    await promoted.until("awaiting", "staging")
    await promoted.said.approve()
    await promoted.until("baking", "staging")
    await promoted.skip(50 * HOUR)
    await promoted.until("waiting", "staging")
    assert await skipping.catalog.deployments.list(play.application, "staging") == []
    await promoted.skip(11 * HOUR)
    assert told(await promoted.result()) == [("staging", "succeeded")]
    assert failures(await promoted.events()) == []
    await schedules.delete(play.application, "weekly")
