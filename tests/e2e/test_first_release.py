"""The first release that hosts ever see: there is nothing to go back to."""

from pathlib import Path

from apollo.domain.status import DeploymentState, Serving
from apollo.testing.artifact import Fault
from tests.support.witness import versions
from tests.support.world import World


async def test_a_first_release_that_fails_ends_stopped_and_reported(tmp_path: Path) -> None:
    async with World(tmp_path, {"fra1": 2, "ams1": 1}) as world:
        world.start_worker()
        await world.release("1.0.0", Fault("validate"))
        result = await world.deploy("1.0.0")

        assert result.state is DeploymentState.ROLLED_BACK
        assert result.outcomes == {"broken": 1, "not_started": 2}
        assert set((await versions(world.fleet)).values()) == {""}
        known = await world.apollo.hosts("shop", "prod")
        assert [host.serving for host in known.values()] == [Serving.BROKEN]

        # It is only the release that was bad.
        await world.release("1.0.1")
        assert (await world.deploy("1.0.1")).outcomes == {"updated": 3}
        assert set((await versions(world.fleet)).values()) == {"1.0.1"}
