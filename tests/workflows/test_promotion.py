"""A release goes through dev, staging and prod: gates, words, and how a promotion ends."""

import asyncio
import contextlib
from typing import Any

import pytest
from temporalio.api.enums.v1 import EventType

from apollo.domain.promotion import PromotionState
from apollo.errors import NotFound, Refused
from tests.support.promotions import Promoted, pipeline, promote, told
from tests.support.stage import Play, Stage, failures, until

TWO = ["dev", "prod"]


async def test_one_approval_takes_a_release_through_three_stages(stage: Stage) -> None:
    play = await pipeline(stage, approval=True)
    promoted = await promote(play, reason="the sale")
    waits = await promoted.until("awaiting", "prod")
    assert waits.detail == "prod waits for approval"
    assert [s.state for s in waits.stages] == ["succeeded", "succeeded", "awaiting"]
    assert await stage.catalog.deployments.list(play.application, "prod") == []

    assert await promoted.said.approve("go", environment="prod") == "approve: awaiting"
    result = await promoted.result()

    assert (result.state, result.detail) == ("succeeded", "")
    assert told(result) == [("dev", "succeeded"), ("staging", "succeeded"), ("prod", "succeeded")]
    assert result.stages[2].approved_by == "ada"
    assert result.stages[2].deployment == f"{play.application}/prod#1"
    for name in ("dev", "staging", "prod"):
        assert await stage.catalog.deployments.current_release(play.application, name) == "1.0"
    audit = await promoted.audit()
    assert [(a.action, a.environment, a.identity, a.reason) for a in audit] == [
        ("promote", "dev", "ada", "the sale"),
        ("approve", "prod", "ada", "go"),
        ("promotion succeeded", "prod", "", ""),
    ]
    (deployed,) = await stage.catalog.deployments.list(play.application, "prod")
    assert (deployed.by, deployed.reason) == ("ada", "promotion of 1.0: the sale")
    assert deployed.request["approved"] == "ada"
    assert failures(await promoted.events()) == []
    described = await stage.client.get_workflow_handle(promoted.id).describe()
    found = {pair.key.name: pair.value for pair in described.typed_search_attributes}
    assert found["ApolloState"] == "succeeded"
    assert (found["ApolloEnvironment"], found["ApolloRelease"]) == ("prod", "1.0")


async def test_it_stops_at_a_stage_that_does_not_succeed(stage: Stage) -> None:
    play = await pipeline(stage, TWO)
    play.script.fail("h2")
    promoted = await promote(play)
    result = await promoted.result()

    assert result.state == "stopped"
    assert result.detail.startswith(f"{play.application}/dev#1 ended rolled_back: 1 hosts failed")
    assert told(result) == [("dev", "rolled_back"), ("prod", "pending")]
    assert await stage.catalog.deployments.list(play.application, "prod") == []

    play.script.ends.clear()
    again = await promote(play, to="dev")
    assert again.id == promoted.id
    assert (await again.result()).state == "succeeded"
    rows = await stage.catalog.promotions.list(play.application)
    assert [row.state for row in rows] == ["succeeded", "stopped"]


async def test_it_stops_where_its_deployment_is_ended_from_outside(stage: Stage) -> None:
    play = await pipeline(stage)
    play.script.hold()
    promoted = await promote(play)
    running = await promoted.deployment("dev")
    await play.under_way(1)
    await running.handle.terminate()
    result = await promoted.result()
    play.script.let_go()
    assert (result.state, told(result)[0]) == ("stopped", ("dev", "failed"))
    assert "it was ended from outside" in result.detail


async def test_a_rejection_ends_it_and_names_who_and_why(stage: Stage) -> None:
    play = await pipeline(stage, ["prod"], approval=True)
    promoted = await promote(play)
    await promoted.until("awaiting", "prod")
    await promoted.said.reject("not on a Friday")
    result = await promoted.result()

    assert (result.state, result.detail) == ("rejected", "reject: not on a Friday (ada)")
    assert told(result) == [("prod", "rejected")]
    assert await stage.catalog.deployments.list(play.application, "prod") == []
    with pytest.raises(Refused, match="approve is refused: the promotion has ended"):
        await promoted.said.approve()


async def test_a_hold_lets_nothing_new_begin(stage: Stage) -> None:
    play = await pipeline(stage, TWO)
    play.script.hold()
    promoted = await promote(play)
    await play.under_way(1)
    assert await promoted.said.hold("the shop is on television") == "hold: deploying"
    play.script.let_go()
    held = await promoted.until("held", "prod")
    assert held.detail == "held: the shop is on television (ada)"
    assert await stage.catalog.deployments.list(play.application, "prod") == []
    assert await promoted.said.resume() == "resume: waiting"
    assert (await promoted.result()).state == "succeeded"
    assert [entry.action for entry in await promoted.audit()][1:3] == ["hold", "resume"]


