"""Records histories anew: `python -m tests.replay.record`.

With a version, as part of its release, into a folder of their own, where they stay as they are:
`python -m tests.replay.record 1.2.0`.
"""

import asyncio
import contextlib
import json
import sys
import tempfile
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from temporalio.client import WorkflowFailureError

from apollo import names
from apollo.artifacts.store import FolderStore
from apollo.domain.environment import Webhook
from apollo.domain.lending import PieceRequest
from apollo.domain.pipeline import Stage as PipelineStage
from apollo.domain.status import Outcome
from apollo.errors import ConnectFailed
from apollo.settings import leave
from apollo.workflows.piece import Piece
from tests.support.hurry import hurried_windows
from tests.support.promotions import pipeline, promote
from tests.support.receiver import receiving
from tests.support.stage import (
    Running,
    Stage,
    batches_have_ended,
    ending_during_a_write,
    held,
    open_stage,
    small_batches,
    until,
)

HISTORIES = Path(__file__).parent / "histories"
HERE = Path(__file__).parents[2]


async def record(stage: Stage) -> None:
    """Every way in which a deployment may go that the workflows must go on understanding."""
    await paused_and_rolled_back(stage)
    await superseded(stage)
    await gated(stage)
    await attached(stage)
    await promoted(stage)
    await windowed(stage)
    await notified(stage)
    await synced(stage)
    await gone(stage)
    await ran_once(stage)
    await staged(stage)
    await alarmed(stage)
    await steered(stage)
    await retried(stage)
    await missed(stage)
    await passed_over(stage)
    await relayed(stage)
    await abreast(stage)
    await paced(stage)
    await barely(stage)
    await crowded(stage)
    await disabled(stage)
    await healed(stage)
    await lent(stage)


async def healed(stage: Stage) -> None:
    """No location moves, it pauses itself, and goes on when one does."""
    play = await stage.play(hosts=4, progress_deadline="1s", application="healed")
    play.script.hold()
    running = await play.start("1.0")
    await running.until("paused")
    play.script.let_go()
    assert (await running.result()).outcomes == {"updated": 4}
    await keep(running, "healed", [(1, "forward")])


async def lent(stage: Stage) -> None:
    """A piece of what the store holds."""
    store = FolderStore(stage.apollo.settings.store_folder)
    request = PieceRequest(sha256=await store.put_bytes(b"a manifest"))
    queue, workflow_id = names.CONTROL_QUEUE, names.piece_id(request.sha256, 0, "recorded")
    await stage.client.execute_workflow(Piece.run, request, id=workflow_id, task_queue=queue)
    await keep_history(stage, "lent.piece", workflow_id)


async def synced(stage: Stage) -> None:
    """A sync that brings two hosts, and a restart."""
    play = await stage.play(hosts=4, max_unavailable="100%", application="synced")
    await play.deploy("1.0")
    play.script.runs.update(h1=None, h2=None)
    handle = await stage.apollo.sync(play.application, "prod", request="sync")
    running = play.running(handle.workflow_id)
    assert (await running.result()).outcomes == {"updated": 2}
    await keep(running, "synced", [(1, "forward")])
    await keep_history(stage, "synced.look", names.look_id(running.id))
    handle = await stage.apollo.sync(play.application, "prod", request="nothing")
    assert (await handle.result()).label == ""
    await keep_history(stage, "nothing-to-do.deployment", handle.workflow_id)


async def gone(stage: Stage) -> None:
    """A restart in which a host that could not be reached left the inventory."""
    play = await stage.play(hosts=4, application="gone", max_unreachable=0)
    await play.deploy("1.0")
    play.script.hold()
    play.script.fail("h1", end=ConnectFailed)
    handle = await stage.apollo.restart(play.application, "prod", request="restart")
    running = play.running(handle.workflow_id)
    await play.under_way(2)
    await play.apply(hosts=["h2", "h3", "h4"])
    play.script.let_go()
    assert (await running.result()).outcomes == {"updated": 3, "skipped": 1}
    await keep(running, "restarted", [(1, "forward")])


