"""Hooks that run once per deployment: where, when, and what comes of them."""

from typing import Any

import pytest
from temporalio.worker import Worker

from apollo import names
from apollo.activities.hosts import HostActivities
from apollo.domain.status import Outcome
from apollo.errors import ConnectFailed, ContactLost, Refused
from apollo.workers.worker import activities_of
from tests.support.stage import Play, Running, Stage, until

BEFORE = {"before": {"run": "bin/migrate", "on": "role=worker"}}


def roles(number: int) -> dict[str, str]:
    return {"role": "worker" if number % 2 == 0 else "web"}


async def playing(stage: Stage, once: dict[str, Any], **options: Any) -> Play:
    """Four hosts, h2 and h4 of them workers."""
    play = await stage.play(hosts=4, locations=1, labels=roles, **options)
    play.setup = {"once": once}
    return play


def ran(play: Play) -> list[str]:
    return [f"{turn.given.once.step} {turn.host}" for turn in play.script.onces if turn.given.once]


async def test_it_runs_on_the_first_host_that_matches_before_any_turn(stage: Stage) -> None:
    """And the one after it when all have ended, in a journal of its own each."""
    play = await playing(stage, {**BEFORE, "after": "bin/announce"})
    play.script.hold("h2/0")
    running = await play.start("1.0")
    await until(lambda: ran(play) == ["once.before h2"], "it has begun")
    assert play.script.turns == []
    play.script.let_go()
    result = await running.result()

    assert (result.state, result.outcomes, result.detail) == ("succeeded", {"updated": 4}, "")
    assert ran(play) == ["once.before h2", "once.after h1"]
    before, after = (turn.given for turn in play.script.onces)
    first = play.script.turns[0].given
    assert (before.turn, first.turn, after.turn) == (0, 1, 2)
    assert (before.folder, before.balancer) == (first.folder, None)
    assert play.script.onces[1].began > max(turn.ended or 0 for turn in play.script.turns)
    printed = await stage.catalog.outputs.once((await running.stored()).uuid)
    assert [(each.step, each.host, each.exit, each.text) for each in printed] == [
        ("once.before", "h2", 0, "once.before was here\n"),
        ("once.after", "h1", 0, "once.after was here\n"),
    ]


async def test_its_failure_ends_the_deployment_and_nothing_was_changed(stage: Stage) -> None:
    """With what it printed; there is nothing to roll back."""
    play = await playing(stage, BEFORE, on_failure="rollback")
    play.script.ends["once.before h2"] = [Outcome.REVERTED]
    result = await play.deploy("1.0")

    assert (result.state, result.outcomes) == ("failed", {"not_started": 4})
    assert result.detail == (
        "once.before failed on h2: h2: once.before exit 3, expected 0: no such table"
    )
    assert (play.script.turns, ran(play)) == ([], ["once.before h2"])


async def test_the_failure_of_the_one_after_is_told(stage: Stage) -> None:
    """Every host runs the release: that is a success, and what to go back to later."""
    play = await playing(stage, {"after": {"run": "bin/announce", "on": "h3"}})
    play.script.ends["once.after h3"] = [Outcome.REVERTED]
    result = await play.deploy("1.0")

    assert (result.state, result.outcomes) == ("succeeded", {"updated": 4})
    assert result.detail.startswith("once.after failed on h3: h3: once.after exit 3")
    assert await stage.catalog.deployments.current_release(play.application, "prod") == "1.0"


async def test_the_one_after_runs_where_the_release_came(stage: Stage) -> None:
    play = await playing(stage, {"after": {"run": "bin/announce"}}, max_failures=1)
    play.script.fail("h1")
    result = await play.deploy("1.0")

    assert (result.state, ran(play)) == ("partial", ["once.after h2"])


async def test_an_unreachable_host_is_passed_over(stage: Stage) -> None:
    """It is certain that the hook did not begin there."""
    play = await playing(stage, BEFORE)
    play.script.ends["once.before h2"] = [ConnectFailed]
    result = await play.deploy("1.0")

    assert result.state == "succeeded"
    assert ran(play) == ["once.before h2", "once.before h4"]


async def test_a_location_without_a_worker_does_not_hold_it_up(stage: Stage) -> None:
    """Its host would be the first."""
    play = await stage.play(hosts=4, locations=2)
    play.setup = {"once": {"before": "bin/migrate"}}
    first, other = play.environment.fleet.hosts[:2]
    assert first.location != other.location
    await play.apply(own_workers=(first.location,))
    running = await play.start("1.0")
    await until(lambda: bool(ran(play)), "it has begun")
    assert ran(play) == [f"once.before {other.name}"]
    async with Worker(
        stage.client,
        task_queue=names.hosts_queue(first.location),
        activities=activities_of(HostActivities(stage.actors)),
    ):
        assert (await running.result()).outcomes == {"updated": 4}


