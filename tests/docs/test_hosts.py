"""The page `docs/hosts.md`, followed on a fleet to which a host is added, and one was rebuilt."""

import asyncio
import json
import os
import re
import shlex
import shutil
import sys
from pathlib import Path

from tests.support.witness import versions
from tests.support.world import World

PAGE = Path(__file__).parents[2] / "docs" / "hosts.md"
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
EXITS = {"apollo sync prod --check": 6}
SAYS = {
    "apollo apply prod --yes": ["hosts.ams1-02"],
    "apollo sync prod --check": ["ams1-02  · new", "fra1-02  ! drifted  nothing", "current 2"],
    'apollo restart prod --limit fra1 --reason "memory grows" --yes': [
        "restart 1.0.0",
        "updated 2",
    ],
    "apollo deploy prod current --yes": ["current 4"],
}


class Reader:
    """Runs what the page says beside the project."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.said: list[tuple[str, str]] = []
        self._environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "APOLLO_HOME": str(world.settings.home),
        }

    async def follow(self, page: str) -> None:
        for block in BLOCK.findall(page):
            for line in block.splitlines():
                if line.startswith("$ "):
                    command = line.removeprefix("$ ")
                    code, out, err = await self.run(command)
                    assert code == EXITS.get(command, 0), f"{command}: {out}{err}"
                    for words in SAYS.get(command, []):
                        assert words in out + err, f"{command}: {out}{err}"
                    self.said.append((command, out + err))
                else:
                    assert line in self.said[-1][1], f"after {self.said[-1]}"

    async def run(self, command: str) -> tuple[int, str, str]:
        process = await asyncio.create_subprocess_exec(
            *shlex.split(command),
            cwd=self.world.folder,
            env=self._environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        assert process.returncode is not None
        return process.returncode, out.decode(), err.decode()


async def test_the_page_brings_every_host_to_the_release(tmp_path: Path) -> None:
    strategy = "strategy: {waves: [100%], max_unavailable: 100%}"
    async with World(tmp_path, {"fra1": 2, "ams1": 2}, strategy) as world:
        world.start_worker()
        inventory = world.folder / "fleet.yaml"
        whole = inventory.read_text()
        inventory.write_text("".join(x for x in whole.splitlines(True) if "ams1-02" not in x))
        await apply_what_lies_there(world)
        await world.release("1.0.0")
        assert (await world.deploy("1.0.0")).outcomes == {"updated": 3}
        inventory.write_text(whole)
        await world.fleet.kill_processes("fra1-02")
        shutil.rmtree(Path(world.fleet.host("fra1-02").folder) / "shop")

        reader = Reader(world)
        await reader.follow(PAGE.read_text(encoding="utf-8"))

        assert set((await versions(world.fleet)).values()) == {"1.0.0"}
        code, out, _ = await reader.run("apollo sync prod --check --json")
        found = json.loads(out)
        assert (code, found["current"], found["counts"]) == (0, True, {"current": 4})
        code, out, _ = await reader.run("apollo sync prod --json")
        assert (code, json.loads(out)["detail"]) == (0, "nothing to do: 4 hosts run 1.0.0")
        _, out, _ = await reader.run("apollo history prod --json")
        deployments = json.loads(out)["deployments"]
    assert [each["kind"] for each in deployments] == ["deploy", "restart", "sync", "deploy"]


async def apply_what_lies_there(world: World) -> None:
    code, out, err = await Reader(world).run("apollo apply prod --yes")
    assert code == 0, out + err