async def ran_once(stage: Stage) -> None:
    """What runs once: passed over, paused, failed; and well, before and after."""
    play = await stage.play(hosts=2, locations=1, application="once")
    play.setup = {"once": {"before": "bin/migrate", "after": "bin/announce"}}
    play.script.ends["once.before h1"] = [ConnectFailed]
    play.script.ends["once.before h2"] = [Outcome.LOST, Outcome.CURRENT]
    running = await play.start("1.0")
    await running.until("paused")
    play.script.prints["h1"] = "one\n"
    async for label, _ in stage.apollo.follow_logs("once", "prod", "h1", wait=False):
        assert label == "once/prod#1"
    await keep_history(stage, "printed.logs", await newest(stage, "Logs"))
    await running.said.resume()
    assert (await running.result()).state == "succeeded"
    await keep(running, "once", [(1, "forward")])
    play.script.ends["once.before h1"] = [Outcome.REVERTED]
    running = await play.start("1.1")
    assert (await running.result()).state == "failed"
    await keep(running, "once-failed", [])


async def staged(stage: Stage) -> None:
    """Staged ahead: one wave well, with a key that is accepted, and one that an abort ends."""
    play = await stage.play(waves=["50%", "100%"], application="staged")
    play.setup = {"hooks": {"install": "bin/setup"}}
    await play.apply(first_use=True)
    play.script.shows = {"h1": "ssh-ed25519 AAAA"}
    play.script.ends["ahead h2"] = [ConnectFailed]
    play.script.hold("ahead h4")
    running = await play.start("1.0")
    await until(lambda: len(play.script.stagings) == 4, "the second wave is being staged")
    await running.said.pause("look first")
    await running.until("paused")
    await running.said.abort()
    assert (await running.result()).state == "aborted"
    others = {f"staged.{wave}.staging": names.staging_id(running.id, wave, 1) for wave in (1, 2)}
    await keep(running, "staged", [(1, "forward")], others)


async def alarmed(stage: Stage) -> None:
    """An alarm that fired before, then cannot be read, and at last fires for the release."""
    waves = [{"share": 1, "bake": "200ms"}, {"share": "100%", "bake": "1h"}]
    play = await stage.play(waves=waves, alarms=["errors"], application="alarmed")
    play.script.alarms["errors"] = "firing"
    running = await play.start("1.0")
    await running.until("paused")
    play.script.alarms["errors"] = "unreadable"
    await running.said.resume()
    await running.until("awaiting")
    await running.said.approve()
    await until(lambda: len(play.script.turns) == 1, "the first wave runs")
    play.script.alarms["errors"] = "quiet"
    await until(lambda: len(play.script.turns) == 4, "the second wave runs")
    play.script.alarms["errors"] = "firing"
    assert (await running.result()).state == "rolled_back"
    await keep(running, "alarmed", [(1, "forward"), (2, "forward"), (1, "rollback")])


async def steered(stage: Stage) -> None:
    """Hosts are left out of the batch that runs and of one to come; failed ones are retried."""
    waves = ["50%", {"share": "100%", "approval": True, "bake": "1h"}]
    play = await stage.play(
        hosts=8, locations=1, waves=waves, max_failures=2, application="steered"
    )
    play.script.ends["h1"] = [Outcome.REVERTED, Outcome.UPDATED]
    play.script.ends["h5"] = [Outcome.REVERTED, Outcome.UPDATED]
    play.script.hold("h2")
    running = await play.start("1.0")
    await play.began("h2")
    await running.said.skip("h3 | h7")
    play.script.let_go()
    await running.until("awaiting")
    await running.said.retry(error="HookFailed")
    await running.said.approve()
    await running.until("baking")
    await running.said.retry("@failed")
    await until(lambda: play.script.begun().count("h5") == 2, "it has another turn")
    await running.until("baking")
    await running.said.abort()
    assert (await running.result()).outcomes == {"updated": 6, "skipped": 2}
    await keep(running, "steered", [(1, "forward"), (2, "forward")])


async def retried(stage: Stage) -> None:
    """A `retry` is carried out when the last turn has ended after too many failures."""
    play = await stage.play(hosts=4, locations=1, max_unavailable=2, application="retried")
    play.script.ends["h1"] = [Outcome.REVERTED, Outcome.UPDATED]
    play.script.hold("h2")
    running = await play.start("1.0")
    await play.began("h2")

    async def failed() -> bool:
        return "reverted" in (await running.outcomes()).values()

    await until(failed, "h1 has failed")
    with held(stage.catalog.plans, "again") as (asked, go):
        said = asyncio.create_task(running.said.retry("h1"))
        await asked.wait()
        play.script.let_go()
        await until(lambda: batches_have_ended(running, 1), "the last turn has ended")
        go.set()
        await said
    await running.result()
    await keep(running, "retried", [(1, "forward")])


