"""The page `docs/first-deployment.md`, followed literally on two OpenSSH hosts."""

import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from apollo.local.process import find_program
from tests.support.openssh import OpenSshFleet, openssh_fleet

PAGE = Path(__file__).parents[2] / "docs" / "first-deployment.md"
BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
EXITS = {"apollo deploy prod 1.1 --yes": 4}
SAYS = {
    "apollo check": "shop",
    "apollo hosts trust prod --yes": "web1",
    "apollo plan prod 1.0": "No host was changed",
    "apollo status prod": "1.0",
    "apollo deploy prod 1.0 --yes": "succeeded",
    "apollo deploy prod 1.1 --yes": "rolled back",
    "apollo hosts prod": "serving",
    "apollo show prod#3": "in the rollback: 1 host",
}
"""What the command must show; the page shows the rest in words."""


class Reader:
    """Does what the page says; only the machines' addresses and their user are the test's."""

    def __init__(self, folder: Path, fleet: OpenSshFleet) -> None:
        self.folder = folder
        self.said: list[tuple[str, str]] = []
        self._ours = {
            "10.0.0.11": fleet.hosts["web1"].address,
            "10.0.0.12": fleet.hosts["web2"].address,
            "user: deploy": "user: root",
        }
        scripts = Path(find_program("temporal")).parent
        self._environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{scripts}:{os.environ['PATH']}",
            "APOLLO_HOME": str(folder / "home"),
            "APOLLO_SSH_KEY": str(fleet.key),
        }
        self.up: subprocess.Popen[bytes] | None = None

    def follow(self, page: str) -> None:
        """Write each file and run each command, in the order of the page."""
        for kind, title, text in BLOCK.findall(page):
            if title:
                self._write(title, self._translated(text))
            elif kind == "console":
                self._run_all(self._translated(text))

    def _translated(self, text: str) -> str:
        for theirs, ours in self._ours.items():
            text = text.replace(theirs, ours)
        return text

    def _write(self, title: str, text: str) -> None:
        path = self.folder / title
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def _run_all(self, text: str) -> None:
        command = ""
        for line in text.splitlines():
            if line.startswith("$ "):
                command = line.removeprefix("$ ")
                self._run(command)
            else:
                assert line in self.said[-1][1], f"after {command!r}"

    def _run(self, command: str) -> None:
        if command.startswith("pip install"):
            return
        if command == "apollo up":
            self._start()
            return
        done = subprocess.run(
            shlex.split(command),
            cwd=self.folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        output = done.stdout + done.stderr
        assert done.returncode == EXITS.get(command, 0), f"{command}: {output}"
        assert SAYS.get(command, "") in output, f"{command}: {output}"
        self.said.append((command, output))

    def _start(self) -> None:
        with (self.folder / "up.log").open("wb") as log:
            self.up = subprocess.Popen(
                ["apollo", "up"],
                executable=str(Path(sys.executable).parent / "apollo"),
                cwd=self.folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        for _ in range(600):
            if (self.folder / "home" / "temporal.json").exists():
                return
            assert self.up.poll() is None, (self.folder / "up.log").read_text()
            time.sleep(0.1)
        raise AssertionError("apollo up never said that it runs")

    def stop(self) -> None:
        """End what `apollo up` runs."""
        if self.up:
            self.up.terminate()
            self.up.wait(60)


def test_the_page_leads_to_a_running_release(tmp_path: Path, program: Callable[[str], str]) -> None:
    program("curl")
    with openssh_fleet(tmp_path / "hosts", ["web1", "web2"], program) as fleet:
        folder = tmp_path / "shop"
        folder.mkdir()
        reader = Reader(folder, fleet)
        try:
            reader.follow(PAGE.read_text(encoding="utf-8"))
        finally:
            reader.stop()

    commands = [command for command, _ in reader.said]
    assert commands.count("apollo deploy prod 1.0 --yes") == 2
    again = [said for command, said in reader.said if command == "apollo deploy prod 1.0 --yes"][1]
    assert "current" in again
    story = dict(reader.said)["apollo show prod#3"]
    assert re.search(r"^  start +1 +\d\S+s +\d\S+s +web\d$", story, re.MULTILINE), story
    assert re.search(r"^wave 1 +1 +20\d\d-\S+Z +\d+s +↩ reverted 1$", story, re.MULTILINE), story
