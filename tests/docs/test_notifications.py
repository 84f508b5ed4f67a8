"""The page `docs/notifications.md`: its file, its commands, its body."""

import asyncio
import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from apollo.cli.run import run
from apollo.domain.environment import TROUBLE
from apollo.domain.notification import NotificationInput, Told, message
from apollo.domain.status import DeploymentState
from apollo.links import temporal_link
from apollo.local.process import find_program
from apollo.local.temporal import TemporalServer
from apollo.settings import Settings
from tests.support.projects import write

PAGE = (Path(__file__).parents[2] / "docs" / "notifications.md").read_text(encoding="utf-8")


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}(?: title=[^\n]*)?\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


async def test_the_page_can_be_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project,) = blocks("yaml")
    monkeypatch.chdir(write(tmp_path / "shop", {"apollo.yaml": project}))
    monkeypatch.setenv("APOLLO_HOME", str(tmp_path / "home"))
    lines = "".join(blocks("console")).splitlines()
    commands = [shlex.split(line.removeprefix("$ ")) for line in lines]
    assert [command[:2] for command in commands] == [
        ["apollo", "check"],
        ["apollo", "apply"],
        ["temporal", "workflow"],
    ]
    async with TemporalServer(tmp_path / "temporal") as server:
        monkeypatch.setenv("TEMPORAL_ADDRESS", server.address)
        for program, *arguments in commands:
            if program == "apollo":
                assert await asyncio.to_thread(run, arguments) == 0
            else:
                command = [find_program(program), *arguments]
                await asyncio.to_thread(subprocess.run, command, check=True)


def test_the_body_is_what_the_page_shows() -> None:
    given = NotificationInput(
        deployment="uuid",
        workflow_id="deployment/shop/prod/build-7",
        label="shop/prod#42",
        number=1,
        state=DeploymentState.PAUSED,
        detail="paused: latency is up (ada)",
        at="2027-03-02T09:14:07+00:00",
        hooks=(0,),
    )
    told = Told(release="1.4.2", previous_release="1.4.1", outcomes={"updated": 3, "pending": 9})
    link = temporal_link(Settings(ui="https://temporal.example"), given.workflow_id)

    assert [json.loads(block) for block in blocks("json")] == [message(given, told, link)]


def test_the_states_are_those_of_the_page() -> None:
    (sentence,) = re.findall(r"Left out, `on` is (.*?):", PAGE, re.DOTALL)

    assert tuple(re.findall(r"`(\w+)`", sentence)) == TROUBLE
