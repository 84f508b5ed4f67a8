"""One command takes a change through three fleets, though the worker is killed in each of them."""

import asyncio
import json
from pathlib import Path

from apollo.files.environment import resolve
from apollo.files.project import load_project
from apollo.local.judge import HookRun, read_hook_log, repeated_hooks
from tests.support.gate import gated_release, open_gate, until_attached
from tests.support.scene import eventually
from tests.support.witness import hooks_of, versions
from tests.support.world import APPLICATION, World

TAKEOVER = 2
FLEETS = {"dev1": 1, "sta1": 2, "fra1": 2}
"""Each location is the whole fleet of one environment."""
STAGES = {"dev": "dev1", "staging": "sta1", "prod": "fra1"}
AT_ONCE = "{waves: [100%], max_unavailable: 100%}"


class Pipeline(World):
    """Three environments with a fleet each; only `prod` asks for approval."""

    async def apply(self, environment: str) -> None:
        """Apply all environments."""
        head = APPLICATION.format(hook_log=self.hook_log, environment="").split("environments:")[0]
        lines = [head, "environments:"]
        for name, location in STAGES.items():
            gate = ", approval: required" if name == "prod" else ""
            fleet = f"fleet: {{inventory: fleet.yaml, select: {location}}}"
            lines.append(f"  {name}: {{{fleet}, strategy: {AT_ONCE}{gate}}}")
        lines.append("pipeline: [dev, staging, prod]")
        (self.folder / "fleet.yaml").write_text(self.fleet.inventory_yaml())
        (self.folder / "apollo.yaml").write_text("\n".join(lines))
        self.project = load_project(self.folder)
        for name in STAGES:
            resolved = resolve(self.project, name)
            await self.apollo.catalog.environments.apply(resolved, self.project.stages, "tester")

    async def starting(self, location: str) -> None:
        """Wait until a host of that fleet runs `start`."""

        async def begun() -> bool:
            runs = read_hook_log(self.hook_log)
            return any(run.step == "start" and run.host.startswith(location) for run in runs)

        await eventually(begun)

    async def kill_while_starting(self, location: str) -> None:
        """SIGKILL the worker in the middle of `start`, which ends when another has found it."""
        await self.starting(location)
        await asyncio.to_thread(self.kill_worker)
        self.start_worker()
        await until_attached(self)
        open_gate(self, location)


async def test_a_change_reaches_production_though_each_stages_worker_is_killed(
    tmp_path: Path,
) -> None:
    async with Pipeline(tmp_path, FLEETS, takeover=TAKEOVER) as world:
        await gated_release(world, "1.0.0")
        world.start_worker()
        async with world.command("promote", "--yes", "--reason", "the sale") as promoting:
            await world.kill_while_starting(STAGES["dev"])
            await world.kill_while_starting(STAGES["staging"])
            await until_awaiting(world)
            assert not hosts_that_ran(world.hook_log, STAGES["prod"])
            await world.said("approve", "prod", "--reason", "looks good")
            await world.kill_while_starting(STAGES["prod"])
            out, _ = await promoting.communicate()
        told = out.decode()
        assert promoting.returncode == 0, told
        ran = await versions(world.fleet)
        history = json.loads(await world.said("history", "prod", "--audit", "--json"))
        deployments = {
            name: (await world.apollo.catalog.deployments.list("shop", name))[0] for name in STAGES
        }
        rows = {
            name: await world.apollo.catalog.plans.rows(each.uuid)
            for name, each in deployments.items()
        }

    assert ran == dict.fromkeys(ran, "1.0.0")
    assert len(ran) == sum(FLEETS.values())
    assert "shop 1.0.0  ✔ succeeded" in told
    assert "approved by eve" in told
    runs = read_hook_log(world.hook_log)
    assert repeated_hooks(runs) == {}
    for name, location in STAGES.items():
        assert_each_hook_once(hooks_of(runs, f"shop/{name}#1"), location)
        cut = [row.host for row in rows[name] if row.attached]
        assert cut, f"the kill in {name} cut nothing"
    assert "looks good" in [entry["reason"] for entry in history["audit"]]
    times = [deployments[name].opened_at for name in STAGES]
    ends = [deployments[name].ended_at for name in STAGES]
    assert all(end and end <= begin for end, begin in zip(ends, times[1:], strict=False))


async def until_awaiting(world: Pipeline) -> None:
    """Wait until the promotion waits for its approval."""

    async def waits() -> bool:
        running = await world.apollo.catalog.promotions.running("shop", "prod")
        return [each.state for each in running] == ["awaiting"]

    await eventually(waits)


def hosts_that_ran(log: Path, location: str) -> set[str]:
    return {run.host for run in read_hook_log(log) if run.host.startswith(location)}


def assert_each_hook_once(runs: list[HookRun], location: str) -> None:
    hosts = [f"{location}-{number:02d}" for number in range(1, FLEETS[location] + 1)]
    steps = ("install", "start", "validate")
    assert sorted((run.host, run.step) for run in runs) == sorted(
        (host, step) for host in hosts for step in steps
    )
