"""Deployments are judged by their rows; rows that are falsified break the rules, one by one.

Every deployment here is a real one, of a real Temporal and a real catalog. Each rule has its
control: the same rows, untouched, break nothing.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from apollo.catalog import tables
from apollo.domain.status import Outcome
from apollo.domain.windows import DAYS
from apollo.errors import ConnectFailed
from apollo.proof import Verdict
from tests.support.falsify import TURN, Rows, rows_of
from tests.support.stage import Play, Stage

FRA = ("h1", "h3", "h5")
AMS = ("h2", "h4", "h6")


async def good(stage: Stage, hosts: int = 6, **options: Any) -> Rows:
    """A deployment to hosts that serve, which went well."""
    play = await stage.play(hosts=hosts, **options)
    await play.deploy("1.0")
    return await rows_of(await play.start("1.1"))


async def taken_back(stage: Stage, **options: Any) -> Rows:
    """A deployment whose last host failed, so that it was rolled back."""
    play = await stage.play(hosts=4, **options)
    await play.deploy("1.0")
    play.script.fail("h4")
    return await rows_of(await play.start("1.1"))


def in_stripes(*rows: Sequence[str], begin: float = 10.0) -> dict[str, tuple[float, float]]:
    """Turns of each location one after the other, the locations side by side."""
    return {
        host: (begin + place * TURN, begin + (place + 1) * TURN - 1)
        for row in rows
        for place, host in enumerate(row)
    }


@pytest.fixture
async def six(stage: Stage) -> Rows:
    """Six hosts in two locations, one of each at a time, whose turns took a minute each."""
    rows = await good(stage)
    await rows.slowed(in_stripes(FRA, AMS))
    assert await rows.broken() == {}
    return rows


# What really happened breaks nothing.


async def nothing_broken(play: Play, version: str | None = "1.1", **options: Any) -> Rows:
    rows = await rows_of(await play.start(version, **options))
    assert await rows.broken() == {}
    return rows


async def test_what_went_well_kept_every_rule(stage: Stage) -> None:
    rows = await good(stage)
    judged = await rows.judged()
    assert [each.rule for each in judged.values()] == list(range(1, 16))
    assert {each.verdict for each in judged.values()} == {Verdict.KEPT}
    assert judged[1].found.startswith("6 hosts in service were taken out, with at most 2 out")
    assert judged[2].found == "turns begun: fra1 3, ams1 3"
    assert "6 turns left no steps" in judged[9].untold[0], "hooks of which no word came back"


async def test_a_first_deployment_a_rollback_and_what_came_after(stage: Stage) -> None:
    play = await stage.play(hosts=6, max_failures=0, max_unreachable="50%")
    await nothing_broken(play, "1.0")
    play.script.fail("h5")
    assert (await nothing_broken(play, "1.1")).stored.state == "rolled_back"
    play.script.ends = {"h2": [ConnectFailed, Outcome.UPDATED], "h3": [ConnectFailed]}
    assert (await nothing_broken(play, "1.2")).stored.state == "partial"
    play.script.ends = {}
    assert (await nothing_broken(play, "1.3")).stored.state == "succeeded"


async def test_hosts_that_cannot_be_put_back_and_a_rollback_that_fails(stage: Stage) -> None:
    play = await stage.play(hosts=6, waves=["50%", "100%"])
    await nothing_broken(play, "1.0")
    play.script.fail("h4", end=Outcome.BROKEN)
    play.script.fail("back h1", "back h2", end=Outcome.BROKEN)
    assert (await nothing_broken(play, "1.1")).stored.state == "rollback_failed"


async def test_gates_bakes_paces_and_waves(stage: Stage) -> None:
    waves = [{"share": 1, "bake": "1s"}, {"share": "50%", "approval": True}, "100%"]
    play = await stage.play(hosts=6, approval=True, waves=waves)
    running = await play.start("1.0")
    for _ in range(2):
        await running.until("awaiting")
        await running.said.approve("looks well")
        play.script.hold("h6")
        await play.began("h1")
    await play.began("h6")
    await running.said.pace("2", "faster")
    play.script.let_go()
    rows = await rows_of(running)
    assert await rows.broken() == {}
    assert "2 approvals" in (await rows.judged())[4].found
    assert rows.stored.state == "succeeded"


async def test_restarts_and_syncs_are_judged_by_their_own_rules(stage: Stage) -> None:
    play = await stage.play(hosts=4, waves=[{"share": 1, "approval": True}, "100%"])
    first = await play.start("1.0")
    await first.until("awaiting")
    await first.said.approve()
    assert await (await rows_of(first)).broken() == {}
    restart = play.running((await stage.apollo.restart(play.application, "prod")).workflow_id)
    await restart.until("awaiting")
    await restart.said.approve()
    assert await (await rows_of(restart)).broken() == {}
    await play.apply(hosts=["h1", "h2", "h3", "h4", "h5"])
    sync = play.running((await stage.apollo.sync(play.application, "prod")).workflow_id)
    rows = await rows_of(sync)
    assert (rows.stored.kind, await rows.broken()) == ("sync", {})


async def test_a_rollback_of_its_own_does_not_say_what_it_takes_back(stage: Stage) -> None:
    play = await stage.play(hosts=4, approval=True, rollback_max_unavailable="100%")
    for version in ("1.0", "1.1"):
        await play.deploy_approved(version)
    back = await stage.apollo.go_back(play.application, "prod", reason="customers call")
    rows = await rows_of(play.running(back.workflow_id))
    assert await rows.broken() == {}
    assert "which deployment it takes back is not recorded" in await rows.doubted(7)


async def test_hosts_that_people_spoke_of(stage: Stage) -> None:
    play = await stage.play(hosts=6, max_failures=1, waves=["50%", "100%"])
    await play.deploy("1.0")
    play.script.turns.clear()
    play.script.ends["h1"] = [Outcome.REVERTED, Outcome.UPDATED]
    play.script.hold("h4")
    running = await play.start("1.1")
    await play.began("h4")
    await running.said.skip("h6", reason="its disk is dying")
    await running.said.retry("h1", reason="its disk was full")
    await running.batch_heard("skip", wave=2)
    play.script.let_go()
    rows = await rows_of(running)
    assert await rows.broken() == {}
    assert (await running.outcomes())["h6"] == "skipped"
    await rows.unsaid("skip")
    assert "h6: was skipped, is in the inventory, and nobody said so" in (await rows.broken())[12]


async def test_one_that_runs_is_judged_so_far(stage: Stage) -> None:
    play = await stage.play(hosts=4)
    play.script.hold("h3")
    running = await play.start("1.0")
    await play.began("h3")
    rows = Rows(stage.catalog, await running.stored())
    assert await rows.broken() == {}
    assert await rows.doubted(10) == ": it has not ended: it is running"


# 1. Capacity


async def test_two_of_one_location_at_once_without_room(six: Rows) -> None:
    await six.slowed({"h3": (40.0, 99.0)})
    found = (await six.broken())[1]
    assert "h3: began its turn while 1 of fra1 were out (h1), 1 allowed" in found
    assert "h3: began its turn while 2 of the fleet were out (h1, h2), 2 allowed" in found


async def test_a_host_that_is_out_needs_no_room_and_takes_some(six: Rows) -> None:
    await six.slowed({"h3": (40.0, 99.0)})
    await six.was("h3", -3600, 99, serving="broken")
    found = (await six.broken())[1]
    assert "h3" not in found.partition(":")[0]
    assert "h1: began its turn while 1 of fra1 were out (h3), 1 allowed" in found


async def test_the_pace_holds_from_when_it_was_said(six: Rows) -> None:
    await six.slowed({"h3": (40.0, 99.0)})
    place = {"application": six.stored.application, "environment": "prod", "identity": "ada"}
    await six.add(
        tables.audit,
        **place,
        at=six.at(30),
        identity_kind="declared",
        deployment=six.stored.uuid,
        action="pace",
        reason="faster",
        detail={"detail": "2"},
    )
    assert await six.broken() == {}
    await six.said("pace", 45)
    assert "h3: began its turn while 1 of fra1 were or may have been out" in await six.doubted(1)
    await six.said("pace", 120)
    assert 1 in await six.broken()


async def test_turns_without_their_times_prove_nothing(six: Rows) -> None:
    await six.record("h3", began_at=None)
    assert await six.broken() == {}
    assert "h3: ended updated; when its turn began and ended is not" in await six.doubted(1)
    assert "h3: when its turn was is not recorded" in await six.doubted(2)


async def test_a_turn_that_never_drained_takes_nothing_out(six: Rows) -> None:
    await six.slowed({"h3": (40.0, 99.0)})
    await six.host("h3", outcome="current")
    found = (await six.broken()).get(1, "")
    assert found == ""


# 2. Stripes


async def test_one_location_after_the_other(six: Rows) -> None:
    await six.slowed(in_stripes((*FRA, *AMS)))
    found = (await six.broken())[2]
    assert (
        "h3: began its turn before h2 of ams1, which stood before it and had a free lane" in found
    )


async def test_an_earlier_turn_of_a_host_held_its_lane_nobody_knows_when(six: Rows) -> None:
    """h4 was tried again at the end: what it did before may have kept h2 waiting."""
    one_after_the_other = in_stripes((*FRA, "h2", "h6", "h4"))
    await six.slowed(one_after_the_other)
    assert "h3: began its turn before h2 of ams1" in (await six.broken())[2]
    await six.host("h4", turns=2)
    assert await six.broken() == {}


async def test_more_lanes_than_the_others_have(stage: Stage) -> None:
    rows = await good(stage, hosts=9, locations=3, max_unavailable="34%")
    times = in_stripes(("h1", "h4", "h7"), ("h2", "h5", "h8"), ("h3", "h6", "h9"))
    await rows.slowed(times)
    assert await rows.broken() == {}
    await rows.slowed({"h4": (11.0, 60.0)})
    assert "h4: was turn 2 at once in fra1: 1 for each of 3 locations" in (await rows.broken())[2]


async def test_one_location_at_a_time_is_a_rule_too(stage: Stage) -> None:
    rows = await good(stage, spread="one_location_at_a_time")
    await rows.slowed(in_stripes((*FRA, *AMS)))
    assert await rows.broken() == {}
    await rows.slowed(in_stripes(FRA, AMS))
    assert "h2: began its turn in ams1 while fra1 had turns" in (await rows.broken())[2]


# 3. Order


async def test_turns_that_do_not_begin_in_the_order_of_the_plan(six: Rows) -> None:
    await six.slowed(in_stripes(("h3", "h1", "h5"), AMS))
    assert "h3: began its turn before h1" in (await six.broken())[3]


async def test_a_plan_that_is_not_in_stripes(six: Rows) -> None:
    for host, place in (("h3", 2), ("h2", 3)):
        await six.host(host, order=place)
    assert "a location stands ahead of the others" in (await six.broken())[3]


async def test_who_failed_last_time_comes_first(six: Rows) -> None:
    await six.was("h6", -3600, None, failed_last=True)
    assert "h6: wave 1: h6 was out or had failed last time" in (await six.broken())[3]


async def test_roles_have_their_order(stage: Stage) -> None:
    roles = ["job", "web"]
    rows = await good(stage, hosts=4, labels=lambda n: {"role": roles[n > 2]}, order=roles)
    await rows.slowed(in_stripes(("h1", "h3"), ("h2", "h4")))
    assert await rows.broken() == {}
    await rows.slowed({"h3": (10.0, 60.0), "h1": (70.0, 120.0)})
    found = (await rows.broken())[3]
    assert "h3: began its turn while h2 had its own, whose role comes earlier" in found
    await rows.applied(strategy={"order": ["web", "job"]})
    assert "wave 1: the roles are not in their order" in (await rows.broken())[3]


async def test_the_one_box_is_in_service(stage: Stage) -> None:
    rows = await good(stage, waves=[1, "100%"])
    assert await rows.broken() == {}
    await rows.host("h1", was_out=True)
    assert "h1: is the one box of wave 1 and was out, unlike" in (await rows.broken())[3]


# 4 and 13. Waves and bakes


async def baked(stage: Stage) -> Rows:
    rows = await good(stage, waves=[2, "100%"])
    await rows.applied(strategy={"waves": [{"share": "2", "bake": 600.0}, {"share": "100%"}]})
    times = in_stripes(("h1",), ("h2",)) | in_stripes(("h3", "h5"), ("h4", "h6"), begin=700)
    await rows.slowed(times)
    assert await rows.broken() == {}
    return rows


async def test_a_wave_begins_when_the_one_before_has_baked(stage: Stage) -> None:
    rows = await baked(stage)
    await rows.slowed(in_stripes(("h3", "h5"), ("h4", "h6"), begin=400))
    found = (await rows.broken())[4]
    assert "wave 2 began 332.0s after the last turn of wave 1, whose bake is 600.0s" in found


async def test_a_deployment_ends_when_its_last_wave_has_baked(stage: Stage) -> None:
    rows = await baked(stage)
    bakes = [{"share": "2", "bake": 600.0}, {"share": "100%", "bake": 300.0}]
    await rows.applied(strategy={"waves": bakes})
    assert "ended 6.0s after its last turn, bake 300.0s" in (await rows.broken())[13]
    await rows.deployment(ended_at=rows.at(1200))
    assert await rows.broken() == {}


async def test_waves_have_their_sizes(stage: Stage) -> None:
    rows = await baked(stage)
    await rows.host("h3", wave=1)
    assert "wave 1 has 3 hosts, 2 expected (2)" in (await rows.broken())[4]


async def test_gates_need_approvals(stage: Stage) -> None:
    play = await stage.play(hosts=4, approval=True, waves=["50%", {"share": "100%"}])
    running = await play.start("1.0")
    await running.until("awaiting")
    await running.said.approve("go")
    rows = await rows_of(running)
    await rows.slowed(in_stripes(("h1",), ("h2",)) | in_stripes(("h3",), ("h4",), begin=70))
    assert await rows.broken() == {}
    await rows.said("approve", 30)
    assert "the deployment began 20.0s before its approval was recorded" in await rows.doubted(4)
    await rows.unsaid("approve")
    assert "the deployment began without an approval" in (await rows.broken())[4]
    await rows.deployment(request={**rows.stored.request, "override": "an emergency"})
    assert 4 not in await rows.broken()
    assert (
        "its gates were overridden, and nothing in the audit says why" in (await rows.broken())[15]
    )


async def test_each_gate_needs_its_own_approval(stage: Stage) -> None:
    waves = [{"share": "50%", "approval": True}, {"share": "100%", "approval": True}]
    play = await stage.play(hosts=4, waves=waves)
    running = await play.start("1.0")
    for count in (2, 4):
        await running.until("awaiting")
        await running.said.approve("go")
        await play.began(*(f"h{n}" for n in range(1, count + 1)))
    rows = await rows_of(running)
    assert await rows.broken() == {}
    await rows.said("approve", -1)
    assert "wave 2 began without an approval" in (await rows.broken())[4]


async def test_turns_begin_within_windows(six: Rows) -> None:
    today = f"{DAYS[six.at(0).weekday()]},{DAYS[six.at(86400).weekday()]} 00:00-24:00 UTC"
    await six.applied(windows=[today])
    assert await six.broken() == {}
    other = f"{DAYS[six.at(3 * 86400).weekday()]} 00:00-24:00 UTC"
    await six.applied(windows=[other])
    found = (await six.broken())[4]
    assert f"h1: began its turn outside the windows ({other})" in found


async def test_turns_begin_outside_freezes(six: Rows) -> None:
    event = "UID:1\nSUMMARY:x\nDTSTART;VALUE=DATE:{}\nRRULE:FREQ=DAILY"
    calendar = f"BEGIN:VCALENDAR\nBEGIN:VEVENT\n{event}\nEND:VEVENT\nEND:VCALENDAR\n"
    await six.applied(freezes={"x.ics": calendar.format("20990101")})
    assert await six.broken() == {}
    await six.applied(freezes={"x.ics": calendar.format("20200101")})
    assert "h1: began its turn in a freeze" in (await six.broken())[4]


# 5. Budgets


async def test_nobody_begins_after_the_failure_that_exceeds_the_budget(stage: Stage) -> None:
    rows = await taken_back(stage)
    await rows.slowed({**in_stripes(("h1", "h3"), ("h2",)), "h4": (10.0, 69.0)})
    await rows.slowed(in_stripes(("h3", "h1"), ("h4", "h2"), begin=200), "rollback")
    await rows.slowed({"h4": (10.0, 40.0)})
    assert (
        "h3: began its turn after the failure that exceeds the budget was recorded"
        in (await rows.broken())[5]
    )
    await rows.host("h4", ended_at=rows.at(100))
    assert "had ended, and before it was recorded" in await rows.doubted(5)


async def test_batches_beside_it_hear_of_that_failure_by_a_word(stage: Stage) -> None:
    rows = await taken_back(stage)
    await rows.slowed({**in_stripes(("h1", "h3"), ("h2",)), "h4": (10.0, 67.0)})
    await rows.slowed(in_stripes(("h3", "h1"), ("h4", "h2"), begin=200), "rollback")
    late = "h3: began its turn after the failure that exceeds the budget was recorded"
    assert late in (await rows.broken())[5]
    await rows.host("h3", batch=2)
    assert late in await rows.doubted(5)
    await rows.slowed({"h4": (10.0, 64.0)})
    assert late in (await rows.broken())[5]


async def test_only_failures_words_and_alarms_take_a_release_back(stage: Stage) -> None:
    rows = await taken_back(stage)
    await rows.host("h4", outcome="updated")
    found = await rows.broken()
    assert "was rolled back with 0 failures, 0 allowed, and nobody said so" in found[5]
    assert "nobody said so in the audit" in found[12]
    await rows.applied(alarms=[{"name": "errors"}])
    assert "what alarms said is only in its end" in await rows.doubted(5)


async def test_a_budget_that_is_exceeded_has_consequences(six: Rows) -> None:
    await six.host("h6", outcome="reverted", error="HookFailed")
    assert "ended succeeded though its budget was exceeded" in (await six.broken())[5]
    await six.applied(strategy={"max_failures": "1"})
    await six.deployment(state="partial")
    assert 5 not in await six.broken()


async def test_unreachable_is_not_failed(six: Rows) -> None:
    await six.applied(strategy={"max_failures": "1"})
    await six.deployment(state="partial")
    await six.host("h6", outcome="reverted", error="ConnectFailed")
    assert "h6: ended reverted of ConnectFailed, which is unreachable" in (await six.broken())[5]


# 6, 8 and 9. What turns do to their hosts


async def test_a_failed_turn_puts_its_host_back(stage: Stage) -> None:
    play = await stage.play(hosts=4, max_failures=1)
    await play.deploy("1.0")
    play.script.fail("h4")
    rows = await nothing_broken(play, "1.1")
    previous = next(
        r for r in await play.running(rows.stored.workflow_id).said.rows() if r.host == "h4"
    )
    await rows.host("h4", ran=previous.manifest)
    assert "h4: ended reverted, and runs what it was to be given" in (await rows.broken())[6]
    await rows.host("h4", ran="f" * 64)
    assert "h4: was put back to ffffffffffff" in await rows.doubted(6)
    await rows.host("h4", ran=previous.ran)
    await rows.steps("h4", "start", "stop", exit=3)
    assert "h4: ended reverted, and nothing was undone on it" in (await rows.broken())[6]
    await rows.steps("h4", "undo-start", exit=1)
    assert "h4: ended reverted though undo-start exit 1" in (await rows.broken())[6]
    await rows.steps("h4", "stop", "start", "undo-stop", "undo-start")
    assert await rows.broken() == {}


async def test_a_step_that_failed_is_no_success(six: Rows) -> None:
    await six.steps("h2", "start", exit=3)
    assert "h2: ended updated though start exit 3" in (await six.broken())[6]


async def test_a_current_host_is_not_touched(six: Rows) -> None:
    await six.host("h2", outcome="current")
    assert await six.broken() == {}
    await six.steps("h2", "stop", "start")
    assert "h2: was current, and its hooks ran: stop, start" in (await six.broken())[8]
    await six.record("h2", steps=[])
    await six.host("h2", ran="f" * 64)
    assert "h2: was current, and runs another manifest" in (await six.broken())[8]


async def test_hooks_run_once(six: Rows) -> None:
    await six.steps("h2", "stop", "silent", "switch", "start", "validate")
    assert await six.broken() == {}
    await six.steps("h2", "stop", "start", times=2)
    assert "h2: ran stop 2 times in one attempt" in (await six.broken())[9]
    await six.record("h2", attempts=2)
    assert "ran stop 2 times in 2 attempts; whether the host went down" in await six.doubted(9)
    await six.steps("h2", "silent", "start", times=2)
    assert await six.broken() == {}, "Apollo's own steps may be repeated"


async def test_hooks_run_in_order_and_retries_are_the_users_word(stage: Stage) -> None:
    play = await stage.play(hosts=2)
    play.setup["hooks"] = {"start": {"run": "bin/start", "retries": 2}}
    rows = await nothing_broken(play, "1.0")
    await rows.steps("h1", "start", times=3)
    assert await rows.broken() == {}
    await rows.steps("h1", "start", times=4)
    assert "h1: ran start 4 times in one attempt" in (await rows.broken())[9]
    await rows.steps("h1", "start", "stop")
    assert "h1: ran start before stop" in (await rows.broken())[9]


async def test_what_runs_once_runs_on_one_host(stage: Stage) -> None:
    play = await stage.play(hosts=2)
    play.setup["once"] = {"before": "bin/migrate"}
    rows = await nothing_broken(play, "1.0")
    ran = {"deployment": rows.stored.uuid, "turn": 1, "step": "once.before", "place": 0, "exit": 0}
    await rows.add(tables.outputs, **ran, host="h2", seconds=1.0, text="", cut=0)
    assert "once.before ran on h1, h2" in (await rows.broken())[9]
    await rows.deployment(kind="restart")
    assert "once.before ran in a restart" in (await rows.broken())[9]


# 7. Rollback


async def test_a_rollback_takes_back_all_that_was_changed_and_no_more(stage: Stage) -> None:
    rows = await taken_back(stage)
    assert await rows.broken() == {}
    await rows.host("h1", outcome="current")
    assert "h1: ended current, and was taken back all the same" in (await rows.broken())[7]
    await rows.host("h1", outcome="updated")
    await rows.left_out("h1", "rollback")
    assert "h1: ended updated, and was left out of the rollback" in (await rows.broken())[7]


async def test_a_rollback_goes_to_what_ran_before(stage: Stage) -> None:
    rows = await taken_back(stage)
    await rows.host("h1", "rollback", ran="f" * 64)
    assert "h1: was rolled back, and runs ffffffffffff instead of" in (await rows.broken())[7]
    await rows.host("h1", "rollback", manifest="f" * 64)
    assert "h1: was to go back to ffffffffffff; at the end of its" in (await rows.broken())[7]


async def test_a_rollback_has_its_order_and_its_room(stage: Stage) -> None:
    rows = await taken_back(stage)
    back = in_stripes(("h3", "h1"), ("h4", "h2"), begin=200)
    await rows.slowed(in_stripes(("h1", "h3"), ("h2", "h4")))
    await rows.slowed(back, "rollback")
    assert await rows.broken() == {}
    await rows.slowed(in_stripes(("h1", "h3"), ("h4", "h2"), begin=200), "rollback")
    assert "h1: began its turn back before h3" in (await rows.broken())[7]
    await rows.slowed({"h3": (200.0, 250.0), "h1": (220.0, 280.0)}, "rollback")
    assert "h1: began its turn while 1 of fra1 were out (h3), 1 allowed" in (await rows.broken())[7]
    await rows.slowed({**back, "h3": (100.0, 250.0)}, "rollback")
    assert "began while turns forward were under way" in (await rows.broken())[7]
    await rows.slowed(back, "rollback")
    await rows.host("h1", outcome="broken")
    assert "stands where" in (await rows.broken())[7], "broken ones come first"


# 10. Nothing is lost


async def test_ends_add_up(six: Rows) -> None:
    await six.host("h2", outcome="not_started")
    assert "ended succeeded, and 1 hosts do not run the release" in (await six.broken())[10]
    await six.host("h2", outcome=None)
    assert "h2: has no end" in (await six.broken())[10]
    await six.host("h2", outcome="vanished")
    assert "h2: ended 'vanished', which is no end of a host" in (await six.broken())[10]
    await six.host("h2", outcome="updated", ran="f" * 64)
    assert "h2: ended updated, and runs another manifest" in (await six.broken())[10]


async def test_every_host_of_the_fleet_was_planned(six: Rows) -> None:
    await six.left_out("h6")
    found = (await six.broken())[10]
    assert "6 hosts were planned, 5 are on record" in found
    assert "h6: is of the fleet, was not disabled, and was not planned" in found
    await six.was("h6", -3600, None, disabled_reason="its disk")
    assert "h6" not in (await six.broken())[10]


# 11. One at a time


async def test_no_turn_of_another_deployment_meanwhile(stage: Stage) -> None:
    play = await stage.play(hosts=6)
    first = await rows_of(await play.start("1.0"))
    rows = await rows_of(await play.start("1.1"))
    await rows.slowed(in_stripes(FRA, AMS))
    assert await rows.broken() == {}
    late = (rows.base - first.base).total_seconds() + 30
    await first.slowed({"h1": (late, late + 60)})
    assert "h1: had a turn of #1 between turns of #2" in (await rows.broken())[11]


async def test_the_lease_goes_by_numbers_and_comes_first(stage: Stage) -> None:
    play = await stage.play(hosts=6)
    first = await rows_of(await play.start("1.0"))
    rows = await rows_of(await play.start("1.1"))
    mine = rows.stored.granted_ms
    await first.deployment(granted_ms=mine + 1)
    assert "#1 had the lease after #2, against their numbers" in (await rows.broken())[11]
    await rows.deployment(granted_ms=mine + 3600_000)
    assert "hosts had turns before the lease was granted" in (await rows.broken())[11]
    await rows.deployment(granted_ms=0)
    assert "hosts had turns, and the lease was never granted" in (await rows.broken())[11]


# 12. Control


async def test_who_steered_is_on_record(stage: Stage) -> None:
    play = await stage.play(hosts=4)
    play.script.hold()
    running = await play.start("1.0")
    await play.under_way(2)
    await running.said.abort("wrong release")
    play.script.let_go()
    rows = await rows_of(running)
    assert await rows.broken() == {}
    await rows.said("abort", identity="", reason="")
    untold = " ".join((await rows.judged())[12].untold)
    assert "who said abort at" in untold
    assert "why somebody said abort at" in untold
    await rows.unsaid("abort")
    assert "ended aborted, and nobody said so in the audit" in (await rows.broken())[12]
    await rows.unsaid("deploy")
    assert "nothing in the audit says who asked for the deploy" in (await rows.broken())[12]


# 14. Progress


async def test_a_location_that_stood_still_cannot_be_told(six: Rows) -> None:
    await six.applied(strategy={"progress_deadline": 300.0})
    assert await six.broken() == {}
    assert (await six.judged())[14].verdict is Verdict.KEPT
    await six.slowed({"h6": (150.0, 950.0)})
    assert "ams1: no turn ended for 821.0s; whether it was paused" in await six.doubted(14)


# 15. Emergencies


async def test_a_disabled_host_has_no_turn(six: Rows) -> None:
    await six.was("h5", 20, None, disabled_reason="its disk")
    assert "h5: began its turn while it was disabled, since" in (await six.broken())[15]
    await six.was("h5", 150, None, disabled_reason="its disk")
    assert 15 not in await six.broken(), "its turn had begun"


async def test_windows_and_approvals_never_hold_a_rollback(stage: Stage) -> None:
    rows = await taken_back(stage)
    await rows.slowed(in_stripes(("h1", "h3"), ("h2", "h4")))
    hour = rows.at(7200).replace(minute=0, second=0, microsecond=0)
    begin = (hour - rows.base).total_seconds() + 5
    await rows.slowed(in_stripes(("h3", "h1"), ("h4", "h2"), begin=begin), "rollback")
    assert "what it waited for is not kept" in await rows.doubted(15)
    opens = f"DAILY {hour:%H:%M}-{hour + timedelta(minutes=59):%H:%M} UTC"
    await rows.applied(windows=[opens])
    found = (await rows.broken())[15]
    assert "after the last turn forward, when the windows had opened" in found