async def missed(stage: Stage) -> None:
    """One that is away is accepted, and left out; one of a later wave is due and waits for it."""
    waves = ["50%", {"share": "75%", "approval": True}, "100%"]
    play = await stage.play(
        hosts=4,
        locations=1,
        waves=waves,
        max_unavailable=4,
        max_unreachable=0,
        application="missed",
    )
    play.script.ends["h1"] = [ConnectFailed]
    play.script.hold("h2")
    running = await play.start("1.0")
    await play.began("h2")
    await running.said.skip("h3 | h4")
    await running.said.retry("h3")
    play.script.let_go()
    await running.until("paused")
    await running.said.resume()
    await running.until("awaiting")
    await running.said.skip("h1")
    await running.said.approve()
    assert (await running.result()).outcomes == {"updated": 2, "skipped": 2}
    await keep(running, "missed", [(1, "forward"), (2, "forward")])


async def passed_over(stage: Stage) -> None:
    """One that is away is accepted and, while its batch runs once more, left out."""
    play = await stage.play(hosts=4, locations=1, max_unreachable=0, application="passed-over")
    play.script.ends["h1"] = [ConnectFailed]
    play.script.hold("h3")
    running = await play.start("1.0")
    await running.until("paused")
    await running.said.resume()
    await play.began("h3")
    await running.said.skip("h1")
    await running.batch_heard("skip")
    play.script.let_go()
    assert (await running.result()).outcomes == {"updated": 3, "skipped": 1}
    await keep(running, "passed-over", [(1, "forward")])


async def paced(stage: Stage) -> None:
    """Batches side by side come down to a lower pace; a third waits for that, and pauses it."""
    play = await stage.play(
        hosts=16, max_unavailable="50%", progress_deadline="2s", application="paced"
    )
    names = [f"h{number}" for number in range(1, 17)]
    with small_batches(4):
        await play.deploy("1.0")
        play.script.turns.clear()
        play.script.hold(*names)
        running = await play.start("2.0")
        await play.under_way(8)
    await running.said.pace("25%")
    play.script.let_go(*names[4:8])
    await running.until("paused")
    play.script.let_go("h1", "h2")
    await running.until("running")
    play.script.let_go()
    assert (await running.result()).outcomes == {"updated": 16}
    others = {f"paced.forward-1-{number}.batch": running.batch(1, number) for number in (1, 2, 3)}
    await keep(running, "paced", [], others)


async def barely(stage: Stage) -> None:
    """Batches side by side tell of each failure when two are left, and stop after one too many."""
    play = await stage.play(
        hosts=80, max_unavailable="50%", max_failures=16, on_failure="halt", application="barely"
    )
    first, second = ([f"h{number + each}" for each in range(20)] for number in (1, 21))
    with small_batches(20):
        await play.deploy("1.0")
        play.script.turns.clear()
        play.script.hold(*first, *second)
        play.script.fail(*first[:8], *second[:9])
        running = await play.start("2.0")
        await play.under_way(40)
    play.script.let_go(*first[:8], *second[:7])
    for number in (1, 2):
        await running.batch_heard("each_failure", number=number)
    play.script.let_go(*second[7:9])
    await running.batch_heard("stop", number=1)
    play.script.let_go()
    assert (await running.result()).outcomes == {"reverted": 17, "updated": 23, "not_started": 40}
    others = {f"barely.forward-1-{number}.batch": running.batch(1, number) for number in (1, 2)}
    await keep(running, "barely", [], others)


async def relayed(stage: Stage) -> None:
    """A batch begins while the last turns of the one before end; both are paused."""
    play = await stage.play(hosts=8, max_unavailable="50%", application="relayed", max_failures=2)
    with small_batches(4):
        await play.deploy("1.0")
        play.script.turns.clear()
        play.script.fail("h3", end=Outcome.BROKEN)
        play.script.hold("h1", "h3")
        running = await play.start("2.0")
        await play.began("h6")
    await running.said.pause()
    await running.until("paused")
    play.script.let_go("h3")
    await running.said.resume()
    play.script.let_go()
    assert (await running.result()).outcomes == {"updated": 7, "broken": 1}
    others = {
        f"relayed.forward-1-{number}.batch": running.batch(1, number, "forward")
        for number in (1, 2)
    }
    await keep(running, "relayed", [], others)


