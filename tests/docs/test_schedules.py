"""The page `docs/schedules.md`, followed on a real server without workers."""

import asyncio
import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from apollo.cli.run import run
from apollo.local.process import find_program
from apollo.local.temporal import TemporalServer
from tests.support.projects import write

PAGE = (Path(__file__).parents[2] / "docs" / "schedules.md").read_text(encoding="utf-8")
PROJECT = """\
application: shop
setup: {root: /srv/shop, hooks: {start: bin/start}}
environments:
  staging: {fleet: {hosts: {s1: 10.0.0.1}}}
  prod: {fleet: {hosts: {p1: 10.0.0.2}}}
pipeline: [staging, prod]
"""


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


async def test_the_page_can_be_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(write(tmp_path / "shop", {"apollo.yaml": PROJECT}))
    async with TemporalServer(tmp_path / "temporal") as server:
        monkeypatch.setenv("TEMPORAL_ADDRESS", server.address)
        monkeypatch.setenv("APOLLO_HOME", str(tmp_path / "home"))
        await asyncio.to_thread(_apollo, "apply")
        said, commands = "", 0
        for line in "".join(blocks("console")).splitlines():
            if not line.startswith("$ "):
                assert line in said
                continue
            capfd.readouterr()
            await asyncio.to_thread(_follow, line.removeprefix("$ "))
            said, commands = "".join(capfd.readouterr()), commands + 1
        assert commands == 9
        (python,) = blocks("python")
        source = python.replace("\n", "\n    ")
        names: dict[str, object] = {}
        exec(f"async def followed():\n    {source}", names)
        await names["followed"]()  # type: ignore[operator]
        found = capfd.readouterr().out
    assert "shop/weekly" in found
    assert "shop/sync-prod" in found
    assert found.count("datetime.datetime") == 6


def _follow(command: str) -> None:
    program, *arguments = shlex.split(command)
    if program == "apollo":
        _apollo(*arguments)
    else:
        environment = {**os.environ, "NO_COLOR": "1"}
        subprocess.run([find_program(program), *arguments], env=environment, check=True)


def _apollo(*arguments: str) -> None:
    assert run(arguments) == 0, arguments
