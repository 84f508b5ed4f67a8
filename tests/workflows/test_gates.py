"""Approvals, bakes and pace."""

import asyncio

from tests.support.stage import Running, Stage, heard, until


async def test_nothing_begins_and_no_lease_is_taken_before_approval(stage: Stage) -> None:
    play = await stage.play(approval=True)
    running = await play.start()
    stored = await running.until("awaiting")
    assert stored.detail == "the deployment waits for approval"
    await asyncio.sleep(0.3)
    assert play.script.turns == []
    assert await stage.catalog.leases.holder(play.application, "prod") is None
    assert await running.said.approve("go") == "approve: awaiting"
    assert (await running.result()).state == "succeeded"
    assert await stage.catalog.leases.holder(play.application, "prod") is None


async def test_a_wave_waits_for_its_own_approval(stage: Stage) -> None:
    waves = [{"share": 1}, {"share": 2, "approval": True}, {"share": "100%", "approval": True}]
    play = await stage.play(hosts=6, waves=waves)
    running = await play.start()
    stored = await running.until("awaiting")
    assert stored.detail == "wave 2 waits for approval"
    assert len(play.script.begun()) == 1
    await running.said.approve()
    await until(lambda: len(play.script.begun()) == 2, "wave 2 runs")
    stored = await running.until("awaiting")
    assert stored.detail == "wave 3 waits for approval"
    assert len(play.script.begun()) == 2
    await running.said.approve()
    assert (await running.result()).outcomes == {"updated": 6}


async def test_a_deployment_that_awaits_can_be_aborted_or_rolled_back(stage: Stage) -> None:
    play = await stage.play(approval=True)
    running = await play.start()
    await running.until("awaiting")
    await running.said.rollback("not today")
    result = await running.result()
    assert (result.state, result.outcomes) == ("aborted", {"not_started": 4})
    assert "nothing had been changed" in result.detail

    waves = [{"share": 1}, {"share": "100%", "approval": True}]
    play = await stage.play(hosts=4, waves=waves)
    await play.deploy_approved()
    running = await play.start("1.1")
    await running.until("awaiting")
    await running.said.rollback("no")
    result = await running.result()
    assert (result.state, result.outcomes) == (
        "rolled_back",
        {"rolled_back": 1, "not_started": 3},
    )


async def test_a_pause_at_a_gate_holds_what_is_behind_it(stage: Stage) -> None:
    play = await stage.play(approval=True)
    running = await play.start()
    await running.until("awaiting")
    await running.said.pause("lunch")
    await running.until("paused")
    await running.said.approve()
    await asyncio.sleep(0.5)
    assert play.script.turns == []
    await running.said.resume()
    assert (await running.result()).state == "succeeded"


async def test_a_wave_bakes_before_the_next(stage: Stage) -> None:
    play = await stage.play(hosts=4, waves=[{"share": 1, "bake": "1500ms"}, "100%"])
    running = await play.start()
    await running.until("baking")
    assert len(play.script.begun()) == 1
    assert (await running.result()).state == "succeeded"
    first = play.script.turns[0].ended
    assert first is not None
    assert play.script.turns[1].began - first >= 1.5


async def test_a_rollback_ends_a_bake_and_an_abort_ends_the_last_one(stage: Stage) -> None:
    play = await stage.play(hosts=2, waves=[{"share": 1}, {"share": "100%", "bake": "1h"}])
    running = await play.start()
    await running.until("baking")
    await running.said.rollback("alarm")
    result = await running.result()
    assert result.state == "rolled_back"

    running = await play.start("1.1")
    await running.until("baking")
    await running.said.abort()
    result = await running.result()
    assert (result.state, result.outcomes) == ("aborted", {"updated": 2})


async def test_a_pause_during_a_bake_holds_the_next_wave(stage: Stage) -> None:
    play = await stage.play(hosts=4, waves=[{"share": 1, "bake": "700ms"}, "100%"])
    running = await play.start()
    await running.until("baking")
    await running.said.pause()
    await asyncio.sleep(1.2)
    assert len(play.script.begun()) == 1
    assert (await running.stored()).state == "paused"
    await running.said.resume()
    assert (await running.result()).state == "succeeded"


async def test_a_pace_takes_effect_at_the_next_free_lane(stage: Stage) -> None:
    play = await stage.play(hosts=12, locations=2, max_unavailable=1)
    play.script.hold()
    running = await play.start()
    first = await play.under_way(2)
    await running.said.pace("50%")
    wider = await play.under_way(6)
    assert set(first) < set(wider)

    await running.said.pace("1")
    await until(lambda: _narrowed(running), "the batch has heard of it")
    assert len(play.script.running()) == 6
    for host in wider[:4]:
        play.script.held = {f"h{n}" for n in range(1, 13)} - set(wider[: wider.index(host) + 1])
        await asyncio.sleep(0.1)
    await asyncio.sleep(0.3)
    assert len(play.script.turns) == 6, "no lane is refilled above the new pace"
    play.script.let_go()
    assert (await running.result()).state == "succeeded"


async def _narrowed(running: Running) -> bool:
    told = await heard(running, running.batch())
    return bool(told) and told[-1][1]["allowance"]["fleet"] == 2


async def test_a_pace_holds_in_later_waves_too(stage: Stage) -> None:
    play = await stage.play(hosts=9, locations=1, waves=[1, "100%"], max_unavailable=1)
    play.script.hold()
    running = await play.start()
    await play.under_way(1)
    await running.said.pace("4")
    play.script.let_go("*")
    play.script.seconds = 0.2
    assert (await running.result()).state == "succeeded"
    assert play.script.most_at_once == 4
