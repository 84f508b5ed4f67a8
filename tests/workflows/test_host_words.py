"""`skip` and `retry`: words about single hosts of a running deployment."""

import asyncio

import pytest

from apollo.domain import engine
from apollo.domain.status import Outcome
from apollo.errors import ConnectFailed, Refused
from tests.support.falsify import broken_rules
from tests.support.stage import Running, Stage, batches_have_ended, failures, held, until


async def test_hosts_that_are_skipped_have_no_turn(stage: Stage) -> None:
    """Of the batch that runs, and of one to come; the one in its turn ends it."""
    play = await stage.play(hosts=6, locations=1, waves=["50%", "100%"])
    play.script.hold()
    running = await play.start()
    await play.under_way(1)
    assert play.script.running() == ["h1"]
    said = await running.said.skip("h1 | h2 | h5", reason="being repaired")
    assert said == "skip: 3 hosts: h1, h2, h5; it is running"
    await running.batch_heard("skip")
    play.script.let_go()
    result = await running.result()
    assert (result.state, result.outcomes) == ("partial", {"updated": 4, "skipped": 2})
    assert sorted(play.script.begun()) == ["h1", "h3", "h4", "h6"]
    rows = {row.host: row for row in await running.said.rows()}
    assert rows["h5"].record
    assert rows["h5"].record.note == "somebody has left it out"
    (entry,) = await running.audit()
    assert (entry.action, entry.reason) == ("skip", "being repaired")
    assert entry.detail == {"detail": "3 hosts: h1, h2, h5"}
    assert failures(await running.events()) == []


async def test_a_location_without_room_goes_on_when_its_hosts_are_skipped(stage: Stage) -> None:
    """The way out that the pause itself names."""
    play = await stage.play(hosts=4, locations=2, max_unreachable="100%")
    await play.deploy("1.0")
    play.script.ends["h1"] = [ConnectFailed]
    running = await play.start("1.1")
    stored = await running.until("paused")
    assert stored.detail.startswith("no room in fra1")
    await running.said.skip("fra1")
    await running.said.resume()
    assert (await running.result()).outcomes == {"updated": 2, "skipped": 2}


async def test_one_that_is_out_goes_on_taking_room_when_it_is_skipped(stage: Stage) -> None:
    """Rule 1: nobody is drained in its place; whoever waits for the room is a way out."""
    play = await stage.play(hosts=4, locations=1, max_unreachable="100%", max_unavailable=1)
    await play.deploy("1.0")
    play.script.ends["h1"] = [ConnectFailed]
    running = await play.start("1.1")
    await running.until("paused")
    await running.said.skip("h1")
    await running.said.resume()
    await until(lambda: batches_have_ended(running, 2), "it has tried again")
    await running.until("paused")
    assert set(play.script.begun()[4:]) == {"h1"}, "nobody else has had a turn"
    await running.said.skip("fra1")
    await running.said.resume()
    assert (await running.result()).outcomes == {"skipped": 4}


async def test_hosts_of_a_later_wave_that_are_retried_wait_for_it(stage: Stage) -> None:
    """Its gates are theirs: the bake before it and its approval."""
    waves = [{"share": "50%", "bake": "1h"}, {"share": "75%", "approval": True}, "100%"]
    play = await stage.play(hosts=4, locations=1, waves=waves, max_unavailable=4)
    running = await play.start()
    await running.until("baking")
    await running.said.skip("h3")
    said = await running.said.retry("h3", reason="the wrong one")
    assert said == "retry: 1 host: h3; it is baking"
    await running.said.skip("h4")
    assert (await running.stored()).state == "baking"
    assert sorted(play.script.begun()) == ["h1", "h2"]
    await running.said.abort()
    assert (await running.result()).outcomes == {"updated": 2, "skipped": 2}


async def test_one_that_is_due_already_is_not_due_twice(stage: Stage) -> None:
    """Its failure is taken back once: the budget is what it was."""
    waves = [{"share": "50%", "bake": "1h"}, "100%"]
    play = await stage.play(hosts=8, locations=1, waves=waves, max_failures=1, max_unavailable=4)
    play.script.fail("h1", end=Outcome.REVERTED)
    running = await play.start()
    await running.until("baking")
    await running.said.pause()
    await running.said.retry("h1")
    with pytest.raises(
        Refused, match=r"h1 \(1 reverted\) cannot be retried: .* once for each turn"
    ):
        await running.said.retry("h1")
    await running.said.abort()
    await running.result()


async def test_hosts_that_failed_have_another_turn(stage: Stage) -> None:
    """An error group: their failures are taken back, and what they come to then counts."""
    waves = [{"share": "50%", "bake": "1h"}, "100%"]
    play = await stage.play(hosts=8, locations=1, waves=waves, max_failures=2, max_unavailable=4)
    play.script.ends |= {"h1": [Outcome.REVERTED, Outcome.UPDATED]}
    play.script.ends |= {"h2": [Outcome.BROKEN, Outcome.UPDATED]}
    running = await play.start()
    await running.until("baking")
    said = await running.said.retry(error="HookFailed start")
    assert said.startswith("retry: 2 hosts: h1, h2; it is ")
    await until(lambda: play.script.begun().count("h2") == 2, "they have another turn")
    await until(lambda: not play.script.running(), "it has ended")
    await running.until("baking")
    turns = {turn.host: turn.given.turn for turn in play.script.turns}
    assert (turns["h1"], turns["h2"], turns["h3"]) == (2, 2, 1)
    await running.said.abort()
    assert (await running.result()).outcomes == {"updated": 4, "not_started": 4}