async def test_a_hold_that_comes_as_it_leaves_the_gate_still_counts(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    play = await pipeline(stage, ["prod"])
    leave, leaving, go = stage.catalog.promotions.leave, asyncio.Event(), asyncio.Event()

    async def slowly(uuid: str) -> str:
        answer = await leave(uuid)
        leaving.set()
        await go.wait()
        return answer

    monkeypatch.setattr(stage.catalog.promotions, "leave", slowly)
    promoted = await promote(play)
    await leaving.wait()
    await promoted.said.hold()
    go.set()
    held = await promoted.until("held")

    async def back() -> bool:
        return (await promoted.stored()).at_gate

    await until(back, "it is at the gate again")
    assert held.stages[0].workflow_id == ""
    seen = len(await promoted.events())
    await asyncio.sleep(0.5)
    assert len(await promoted.events()) <= seen + 8, "it holds still"
    await promoted.said.resume()
    assert (await promoted.result()).state == "succeeded"


async def test_words_that_make_no_sense_are_refused_with_reasons(stage: Stage) -> None:
    play = await pipeline(stage, TWO, approval=True)
    play.script.hold()
    promoted = await promote(play)
    said = promoted.said
    await play.under_way(1)

    async def refused(word: str, why: str, **where: str) -> None:
        with pytest.raises(Refused, match=why):
            await getattr(said, word)("why", **where)

    await refused("approve", "nothing waits for approval: dev is deploying")
    await refused("reject", "dev is being deployed: abort that deployment")
    await refused("resume", "it is not held: it is deploying")
    await said.hold()
    await refused("hold", "it is held already; resume goes on")
    await said.resume()
    play.script.let_go()
    await promoted.until("awaiting", "prod")
    await refused("approve", "it is at prod, not at dev", environment="dev")
    await said.reject()
    assert (await promoted.result()).state == "rejected"
    assert failures(await promoted.events()) == []


async def test_a_cancelled_promotion_aborts_its_deployment(stage: Stage) -> None:
    play = await pipeline(stage)
    play.script.hold("h1")
    promoted = await promote(play)
    running = await promoted.deployment("dev")
    await play.under_way(1)
    await stage.client.get_workflow_handle(promoted.id).cancel()

    async def told_to_abort() -> bool:
        return "abort" in [entry.action for entry in await running.audit()]

    await until(told_to_abort, "the deployment is told")
    play.script.let_go()
    result = await promoted.result()
    assert result.state == "aborted"
    assert told(result)[0] == ("dev", "aborted")
    assert (await running.stored()).state == "aborted"


async def test_a_cancelled_promotion_leaves_its_gate(stage: Stage) -> None:
    play = await pipeline(stage, ["prod"], approval=True)
    promoted = await promote(play)
    await promoted.until("awaiting", "prod")
    await stage.client.get_workflow_handle(promoted.id).cancel()
    assert (await promoted.result()).state == "aborted"


WORDS = [(), ("--input", "]["), ("--input", '{"by": "eve"}')]


@pytest.mark.parametrize("words", WORDS, ids=["nothing", "no JSON", "who"])
async def test_an_approval_by_signal_counts_whatever_comes_with_it(
    stage: Stage, words: tuple[str, ...]
) -> None:
    play = await pipeline(stage, ["prod"], approval=True)
    promoted = await promote(play)
    await promoted.until("awaiting", "prod")
    if words == ("--input", "]["):
        await stage.client.get_workflow_handle(promoted.id).signal("approve", "][")
    else:
        await promoted.signal("approve", *words)
    result = await promoted.result()
    assert result.state == "succeeded"
    who = "eve" if "eve" in str(words) else "somebody"
    assert result.stages[0].approved_by == who
    assert [entry.action for entry in await promoted.audit()][1] == "approve"
    assert failures(await promoted.events()) == []


async def test_signals_that_come_early_or_make_no_sense_do_no_harm(stage: Stage) -> None:
    play = await pipeline(stage, ["prod"], approval=True)
    await play.release("1.0")
    handle = await stage.client.start_workflow(
        "Promotion",
        {"application": play.application, "release": "1.0"},
        id=f"early/{play.application}",
        task_queue="apollo",
        start_signal="approve",
    )
    for name in ("resume", "supersede", "hold", "unheard"):
        await handle.signal(name, args=[1, "x"])
    promoted = await by_id(play)
    await promoted.until("held")
    await promoted.said.approve()
    await promoted.said.resume()
    assert (await handle.result())["state"] == "succeeded"
    audit = [entry.action for entry in await promoted.audit()]
    assert audit[:4] == ["promote", "approve refused", "resume refused", "hold"]
    assert failures([event async for event in handle.fetch_history_events()]) == []


async def by_id(play: Play) -> Promoted:
    """The promotion of an application that was started some other way."""
    promotions = play.stage.catalog.promotions

    async def opened() -> bool:
        return bool(await promotions.list(play.application))

    await until(opened, "it is opened")
    (stored,) = await promotions.list(play.application)
    return Promoted(play, await play.stage.apollo.promotion(stored))


async def test_one_that_has_ended_on_record_is_waited_for_until_it_closes(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    play = await pipeline(stage, ["prod"], approval=True)
    first = await promote(play)
    await first.until("awaiting")
    recorded, closes = stage.catalog.promotions.end, asyncio.Event()

    async def ends(*given: Any) -> Any:
        ended = await recorded(*given)
        await closes.wait()
        return ended

    with monkeypatch.context() as patch:
        patch.setattr(stage.catalog.promotions, "end", ends)
        await first.said.reject()
        await first.until("rejected")
        again = asyncio.create_task(promote(play))
        await asyncio.sleep(1)
        assert not again.done(), "neither refused nor begun"
        closes.set()
        second = await again
    await second.until("awaiting")
    assert second.said.run_id != first.said.run_id


async def test_a_running_promotion_of_the_same_release_is_refused(stage: Stage) -> None:
    play = await pipeline(stage, ["prod"], approval=True)
    promoted = await promote(play)
    await promoted.until("awaiting")
    with pytest.raises(Refused, match="is being promoted already: it is at prod"):
        await promote(play)
    raw = await stage.client.start_workflow(
        "Promotion",
        {"application": play.application, "release": "1.0"},
        id=f"another/{play.application}",
        task_queue="apollo",
    )
    with pytest.raises(Exception, match="Workflow execution failed"):
        await raw.result()
    assert len(await stage.catalog.promotions.list(play.application)) == 1
    await promoted.said.reject()
    await promoted.result()


async def test_a_terminated_promotion_stands_in_nobodys_way(stage: Stage) -> None:
    play = await pipeline(stage, ["prod"], approval=True)
    first = await promote(play, "2.0")
    await first.until("awaiting")
    await stage.client.get_workflow_handle(first.id).terminate()
    await play.release("1.0")
    again = await promote(play, "2.0")
    await again.until("awaiting")
    rows = await stage.catalog.promotions.list(play.application)
    assert [row.state for row in rows] == ["awaiting", "lost"]
    await again.said.reject()
    await again.result()


async def test_what_may_not_be_promoted_is_refused_before_anything_starts(stage: Stage) -> None:
    play = await pipeline(stage)
    await play.release("1.0-dirty.0123abcd")
    ask = stage.apollo.promote
    with pytest.raises(Refused, match="only dev takes it"):
        await ask(play.application, "1.0-dirty.0123abcd")
    with pytest.raises(NotFound, match="has no release '9'"):
        await ask(play.application, "9")
    with pytest.raises(NotFound, match="no application 'nobody'"):
        await ask("nobody", "1.0")
    await play.release("1.0")
    with pytest.raises(Refused, match="to: mars is no stage of the pipeline dev → staging → prod"):
        await ask(play.application, "1.0", to="mars")
    with pytest.raises(Refused, match="nothing comes after staging up to dev"):
        await ask(play.application, "1.0", from_="staging", to="dev")
    with pytest.raises(Refused, match=r"1\.0 has not succeeded in staging"):
        await ask(play.application, "1.0", from_="staging")
    assert await stage.catalog.promotions.list(play.application) == []

    first = await promote(play, "1.0-dirty.0123abcd", to="dev")
    assert told(await first.result()) == [("dev", "succeeded")]


async def start_raw(stage: Stage, application: str, **given: str) -> dict[str, str]:
    """As a schedule starts it; how it ends."""
    handle = await stage.client.start_workflow(
        "Promotion",
        {"application": application, **given},
        id=f"nightly/{application}/{len(given)}/{asyncio.get_running_loop().time()}",
        task_queue="apollo",
    )
    found: dict[str, str] = await handle.result()
    return found


async def test_a_schedule_promotes_what_succeeded_before_and_only_once(stage: Stage) -> None:
    play = await pipeline(stage, TWO)
    nothing = await start_raw(stage, play.application, **{"from": "dev", "to": "prod"})
    assert nothing["state"] == "nothing_to_do"
    assert nothing["detail"] == "no release has succeeded in dev yet"
    assert (await (await promote(play, to="dev")).result()).state == "succeeded"

    done = await start_raw(stage, play.application, **{"from": "dev", "to": "prod"})
    assert (done["state"], done["release"]) == ("succeeded", "1.0")
    again = await start_raw(stage, play.application, **{"from": "dev", "to": "prod"})
    assert again["detail"] == "prod runs 1.0 already"
    assert len(await stage.catalog.promotions.list(play.application)) == 2

    await (await play.start("1.1")).result()  # straight to prod
    newer = await start_raw(stage, play.application, **{"from": "dev", "to": "prod"})
    assert newer["detail"] == "prod runs 1.1, which is newer than 1.0"


async def test_a_schedule_leaves_alone_what_is_being_promoted(stage: Stage) -> None:
    play = await pipeline(stage, TWO, approval=True)
    promoted = await promote(play)
    await promoted.until("awaiting", "prod")
    found = await start_raw(stage, play.application, **{"from": "dev"})
    assert found["detail"] == "1.0 is being promoted already"
    await promoted.said.approve()
    assert (await promoted.result()).state == "succeeded"


async def test_it_waits_at_its_gate_while_no_worker_runs(stage: Stage) -> None:
    """Its worker is replaced at the gate; each task of the new one replays what was."""
    play = await pipeline(stage, ["prod"], approval=True)
    await play.release("1.0")
    queue = f"apollo-{play.application}"
    await stage.client.start_workflow(
        "Promotion",
        {"application": play.application, "release": "1.0"},
        id=f"moved/{play.application}",
        task_queue=queue,
    )
    async with stage.worker(queue):
        promoted = await by_id(play)
        await promoted.until("awaiting", "prod")

        async def idle() -> bool:
            """A task that a worker leaves behind as it ends is given up only after a while."""
            last = (await promoted.events())[-1]
            return last.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED

        await until(idle, "it waits")
    await promoted.signal("approve", "--input", '{"by": "eve"}')
    assert (await promoted.stored()).state == "awaiting", "nobody is there to hear it"
    async with stage.worker(queue, max_cached_workflows=0):
        result = await promoted.result()
    assert (result.state, result.stages[0].approved_by) == ("succeeded", "eve")
    assert failures(await promoted.events()) == []


async def test_nobody_can_start_it_so_that_it_hangs(stage: Stage) -> None:
    inputs: list[list[object]] = [[], ["x"], [{}], [{"application": 7}], [1, 2]]
    for arguments in inputs:
        handle = await stage.client.start_workflow(
            "Promotion", args=arguments, id=f"bad/{arguments}", task_queue="apollo"
        )
        async with asyncio.timeout(20):
            with pytest.raises(Exception, match="Workflow execution failed"):
                await handle.result()


async def test_a_promotion_that_is_reset_goes_on(stage: Stage) -> None:
    play = await pipeline(stage, ["prod"], approval=True)
    promoted = await promote(play)
    await promoted.until("awaiting", "prod")
    await stage.temporal(
        *("workflow", "reset", "-w", promoted.id, "--event-id", "4", "--reason", "again")
    )

    async def approved() -> bool:
        """Refused until it is at its gate again."""
        now = await stage.client.get_workflow_handle(promoted.id).describe()
        with contextlib.suppress(Refused):
            return now.run_id != promoted.said.run_id and bool(await promoted.said.approve())
        return False

    await until(approved, "it begins again")
    result = await promoted.result()
    assert (result.state, told(result)[0]) == ("succeeded", ("prod", "succeeded"))
    assert len(await stage.catalog.promotions.list(play.application)) == 1
    with pytest.raises(Refused, match="approve is refused: the promotion has ended"):
        await promoted.said.approve()


async def test_what_ended_in_the_catalog_ends_its_workflow(stage: Stage) -> None:
    """Somebody else found it lost: it must not go on behind everybody's back."""
    play = await pipeline(stage, ["prod"], approval=True)
    promoted = await promote(play)
    await promoted.until("awaiting", "prod")
    stored = await promoted.stored()
    await stage.catalog.promotions.end(stored.uuid, PromotionState.LOST, "", stored.stages)
    handle = stage.client.get_workflow_handle(promoted.id)
    await handle.execute_update("approve")
    assert (await handle.result())["state"] == "lost"
    assert await stage.catalog.deployments.list(play.application, "prod") == []
