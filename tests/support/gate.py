"""A release whose `start` waits to be let go: a killed worker's successor finds it at work."""

from apollo.testing.artifact import write_artifact
from tests.support.scene import eventually
from tests.support.world import World

LOCATION = "${APOLLO_HOST%-*}"
WAVE = "$APOLLO_WAVE"


async def gated_release(world: World, version: str, each: str = LOCATION) -> None:
    """A release whose `start` waits until the gate of its host's location, or wave, is opened."""
    dist = write_artifact(world.folder / f"dist-{version}", version)
    start = dist / "bin" / "start"
    gate = f'{world.folder}/gate-"{each}"'
    waits = f". bin/common\nuntil [ -e {gate} ]; do sleep 0.1; done\n"
    start.write_text(start.read_text().replace(". bin/common\n", waits))
    await world.apollo.create_release("shop", version, world.project.setup, dist)


def open_gate(world: World, place: str) -> None:
    """Let `start` go on in a location, or a wave, now and from now on."""
    (world.folder / f"gate-{place}").touch()


def close_gates(world: World) -> None:
    """Let `start` wait again, everywhere."""
    for gate in world.folder.glob("gate-*"):
        gate.unlink()


async def until_attached(world: World) -> None:
    """Wait until an attempt has told Temporal that it found a phase of its turn at work."""
    await eventually(lambda: has_attached(world), rounds=1200)


async def has_attached(world: World) -> bool:
    """Whether an attempt that is under way has found a phase of its turn at work."""
    temporal = await world.apollo.temporal()
    async for each in temporal.list_workflows('ExecutionStatus = "Running"'):
        handle = temporal.get_workflow_handle(each.id)
        told = (await handle.describe()).raw_description.pending_activities
        beats = [beat.data for one in told for beat in one.heartbeat_details.payloads]
        if any(b'"attached":["' in beat for beat in beats):
            return True
    return False