async def test_failures_that_were_taken_back_leave_their_budget_to_others(stage: Stage) -> None:
    """Two fail, are retried, and two others fail later: no more than `max_failures` at the end."""
    waves = [{"share": "50%", "approval": True}, {"share": "100%", "approval": True}]
    play = await stage.play(hosts=8, locations=1, waves=waves, max_failures=2, max_unavailable=4)
    for host in ("h1", "h2"):
        play.script.ends[host] = [Outcome.REVERTED, Outcome.UPDATED]
    play.script.fail("h5", "h6")
    running = await play.start()
    await running.until("awaiting")
    await running.said.approve()
    await until(lambda: len(play.script.turns) == 4, "the first wave runs")
    await running.until("awaiting")
    await running.said.retry("@failed")
    await running.said.approve()
    result = await running.result()
    assert (result.state, result.outcomes) == ("partial", {"updated": 6, "reverted": 2})


async def test_without_the_retry_the_budget_is_exceeded(stage: Stage) -> None:
    """The control."""
    play = await stage.play(hosts=8, locations=1, max_failures=2, max_unavailable=4)
    play.script.fail("h1", "h2", "h5")
    assert (await play.deploy()).state == "rolled_back"


async def test_one_that_is_disabled_before_its_other_turn_is_no_failure(stage: Stage) -> None:
    """Its failure was taken back: one of two may fail, and another one did."""
    waves = [{"share": "50%", "approval": True}, {"share": "100%", "approval": True}]
    play = await stage.play(hosts=8, locations=1, waves=waves, max_failures=1, max_unavailable=4)
    play.script.fail("h1", "h5")
    running = await play.start()
    await running.until("awaiting")
    await running.said.approve()
    await until(lambda: len(play.script.turns) == 4, "the first wave runs")
    await running.until("awaiting")
    await running.said.retry("h1")
    catalog = stage.catalog
    await catalog.hosts.disable(play.application, "prod", ["h1"], "ada", "its disk is dying")
    await running.said.approve()
    result = await running.result()
    assert (result.state, result.outcomes) == ("partial", {"updated": 6, "reverted": 2})
    assert play.script.begun().count("h1") == 1
    assert await broken_rules(running) == {}


@pytest.mark.parametrize("retries", [True, False])
async def test_a_retry_that_is_being_carried_out_keeps_it_from_going_back(
    stage: Stage, retries: bool
) -> None:
    """It was accepted before the last turn ended, and is done after; without it, it goes back."""
    play = await stage.play(hosts=4, locations=1, max_unavailable=2)
    play.script.ends["h1"] = [Outcome.REVERTED, Outcome.UPDATED]
    play.script.hold("h2")
    running = await play.start()
    await play.began("h2")
    await until(lambda: _has_ended(running, "reverted"), "it has failed")
    with held(stage.catalog.plans, "again") as (asked, go):
        if retries:
            said = asyncio.create_task(running.said.retry("h1", reason="its disk was full"))
            await asked.wait()
        play.script.let_go()
        await until(lambda: batches_have_ended(running, 1), "the last turn has ended")
        go.set()
        if retries:
            assert await said == "retry: 1 host: h1; it is running"
    result = await running.result()
    assert result.state == ("succeeded" if retries else "rolled_back")
    assert sorted(play.script.begun("rollback")) == ([] if retries else ["h1", "h2"])
    assert failures(await running.events()) == []


