"""Staging ahead: a wave's hosts get the release ready before any of them has its turn."""

from typing import Any

from temporalio.worker import Worker

from apollo import names
from apollo.activities.hosts import HostActivities
from apollo.activities.staging import StagingActivities
from apollo.domain.staging import PAGE
from apollo.domain.status import Outcome
from apollo.errors import ConnectFailed, HostBusy
from apollo.workers.worker import activities_of
from tests.support.stage import Play, Stage, scheduled, until

INSTALL = {"hooks": {"install": "bin/setup", "start": "bin/start"}}


async def playing(stage: Stage, hosts: int = 4, **options: Any) -> Play:
    """Hosts whose release has an `install` hook."""
    play = await stage.play(hosts=hosts, **options)
    play.setup = INSTALL
    return play


def staged(play: Play) -> list[str]:
    return sorted(turn.host for turn in play.script.stagings)


async def test_all_hosts_of_a_wave_are_staged_before_its_first_turn(stage: Stage) -> None:
    """Side by side, whatever the lanes; the next wave when the one before has ended."""
    play = await playing(stage, waves=[1, "100%"])
    play.script.hold("ahead h4")
    running = await play.start("1.0")
    await until(lambda: len(play.script.stagings) == 4, "both waves are being staged")
    assert len(play.script.turns) == 1
    shown = await running.until("running")
    assert shown.detail == "staging wave 2: its hosts get the release ready"
    play.script.let_go()
    result = await running.result()

    assert (result.outcomes, result.detail) == ({"updated": 4}, "")
    (first, *others), turns = play.script.stagings, play.script.turns
    assert first.host == turns[0].host
    assert max(each.ended or 0 for each in others) < min(turn.began for turn in turns[1:])
    assert min(each.began for each in others) > (turns[0].ended or 0)
    assert max(each.began for each in others) < min(each.ended or 0 for each in others)


async def test_it_is_the_hosts_turn_to_come_that_is_staged(stage: Stage) -> None:
    """The same in all that names its journal and its fence, or the turn could not attach."""
    play = await playing(stage)
    await play.deploy("1.0")
    for ahead in play.script.stagings:
        (turn,) = (each for each in play.script.turns if each.host == ahead.host)
        assert ahead.given.model_copy(update={"ahead": False}) == turn.given
        assert turn.given.turn == 1


async def test_without_an_install_hook_a_small_release_is_staged_in_the_turn(stage: Stage) -> None:
    """The control."""
    play = await stage.play()
    assert (await play.deploy("1.0")).outcomes == {"updated": 4}
    assert play.script.stagings == []


async def test_a_host_that_fails_there_is_left_to_its_turn(stage: Stage) -> None:
    """Nothing is counted twice; whether it is the host's or the release's fault, the turn says."""
    play = await playing(stage, max_failures=1, max_unreachable=1)
    play.script.ends["ahead h1"] = [Outcome.REVERTED]
    play.script.ends["ahead h2"] = [HostBusy]
    play.script.fail("h1")
    running = await play.start("1.0")
    result = await running.result()
    assert (result.state, result.outcomes) == ("partial", {"updated": 3, "reverted": 1})
    handle = stage.client.get_workflow_handle(names.staging_id(running.id, 1, 1))
    assert await handle.result() == {
        "ready": 2,
        "failed": {"h1": "h1: start exit 3, expected 0", "h2": "HostBusy: h2: played"},
        "host_keys": {},
    }


async def test_it_goes_by_the_page(stage: Stage) -> None:
    play = await playing(stage, hosts=2 * PAGE + 1, max_unavailable="100%")
    running = await play.start("1.0")
    assert (await running.result()).outcomes == {"updated": 2 * PAGE + 1}
    assert len(staged(play)) == len(set(staged(play))) == 2 * PAGE + 1
    events = await running.events(names.staging_id(running.id, 1, 1))
    asked = [each.activity_task_scheduled_event_attributes for each in events]
    assert [each.activity_type.name for each in asked if each.activity_type.name] == [
        "load_batch",
        *["stage_ahead"] * 3,
    ]
    assert sorted(scheduled(await running.events(running.batch()))) == staged(play)