async def abreast(stage: Stage) -> None:
    """Two batches at once; one has its last turn under way, and a third begins in its lanes."""
    play = await stage.play(hosts=16, max_unavailable="50%", application="abreast")
    with small_batches(4):
        await play.deploy("1.0")
        play.script.turns.clear()
        play.script.hold("h1", *(f"h{number}" for number in range(5, 17)))
        running = await play.start("2.0")
        await play.began("h9")
    play.script.let_go("h1")
    await until(lambda: batches_have_ended(running, 1), "the first has returned")
    play.script.let_go()
    assert (await running.result()).outcomes == {"updated": 16}
    others = {
        f"abreast.forward-1-{number}.batch": running.batch(1, number, "forward")
        for number in (1, 2, 3, 4)
    }
    await keep(running, "abreast", [], others)


async def crowded(stage: Stage) -> None:
    """While what ended first is written, more hosts end than were once written at once."""
    play = await stage.play(hosts=52, max_unavailable="100%", application="crowded")
    running = await ending_during_a_write(play, 52)
    await keep(running, "crowded", [(1, "forward")])


async def paused_and_rolled_back(stage: Stage) -> None:
    """A deployment that is paused and resumed, and one that rolls back."""
    play = await stage.play(hosts=6, waves=[1, "100%"], application="shop")
    play.script.hold()
    running = await play.start("1.0")
    await play.under_way(1)
    await running.said.pause("look first")
    await running.until("paused")
    await running.said.resume()
    play.script.let_go()
    assert (await running.result()).state == "succeeded"
    await keep(running, "paused-and-resumed", [(1, "forward"), (2, "forward")])

    play.script.fail("h3", end=Outcome.REVERTED)
    running = await play.start("1.1")
    assert (await running.result()).state == "rolled_back"
    await keep(running, "rolled-back", [(1, "forward"), (2, "forward"), (1, "rollback")])


async def superseded(stage: Stage) -> None:
    """Stopped at the next host boundary by a newer deployment."""
    play = await stage.play(hosts=6, application="superseded")
    play.script.hold()
    running = await play.start("1.0")
    await play.under_way(2)
    newer = await play.start("1.1", if_busy="supersede")

    async def told() -> bool:
        return "supersede" in [entry.action for entry in await running.audit()]

    await until(told, "it is told")
    play.script.let_go()
    assert (await running.result()).state == "superseded"
    assert (await newer.result()).state == "succeeded"
    await keep(running, "superseded", [(1, "forward")])


async def gated(stage: Stage) -> None:
    """A bake, an approval by signal, a pace, and an unreachable host that is tried again."""
    waves = [{"share": 1, "bake": "200ms"}, {"share": "100%", "approval": True}]
    play = await stage.play(hosts=6, waves=waves, max_unreachable="50%", application="gated")
    play.script.ends["h3"] = [ConnectFailed, Outcome.UPDATED]
    running = await play.start("1.0")
    await running.until("awaiting")
    play.script.hold()
    await running.signal("approve", "--input", '{"by": "ada"}')
    await play.under_way(2)
    await running.said.pace("2")
    play.script.let_go()
    assert (await running.result()).state == "succeeded"
    await keep(running, "gated", [(1, "forward"), (2, "forward")])


async def attached(stage: Stage) -> None:
    """Paused as its batch was terminated, resumed, and then cancelled."""
    play = await stage.play(hosts=6, application="attached")
    play.script.hold()
    running = await play.start("1.0")
    await play.under_way(2)
    await stage.client.get_workflow_handle(running.batch()).terminate()
    await running.until("paused")
    await running.said.resume()
    await until(lambda: len(play.script.turns) >= 4, "its turns are taken up")
    await running.handle.cancel()
    await until(lambda: _heard(running), "it is told")
    play.script.let_go()
    assert (await running.result()).state == "aborted"
    await keep(running, "attached", [(1, "forward")])


async def promoted(stage: Stage) -> None:
    """Through two stages with a bake, a hold and an approval; and superseded at a gate."""
    baked = PipelineStage(environment="dev", bake=timedelta(milliseconds=300))
    play = await pipeline(stage, [baked, "prod"], approval=True, application="promoted")
    play.script.hold()
    older = await promote(play, "1.0")
    await play.under_way(1)
    await older.said.hold("look first")
    play.script.let_go()
    await older.until("held", "prod")
    await older.said.resume()
    await older.until("awaiting", "prod")
    newer = await promote(play, "1.1")
    assert (await older.result()).state == "superseded"
    await newer.until("awaiting", "prod")
    await newer.signal("approve", "--input", '{"by": "ada"}')
    assert (await newer.result()).state == "succeeded"
    for name, each in (("superseded", older), ("approved", newer)):
        await keep_history(stage, f"{name}.promotion", each.id)


