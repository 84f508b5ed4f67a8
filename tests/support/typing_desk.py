"""The command line in this process, beside the stage of the workflow tests."""

import asyncio
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pytest

from apollo.cli.run import run
from tests.support.stage import Script, Stage


class Typed(NamedTuple):
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str


@dataclass
class Desk:
    """A folder with an apollo.yaml, where somebody types; it is the working directory."""

    stage: Stage
    folder: Path
    capture: pytest.CaptureFixture[str]

    @classmethod
    def of(
        cls,
        stage: Stage,
        folder: Path,
        patch: pytest.MonkeyPatch,
        capture: pytest.CaptureFixture[str],
        application: str = "shop",
    ) -> "Desk":
        """Where hosts of the application follow a script on which all goes well."""
        stage.actors.scripts[application] = Script()
        folder.mkdir(parents=True, exist_ok=True)
        patch.chdir(folder)
        patch.setenv("APOLLO_HOME", str(stage.apollo.settings.home))
        patch.setenv("APOLLO_IDENTITY", "ada")
        patch.setenv("TEMPORAL_ADDRESS", stage.server.address)
        patch.setenv("PYTHONUNBUFFERED", "1")
        return cls(stage, folder, capture)

    async def type(self, *words: str) -> Typed:
        """Type a command, such as `apollo status`; how it ended."""
        if words[0] == "temporal":
            return Typed(0, await self.stage.temporal(*words[1:]), "")
        assert words[0] == "apollo", words
        self.capture.readouterr()
        code = await asyncio.to_thread(run, words[1:])
        return Typed(code, *self.capture.readouterr())

    async def begin(self, *words: str) -> asyncio.subprocess.Process:
        """Begin a command as a process of its own, which can be interrupted."""
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "apollo.cli", *words[1:]),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
