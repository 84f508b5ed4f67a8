"""A location that ends no turn for too long is told of; when none moves, a person must look."""

from typing import Any

import pytest
from temporalio.worker import Worker

from apollo import names
from apollo.activities.hosts import HostActivities
from apollo.domain.status import Outcome
from apollo.workers.worker import activities_of
from tests.support.stage import Play, Running, Stage, failures, until


async def playing(stage: Stage, **options: Any) -> Play:
    """Two locations; a second without an end of a turn is too long."""
    return await stage.play(**{"hosts": 8, "progress_deadline": "1s", **options})


async def says(running: Running, text: str) -> bool:
    detail = (await running.stored()).detail
    return text in detail if text else not detail


async def test_one_that_does_not_move_is_told_of_and_the_other_goes_on(stage: Stage) -> None:
    """Until it moves again."""
    play = await playing(stage, hosts=20, progress_deadline="2s")
    play.script.hold("h2")
    play.script.seconds = 0.6
    running = await play.start()
    await running.until("running")
    await until(lambda: says(running, "in ams1"), "it is told")
    stored = await running.stored()
    assert (stored.state, stored.detail) == (
        "running",
        "no turn has ended for 2s in ams1: a worker polls apollo-hosts, and its turns have not "
        "ended",
    )
    play.script.let_go()
    await until(lambda: says(running, ""), "it moves again")
    result = await running.result()
    assert (result.state, result.detail, result.outcomes) == ("succeeded", "", {"updated": 20})
    assert failures(await running.events()) == []
    assert await running.audit() == []


async def test_one_without_a_worker_says_what_is_missing_and_heals_by_itself(stage: Stage) -> None:
    play = await playing(stage, locations=4)
    await play.apply(own_workers=("iad1",))
    play.script.hold("h7")
    running = await play.start()
    await running.until("running")
    await until(lambda: says(running, "in iad1"), "it is told")
    assert (
        "iad1: no worker polls apollo-hosts-iad1 (apollo worker --role hosts --locations iad1)"
        in ((await running.stored()).detail)
    )
    assert (await running.until("paused")).detail.endswith("resume goes on waiting")  # the others
    async with Worker(
        stage.client,
        task_queue=names.hosts_queue("iad1"),
        activities=activities_of(HostActivities(stage.actors)),
    ):
        play.script.let_go()
        assert (await running.result()).outcomes == {"updated": 8}


async def test_when_none_moves_it_pauses_itself(stage: Stage) -> None:
    """Nothing is rolled back, and `resume` waits as long again."""
    play = await playing(stage)
    play.script.hold()
    running = await play.start()
    stored = await running.until("paused")
    assert stored.detail == (
        "no turn has ended for 1s in ams1: a worker polls apollo-hosts, and its turns have not "
        "ended; fra1: a worker polls apollo-hosts, and its turns have not ended; it goes on when "
        "one moves; resume goes on waiting"
    )
    await running.said.resume()
    await running.until("running")
    await running.until("paused")
    await running.said.resume()
    play.script.let_go()
    result = await running.result()
    assert (result.state, result.outcomes) == ("succeeded", {"updated": 8})


async def test_time_in_which_it_was_paused_does_not_count(stage: Stage) -> None:
    play = await playing(stage)
    play.script.hold()
    running = await play.start()
    await play.under_way(2)
    await running.said.pause("lunch")
    await running.until("paused")
    with pytest.raises(AssertionError, match="it never came about"):
        await until(lambda: says(running, "no turn has ended"), "it is told", patience=2.5)
    play.script.let_go()
    await running.said.resume()
    assert (await running.result()).outcomes == {"updated": 8}


async def test_a_rollback_is_told_of_but_not_paused(stage: Stage) -> None:
    play = await playing(stage)
    play.script.fail("h3", end=Outcome.REVERTED)
    play.script.hold("rollback")
    running = await play.start()
    await running.until("rolling_back")
    await until(lambda: says(running, "no turn has ended for 1s"), "it is told")
    assert (await running.stored()).state == "rolling_back"
    play.script.let_go()
    assert (await running.result()).state == "rolled_back"