async def windowed(stage: Stage) -> None:
    """Awaits its window, is held as it closes, and goes on when it opens again."""
    windows = ["TUE 12:01-12:03 UTC", "TUE 12:05-14:00 UTC"]
    play = await stage.play(hosts=3, locations=1, windows=windows, application="windowed")
    play.script.hold()
    with hurried_windows():
        running = await play.start("1.0")
        await running.until("awaiting")
        await running.until("paused")
        play.script.let_go()
        assert (await running.result()).state == "succeeded"
    await keep(running, "windowed", [(1, "forward")])


async def notified(stage: Stage) -> None:
    """A deployment of which two webhooks are told, one of which refuses."""
    async with receiving() as receiver:
        receiver.answers["/gone"] = ["404"]
        hooks = [
            Webhook(webhook=receiver.url(path), on=("awaiting", "succeeded"))
            for path in ("/well", "/gone")
        ]
        play = await stage.play(approval=True, application="notified", notify=hooks)
        running = await play.start("1.0")
        await running.until("awaiting")
        await running.said.approve()
        assert (await running.result()).state == "succeeded"
        await until(lambda: len(receiver.posts) == 4, "both are told twice")
        last = names.notification_id(running.id, 2, "succeeded")
        with contextlib.suppress(WorkflowFailureError):
            await stage.client.get_workflow_handle(last).result()
    await keep(running, "notified", [(1, "forward")], {"notified.notification": last})


async def disabled(stage: Stage) -> None:
    """Hosts are disabled, and one enabled again, while their batch is under way."""
    play = await stage.play(hosts=6, max_unavailable=2, application="disabled")
    play.script.hold()
    running = await play.start("1.0")
    await play.under_way(4)
    await stage.apollo.disable(play.application, "prod", ["h5", "h6"], "their disks")
    await until(lambda: _looked(running, 1), "the batch has looked")
    await stage.apollo.enable(play.application, "prod", "h6")
    await until(lambda: _looked(running, 2), "it has looked again")
    play.script.let_go()
    assert (await running.result()).outcomes == {"updated": 5, "not_started": 1}
    await keep(running, "disabled", [(1, "forward")])


async def _looked(running: Running, times: int) -> bool:
    events = await running.events(running.batch())
    kinds = [each.activity_task_scheduled_event_attributes.activity_type.name for each in events]
    return kinds.count("look_again") == times


async def newest(stage: Stage, kind: str) -> str:
    """The id of a workflow of that kind."""
    found: list[str] = []

    async def listed() -> bool:
        query = f"WorkflowType = '{kind}'"
        found[:] = [each.id async for each in stage.client.list_workflows(query)]
        return bool(found)

    await until(listed, f"{kind} is listed")
    return found[0]


async def _heard(running: Running) -> bool:
    return "abort" in [entry.action for entry in await running.audit()]


async def keep(
    running: Running,
    name: str,
    batches: list[tuple[int, str]],
    others: Mapping[str, str] = {},
) -> None:
    """Store the histories of a deployment, its batches and others."""
    ids = {f"{name}.deployment": running.id, **others}
    ids |= {
        f"{name}.{phase}-{wave}.batch": running.batch(wave, 1, phase) for wave, phase in batches
    }
    for file, workflow_id in ids.items():
        await keep_history(running.play.stage, file, workflow_id)


async def keep_history(stage: Stage, file: str, workflow_id: str) -> None:
    """Store a workflow's history."""
    history = await stage.client.get_workflow_handle(workflow_id).fetch_history()
    events = json.loads(history.to_json(), object_hook=_without_paths)
    kept = {"workflow_id": workflow_id, "history": events}
    (_folder() / f"{file}.json").write_text(json.dumps(kept), encoding="utf-8")


def _folder() -> Path:
    """Where histories are stored: those of a release beside what is recorded from day to day."""
    return HISTORIES.joinpath(*sys.argv[1:2])


def _without_paths(part: dict[str, Any]) -> dict[str, Any]:
    """Stack traces say where the recording machine keeps its files; no replay needs them."""
    return {key: value for key, value in part.items() if key != "stackTrace"}


async def main() -> None:
    """Record them all; what a release has recorded is never recorded again."""
    if sys.argv[1:]:
        _folder().mkdir()
    with tempfile.TemporaryDirectory() as folder:
        async with open_stage(Path(folder)) as stage:
            await record(stage)


if __name__ == "__main__":
    asyncio.run(main())
    leave(0)