async def test_it_pauses_when_no_host_can_be_reached(stage: Stage) -> None:
    play = await playing(stage, BEFORE)
    play.script.ends |= {f"once.before h{n}": [ConnectFailed, Outcome.CURRENT] for n in (2, 4)}
    running = await play.start("1.0")
    paused = await running.until("paused")
    assert paused.detail == "once.before has not begun: h2: played; h4: played"
    await running.said.resume()
    result = await running.result()

    assert result.state == "succeeded"
    assert ran(play) == ["once.before h2", "once.before h4", "once.before h2"]


async def lost(stage: Stage) -> tuple[Play, Running]:
    """A deployment that does not know whether its hook began on h2."""
    play = await playing(stage, BEFORE)
    play.script.ends["once.before h2"] = [Outcome.LOST]
    running = await play.start("1.0")
    paused = await running.until("paused")
    assert paused.detail.startswith("once.before may have begun on h2, and contact was lost")
    return play, running


async def test_it_never_begins_elsewhere_when_it_may_have_begun(stage: Stage) -> None:
    """Resume asks the same host, whose journal knows; also when it then cannot be reached."""
    play, running = await lost(stage)
    play.script.ends["once.before h2"] = [ConnectFailed]
    await running.said.resume()
    await until(lambda: len(play.script.onces) == 2, "the host is asked again")
    await running.until("paused")
    play.script.ends["once.before h2"] = [Outcome.CURRENT]
    await running.said.resume()
    result = await running.result()

    assert result.state == "succeeded"
    assert ran(play) == ["once.before h2"] * 3
    assert {turn.given.turn for turn in play.script.onces} == {0}


async def test_abort_is_the_other_way_out(stage: Stage) -> None:
    play, running = await lost(stage)
    await running.said.abort("we look by hand")
    result = await running.result()

    assert (result.state, ran(play), play.script.turns) == ("aborted", ["once.before h2"], [])


async def test_neither_sync_nor_restart_nor_rollback_runs_it(stage: Stage) -> None:
    play = await playing(stage, {**BEFORE, "after": "bin/announce"}, on_failure="rollback")
    await play.deploy("1.0")
    play.script.runs["h3"] = None
    assert (await play.sync()).outcomes == {"updated": 1}
    await play.restart()
    assert ran(play) == ["once.before h2", "once.after h1"]
    play.script.fail("h3")
    assert (await play.deploy("1.1")).state == "rolled_back"
    assert ran(play) == ["once.before h2", "once.after h1", "once.before h2"]


async def test_a_stop_that_comes_meanwhile_is_obeyed_when_it_has_ended(stage: Stage) -> None:
    play = await playing(stage, BEFORE)
    play.script.hold("h2/0")
    running = await play.start("1.0")
    await until(lambda: bool(play.script.onces), "it has begun")
    await running.said.abort()
    play.script.let_go()
    result = await running.result()

    assert (result.state, result.outcomes) == ("aborted", {"not_started": 4})
    assert not play.script.onces[0].cancelled


async def test_an_attempt_that_lost_contact_is_followed_by_another(stage: Stage) -> None:
    """A retried activity has the same turn, so it finds the same journal."""
    play = await playing(stage, BEFORE)
    play.script.ends["once.before h2"] = [ContactLost, Outcome.CURRENT]
    result = await play.deploy("1.0")

    assert (result.state, ran(play)) == ("succeeded", ["once.before h2"] * 2)


async def test_a_deployment_without_a_host_for_it_is_refused(stage: Stage) -> None:
    play = await playing(stage, BEFORE)
    with pytest.raises(
        Refused, match=r"setup\.once\.before runs on a host that matches 'role=worker'"
    ):
        await play.deploy("1.0", limit="h1")
    play.setup = {"once": {"before": {"run": "bin/migrate", "on": "role=db"}}}
    with pytest.raises(Refused, match="'role=db' matches no host of the inventory"):
        await play.deploy("1.1")


async def test_whose_stop_is_used_is_told_to_turns_and_to_the_audit(stage: Stage) -> None:
    """A rollback stops by the hooks of what runs."""
    play = await playing(stage, {}, on_failure="rollback")
    await play.deploy("1.0")
    play.script.turns.clear()
    play.script.ends["h2"] = [Outcome.REVERTED]
    running = await play.start("1.1", stop="new")
    assert (await running.result()).state == "rolled_back"

    stops = {(turn.given.phase, turn.given.stop) for turn in play.script.turns}
    assert stops == {("forward", "new"), ("rollback", "running")}
    stored = await running.stored()
    entries = await stage.catalog.audit.list(deployment=stored.uuid)
    assert [entry.detail for entry in entries if entry.action == "deploy"] == [{"stop": "new"}]
