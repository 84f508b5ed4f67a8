"""Staging ahead on real hosts: `install` runs everywhere before the first host leaves service."""

from pathlib import Path

from apollo.domain.status import DeploymentState
from apollo.local.judge import HookRun, read_hook_log, repeated_hooks
from apollo.testing.artifact import write_artifact
from tests.support.scene import eventually
from tests.support.witness import hooks_of, versions
from tests.support.world import World

HOSTS = {"fra1": 3, "ams1": 3}
TAKEOVER = 2


async def slow_install(world: World, version: str, seconds: int) -> None:
    """A release whose `install` takes so long, and says when it has ended."""
    dist = write_artifact(world.folder / f"dist-{version}", version)
    install, installed = dist / "bin" / "install", dist / "bin" / "installed"
    installed.write_text(install.read_text())
    installed.chmod(0o755)
    install.write_text(f"{install.read_text()}\nsleep {seconds}\nbin/installed\n")
    await world.apollo.create_release("shop", version, world.project.setup, dist)


def begun(world: World, deployment: str, step: str) -> list[HookRun]:
    return [run for run in hooks_of(read_hook_log(world.hook_log), deployment) if run.step == step]


async def test_a_wave_is_staged_before_its_first_host_is_stopped(tmp_path: Path) -> None:
    """One host may be out at a time; being staged takes no room."""
    async with World(tmp_path, HOSTS, "strategy: {waves: [1, 100%], max_unavailable: 1}") as world:
        world.start_worker()
        await world.release("1.0.0")
        await world.deploy("1.0.0")
        await slow_install(world, "2.0.0", 1)
        result = await world.deploy("2.0.0")
        assert set((await versions(world.fleet)).values()) == {"2.0.0"}

    assert result.outcomes == {"updated": 6}
    ready, stopped = (begun(world, "shop/prod#2", step) for step in ("installed", "stop"))
    assert len(ready) == len(stopped) == 6
    (canary, *others), (first, second, *_) = sorted(ready), sorted(stopped)
    assert canary.time < first.time < min(run.time for run in others)
    assert max(run.time for run in others) < second.time
    assert repeated_hooks(read_hook_log(world.hook_log)) == {}


async def test_a_killed_workers_staging_is_attached_to(tmp_path: Path) -> None:
    async with World(tmp_path, HOSTS, takeover=TAKEOVER) as world:
        await slow_install(world, "1.0.0", TAKEOVER + 6)
        world.start_worker()
        deployment = await world.apollo.deploy("shop", "prod", "1.0.0")

        async def installing() -> bool:
            return len(begun(world, "shop/prod#1", "install")) == 1

        await eventually(installing)
        world.kill_worker()
        assert begun(world, "shop/prod#1", "installed") == []  # the kill cut `install`
        world.start_worker()
        result = await deployment.result()
        assert set((await versions(world.fleet)).values()) == {"1.0.0"}

    assert (result.state, result.outcomes) == (DeploymentState.SUCCEEDED, {"updated": 6})
    assert len(begun(world, "shop/prod#1", "install")) == 6
    assert len(begun(world, "shop/prod#1", "installed")) == 6
    assert repeated_hooks(read_hook_log(world.hook_log)) == {}
