"""Records histories anew: `python -m tests.replay.record`."""

import asyncio
import json
import tempfile
from pathlib import Path

from apollo import names
from apollo.domain.status import Outcome
from apollo.errors import ConnectFailed
from apollo.settings import leave
from tests.support.stage import Running, Stage, open_stage, until

HISTORIES = Path(__file__).parent / "histories"
HERE = Path(__file__).parents[2]


async def record(stage: Stage) -> None:
    """Every way in which a deployment may go that the workflows must go on understanding."""
    await paused_and_rolled_back(stage)
    await superseded(stage)
    await gated(stage)
    await attached(stage)
    await synced(stage)
    await gone(stage)


async def synced(stage: Stage) -> None:
    """A sync that brings two hosts, and a restart."""
    play = await stage.play(hosts=4, max_unavailable="100%", application="synced")
    await play.deploy("1.0")
    play.script.runs.update(h1=None, h2=None)
    handle = await stage.apollo.sync(play.application, "prod", request="sync")
    running = play.running(handle.workflow_id)
    assert (await running.result()).outcomes == {"updated": 2}
    await keep(running, "synced", [(1, "forward")])
    await store("synced.look", stage, names.look_id(running.id))
    handle = await stage.apollo.sync(play.application, "prod", request="nothing")
    assert (await handle.result()).label == ""
    await store("nothing-to-do.deployment", stage, handle.workflow_id)


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


async def _heard(running: Running) -> bool:
    return "abort" in [entry.action for entry in await running.audit()]


async def keep(running: Running, name: str, batches: list[tuple[int, str]]) -> None:
    """Store the histories of a deployment and its batches."""
    ids = {f"{name}.deployment": running.id}
    ids |= {
        f"{name}.{phase}-{wave}.batch": running.batch(wave, 1, phase) for wave, phase in batches
    }
    for file, workflow_id in ids.items():
        await store(file, running.play.stage, workflow_id)


async def store(file: str, stage: Stage, workflow_id: str) -> None:
    """Store one history."""
    history = await stage.client.get_workflow_handle(workflow_id).fetch_history()
    kept = {"workflow_id": workflow_id, "history": json.loads(history.to_json())}
    text = json.dumps(kept).replace(f"{HERE}/", "")  # stack traces need no paths of this machine
    (HISTORIES / f"{file}.json").write_text(text, encoding="utf-8")


async def main() -> None:
    """Record them all."""
    with tempfile.TemporaryDirectory() as folder:
        async with open_stage(Path(folder)) as stage:
            await record(stage)


if __name__ == "__main__":
    asyncio.run(main())
    leave(0)