async def test_an_abort_does_not_wait_for_it(stage: Stage) -> None:
    play = await playing(stage)
    play.script.hold("ahead h3")
    running = await play.start("1.0")
    await until(lambda: len(play.script.stagings) == 4, "all are being staged")
    await running.said.abort(reason="changed my mind")
    result = await running.result()
    assert (result.state, result.outcomes) == ("aborted", {"not_started": 4})
    assert play.script.turns == []
    await until(lambda: any(each.cancelled for each in play.script.stagings), "it is let go")


async def test_while_it_is_paused_no_turn_begins_after_it(stage: Stage) -> None:
    play = await playing(stage, waves=[1, "100%"])
    play.script.hold("ahead h2")
    running = await play.start("1.0")
    await until(lambda: len(play.script.stagings) == 4, "the second wave is being staged")
    await running.said.pause(reason="lunch")
    assert (await running.until("paused")).detail.startswith("paused: lunch")
    play.script.let_go()
    handle = stage.client.get_workflow_handle(names.staging_id(running.id, 2, 1))
    await handle.result()
    assert len(play.script.turns) == 1
    await running.said.resume()
    assert (await running.result()).outcomes == {"updated": 4}


async def test_a_location_whose_workers_are_away_does_not_hold_the_others_up_for_long(
    stage: Stage,
) -> None:
    """Its hosts are staged in their turns, by whichever worker comes; the others ahead."""
    play = await playing(stage)
    await play.apply(own_workers=("ams1",))
    running = await play.start("1.0")
    await until(lambda: staged(play) == ["h1", "h3"], "those with workers are staged")
    async with Worker(
        stage.client,
        task_queue=names.hosts_queue("ams1"),
        activities=activities_of(HostActivities(stage.actors), StagingActivities(stage.actors)),
    ):
        assert (await running.result()).outcomes == {"updated": 4}
    assert staged(play) == ["h1", "h2", "h3", "h4"]


async def test_a_key_that_is_accepted_there_is_the_only_one_from_then_on(stage: Stage) -> None:
    play = await playing(stage)
    await play.apply(first_use=True)
    play.script.shows = {"h1": "ssh-ed25519 AAAA"}
    running = await play.start("1.0")
    await running.result()
    assert {turn.host: turn.given.host_keys for turn in play.script.turns} == {
        "h1": ("ssh-ed25519 AAAA",),
        **dict.fromkeys(("h2", "h3", "h4"), ()),
    }
    entries = await stage.catalog.audit.list(application=play.application)
    assert [(e.action, e.identity) for e in entries if e.identity == "first_use"] == [
        ("hosts trust", "first_use")
    ]


async def test_hosts_are_staged_again_in_later_deployments_only_where_they_run(
    stage: Stage,
) -> None:
    """A rollback brings back what lies on the hosts: nothing is staged ahead of it."""
    play = await playing(stage)
    await play.deploy("1.0")
    play.script.stagings.clear()
    play.script.fail("h1")
    result = await play.deploy("2.0")
    assert result.state == "rolled_back"
    assert {each.given.phase for each in play.script.stagings} == {"forward"}
    play.script.ends.clear()
    play.script.stagings.clear()
    await play.restart()
    assert play.script.stagings == []


async def test_one_that_loses_its_lease_meanwhile_touches_nothing(stage: Stage) -> None:
    play = await playing(stage, waves=[1, "100%"])
    play.script.hold()
    running = await play.start("1.0")
    await play.under_way(1)
    await stage.catalog.leases.release(running.id)
    play.script.let_go()
    result = await running.result()
    assert result.state == "superseded"
    assert len(play.script.turns) == len(play.script.stagings) == 1


async def test_an_unreachable_host_is_tried_in_its_turn(stage: Stage) -> None:
    play = await playing(stage)
    play.script.ends["ahead h1"] = [ConnectFailed]
    assert (await play.deploy("1.0")).outcomes == {"updated": 4}
