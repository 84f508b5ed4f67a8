"""Points between the host script's commands, at which a test can do what it likes to a host."""

import os
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from apollo.hosts import script
from apollo.hosts.answer import Answer, Truncated, parse
from apollo.hosts.script import RemoteCommand
from tests.hosts.script_host import PATIENCE, Host

PRELUDE = Path(__file__).with_name("crash_points.sh")


@dataclass(frozen=True)
class Crash:
    """At which point, and what goes: caller, runner, both, host, torn, full, clock."""

    role: str
    number: int
    what: str

    @property
    def before(self) -> str:
        """Which points are counted: a record can only be torn while it is written."""
        return "before dd" if self.what == "torn" else ""


class PointedHost(Host):
    """A host whose script stops at the point that is asked for."""

    def __init__(self, folder: Path, shell: str, mutant: tuple[str, str] | None = None) -> None:
        super().__init__(folder, shell)
        self.points = folder / "points"
        self.points.mkdir()
        self.bring(mutant)
        self.crash: Crash | None = None
        self.met: set[tuple[str, str, int, str]] = set()
        """Every point at which something went: command, who, number, what."""
        self.on_reboot: Callable[[], None] = lambda: None
        self.arm(None)

    def bring(self, mutant: tuple[str, str] | None) -> None:
        """Put the script there, with its points, and perhaps without one of its protections."""
        target = self.meta / "bin" / script.script_name()
        target.parent.mkdir(parents=True)
        text = script.script().decode()
        if mutant:
            assert text.count(mutant[0]) == 1, mutant
            text = text.replace(*mutant)
        points = f"POINTS={self.points}\n{PRELUDE.read_text()}\n"
        target.write_text(points + text)

    def arm(self, crash: Crash | None) -> None:
        """Counting begins anew, and ends at that crash."""
        self.crash = crash
        (self.points / "count").write_text("")
        plan = f"{crash.role} {crash.number} {crash.before}" if crash else "-"
        (self.points / "plan.new").write_text(f"{plan}\n")
        (self.points / "plan.new").rename(self.points / "plan")
        (self.points / "here").unlink(missing_ok=True)
        self.fault("hold", crash is not None)

    def fault(self, name: str, on: bool) -> None:
        """A full disk, or a clock that went back."""
        if on:
            (self.points / name).touch()
        else:
            (self.points / name).unlink(missing_ok=True)

    def ask(self, command: RemoteCommand) -> Answer | None:
        """Run a command; none when it did not live to answer."""
        process = self.connection(command)
        deadline, alive = time.monotonic() + PATIENCE, True
        while process.poll() is None:
            assert time.monotonic() < deadline, "a command did not end"
            if (self.points / "here").exists():
                alive = self._strike(process.pid)
            time.sleep(0.002)
        assert process.stdout
        output = process.stdout.read()
        process.stdout.close()
        if not alive:
            return None
        with suppress(Truncated):
            return parse(command.nonce, output)
        return None

    def idle(self) -> None:
        """Wait until no runner is at work; one may meet its point on the way."""
        deadline = time.monotonic() + PATIENCE
        while self.runners():
            assert time.monotonic() < deadline, "a runner did not end"
            if (self.points / "here").exists():
                self._strike(None)
            time.sleep(0.005)

    def _strike(self, caller: int | None) -> bool:
        """What was asked for happens; whether the caller lives on."""
        if self.crash is None:  # two met the same point at the same time
            (self.points / "here").unlink()
            return True
        what, here = self.crash.what, (self.points / "here").read_text()
        self.crash = None
        role, number, when, name, *words = here.split()
        self.met.add((f"{when} {name}", role, int(number), what))
        if what in ("full", "clock"):
            self.fault(what, True)
        if what in ("caller", "both", "host", "torn") and caller:
            with suppress(ProcessLookupError):
                os.killpg(caller, signal.SIGKILL)
        if what in ("host", "torn"):
            self.on_reboot()
            self.reboot()
            if what == "torn":
                self._tear(words)
        elif what in ("runner", "both"):
            for pid in self.runners():
                with suppress(ProcessLookupError):
                    if os.getsid(pid) == pid:
                        os.kill(pid, signal.SIGKILL)
        self.arm(None)
        return what not in ("caller", "both", "host", "torn")

    def _tear(self, words: list[str]) -> None:
        """The record that was being written when the power went."""
        given = dict(word.split("=") for word in words if "=" in word)
        path, slot = self.root / given["of"], int(given["seek"])
        size = path.stat().st_size if path.exists() else 0
        with path.open("r+b" if path.exists() else "w+b") as file:
            file.truncate(max(size, slot * 512 + 512))
            file.seek(slot * 512)
            file.write(b"torn 1 17954".ljust(200, b"\0"))

    def remove(self) -> None:
        """End everything, and leave nothing."""
        self.arm(None)
        self.close()
        shutil.rmtree(self.root.parent.parent, ignore_errors=True)