@pytest.mark.parametrize("known", [True, False])
async def test_one_that_the_deployment_goes_on_without_can_be_skipped(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    """Its batch has begun once more and must know it; then nobody else is accepted for it."""
    if not known:
        monkeypatch.setattr(engine, "_away", lambda *_: "")
    play = await stage.play(hosts=6, locations=1, max_unavailable=1, max_unreachable=0)
    play.script.fail("h1", "h6", end=ConnectFailed)
    play.script.hold("h4")
    running = await play.start()
    await running.until("paused")
    await running.said.resume()
    await play.began("h4")
    assert await running.said.skip("h1", reason="it burnt") == "skip: 1 host: h1; it is running"
    await running.batch_heard("skip")
    play.script.let_go()
    away = 1 if known else 2
    assert (await running.until("paused")).detail.startswith(f"{away} hosts are unreachable, 0 are")
    await running.said.resume()
    result = await running.result()
    ends = {"skipped": 1, "unreachable": 1} if known else {"unreachable": 2}
    assert result.outcomes == {"updated": 4, **ends}
    assert failures(await running.events()) == []


@pytest.mark.parametrize("away", ["due", "over"])
async def test_a_batch_that_goes_on_after_a_retry_tries_the_unreachable_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, away: str
) -> None:
    """It had stopped for h2's failure before the time of h1's other turn had come."""
    monkeypatch.setattr(engine, "_away", lambda *_: away)
    play = await stage.play(hosts=4, locations=1, max_unavailable=3, max_unreachable=1)
    play.script.ends |= {
        "h1": [ConnectFailed, Outcome.UPDATED],
        "h2": [Outcome.REVERTED, Outcome.UPDATED],
    }
    play.script.hold("h3")
    running = await play.start()
    await play.began("h3")
    await until(lambda: _has_ended(running, "reverted"), "h2 has failed")
    await until(lambda: _has_ended(running, "unreachable"), "h1 could not be reached")
    with held(stage.catalog.plans, "again") as (asked, go):
        said = asyncio.create_task(running.said.retry("h2", reason="its disk was full"))
        await asked.wait()
        play.script.let_go()
        await until(lambda: batches_have_ended(running, 1), "the batch has stopped")
        go.set()
        await said
    result = await running.result()
    ends = {"updated": 4} if away == "due" else {"updated": 3, "unreachable": 1}
    assert result.outcomes == ends
    assert play.script.begun().count("h1") == (2 if away == "due" else 1)
    assert failures(await running.events()) == []


async def test_too_many_unreachable_hosts_are_retried(stage: Stage) -> None:
    play = await stage.play(hosts=4, locations=1, max_unreachable=0, max_unavailable=4)
    play.script.ends |= {"h1": [ConnectFailed, ConnectFailed, Outcome.UPDATED]}
    running = await play.start()
    await running.until("paused")
    await running.said.retry("h1")
    await running.said.resume("it is back")
    result = await running.result()
    assert (result.state, result.outcomes) == ("succeeded", {"updated": 4})


async def test_one_that_was_skipped_by_mistake_is_retried(stage: Stage) -> None:
    play = await stage.play(hosts=4, locations=1)
    play.script.hold()
    running = await play.start()
    await play.under_way(1)
    await running.said.skip("h3")
    await until(lambda: _has_ended(running, "skipped"), "it is recorded")
    await running.said.retry("h3", reason="wrong one")
    play.script.let_go()
    assert (await running.result()).outcomes == {"updated": 4}
    assert sorted(play.script.begun()) == ["h1", "h2", "h3", "h4"]


async def _has_ended(running: Running, outcome: str) -> bool:
    return outcome in (await running.outcomes()).values()


@pytest.mark.parametrize(
    ("word", "hosts", "error", "text"),
    [
        ("skip", "", "", "expected hosts or an error"),
        ("skip", "h9", "", "h9"),
        ("skip", "h1", "", "h1 (1 updated) cannot be skipped: only hosts without a turn"),
        ("retry", "h1 | h3", "", "h1, h3 (1 updated, 1 pending) cannot be retried: only hosts"),
        ("retry", "", "HookFailed stop", "no host has 'HookFailed stop'; errors are: HookFailed"),
    ],
)
async def test_a_word_about_the_wrong_hosts_changes_nothing(
    stage: Stage, word: str, hosts: str, error: str, text: str
) -> None:
    waves = ["50%", {"share": "100%", "approval": True}]
    play = await stage.play(hosts=4, locations=1, waves=waves, max_failures=1, max_unavailable=4)
    play.script.fail("h2")
    running = await play.start()
    await running.until("awaiting")
    said = running.said.skip if word == "skip" else running.said.retry
    with pytest.raises(Refused) as refused:
        await said(hosts, error=error)
    assert text in refused.value.message
    assert await running.audit() == []
    await running.said.approve()
    assert (await running.result()).outcomes == {"updated": 3, "reverted": 1}


async def test_when_it_goes_back_nothing_is_said_of_single_hosts(stage: Stage) -> None:
    play = await stage.play(hosts=4, locations=1)
    play.script.fail("h2")
    play.script.hold("rollback")
    running = await play.start()
    await running.until("rolling_back")
    for said in (running.said.skip, running.said.retry):
        with pytest.raises(Refused, match="it is rolling back; what is said of single hosts"):
            await said("h1")
    play.script.let_go()
    assert (await running.result()).state == "rolled_back"


async def test_a_retried_host_is_taken_back_as_any_other(stage: Stage) -> None:
    """Its last turn stands until it has another: nothing forgets that it is broken."""
    waves = [{"share": "50%", "bake": "1h"}, "100%"]
    play = await stage.play(hosts=4, locations=1, waves=waves, max_failures=1, max_unavailable=4)
    play.script.fail("h2", end=Outcome.BROKEN)
    running = await play.start()
    await running.until("baking")
    await running.said.pause()
    await running.said.retry("h2")
    await running.said.rollback()
    result = await running.result()
    assert (result.state, sorted(play.script.begun("rollback"))) == ("rolled_back", ["h1", "h2"])
    assert play.script.begun().count("h2") == 1
