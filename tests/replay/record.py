"""Records histories anew: `python -m tests.replay.record`."""

import asyncio
import json
import tempfile
from pathlib import Path

from apollo.domain.status import Outcome
from apollo.settings import leave
from tests.support.stage import Running, Stage, open_stage

HISTORIES = Path(__file__).parent / "histories"


async def record(stage: Stage) -> None:
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


async def keep(running: Running, name: str, batches: list[tuple[int, str]]) -> None:
    """Store the histories of a deployment and its batches."""
    ids = {f"{name}.deployment": running.id}
    ids |= {
        f"{name}.{phase}-{wave}.batch": running.batch(wave, 1, phase) for wave, phase in batches
    }
    for file, workflow_id in ids.items():
        handle = running.play.stage.client.get_workflow_handle(workflow_id)
        history = await handle.fetch_history()
        kept = {"workflow_id": workflow_id, "history": json.loads(history.to_json())}
        (HISTORIES / f"{file}.json").write_text(json.dumps(kept), encoding="utf-8")


async def main() -> None:
    """Record them all."""
    with tempfile.TemporaryDirectory() as folder:
        async with open_stage(Path(folder)) as stage:
            await record(stage)


if __name__ == "__main__":
    asyncio.run(main())
    leave(0)
