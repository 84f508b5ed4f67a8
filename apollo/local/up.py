"""What `apollo up` runs: a Temporal server and a worker, kept alive on this machine."""

import asyncio
import contextlib
import fcntl
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from types import TracebackType
from typing import Self

from apollo.errors import Refused
from apollo.local.process import Program, listens
from apollo.local.temporal import TemporalServer
from apollo.settings import Settings
from apollo.testing.ports import ReservedPort
from apollo.wiring import open_catalog

_LOOK = 1.0
_PATIENCE = 3
_LONGEST_PAUSE = 30.0
_STEADY = 60.0
_PORTS = (7233, 8233)
CODEC_ENDPOINT = "http://127.0.0.1:8081"
"""Where `apollo codec serve` listens by default."""


@contextmanager
def locked(settings: Settings) -> Iterator[None]:
    """One `up` per home: the lock is gone when its process is, however that ends.

    Raises:
        Refused: Another one runs.
    """
    settings.home.mkdir(parents=True, exist_ok=True)
    with (settings.home / "up.lock").open("w", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise _runs_already(settings) from error
        yield


def _runs_already(settings: Settings) -> Refused:
    told = _told(settings)
    where = f", Temporal UI {told['ui']}, process {told['pid']}" if told else ""
    return Refused(
        f"apollo up runs already in {settings.home}{where}",
        hint="use it, end it with Ctrl-C, or give this one another APOLLO_HOME",
    )


class Up:
    """The server and the worker, while the context is open."""

    def __init__(
        self, settings: Settings, port: int, ui_port: int, tell: Callable[[str], None]
    ) -> None:
        self._settings = settings
        self._ports = (port or _free(_PORTS[0]), ui_port or _free(_PORTS[1]))
        self._tell = tell
        self._stack = AsyncExitStack()
        self._server: TemporalServer | None = None
        self._worker: Program
        self.address = self.ui = ""

    async def __aenter__(self) -> Self:
        async with open_catalog(self._settings):
            pass
        async with AsyncExitStack() as stack:
            await self._serve(stack)
            self._worker = self._new_worker()
            self._worker.start()
            stack.push_async_callback(self._worker.stop, self._settings.grace + 10)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    async def watch(self, stop: asyncio.Event) -> None:
        """Keep both alive until it is told to stop."""
        keepers = [
            asyncio.create_task(self._keep_server()),
            asyncio.create_task(self._keep_worker()),
        ]
        stopped = asyncio.create_task(stop.wait())
        done, _ = await asyncio.wait([stopped, *keepers], return_when=asyncio.FIRST_COMPLETED)
        for task in (stopped, *keepers):
            task.cancel()
        await asyncio.gather(stopped, *keepers, return_exceptions=True)
        for task in done - {stopped}:
            task.result()

    async def _serve(self, stack: AsyncExitStack) -> None:
        """Start the server, or go on with the one that an `up` that was killed left behind."""
        file = self._settings.temporal_file
        left = _told(self._settings)
        if left and await listens(_port(left["address"])):
            self.address, self.ui = left["address"], left["ui"]
            self._tell(f"A Temporal server of an earlier apollo up still runs at {self.address}.")
        else:
            endpoint = CODEC_ENDPOINT if self._settings.encryption_key else ""
            home = self._settings.home / "temporal"
            server = TemporalServer(home, *self._ports, codec_endpoint=endpoint)
            self._server = await stack.enter_async_context(server)
            self.address, self.ui = self._server.address, self._server.ui_url
            stack.callback(file.unlink, missing_ok=True)
        told = {"address": self.address, "ui": self.ui, "pid": os.getpid()}
        part = file.with_suffix(".part")
        part.write_text(json.dumps(told), encoding="utf-8")
        part.replace(file)

    def _new_worker(self) -> Program:
        environment = {**os.environ, "TEMPORAL_ADDRESS": self.address}
        for name in ("TEMPORAL_NAMESPACE", "TEMPORAL_API_KEY", "TEMPORAL_PROFILE"):
            environment.pop(name, None)
        environment.pop("APOLLO_BUILD_ID", None)  # it is the only worker: there is no other build
        environment["APOLLO_HOME"] = str(self._settings.home.absolute())
        command = [sys.executable, "-m", "apollo.workers"]
        return Program(command, self._settings.home / "worker.log", environment=environment)

    async def _keep_server(self) -> None:
        missed = 0
        while True:
            await asyncio.sleep(_LOOK)
            missed = 0 if await listens(_port(self.address)) else missed + 1
            if missed >= _PATIENCE and self._server:
                self._tell("The Temporal server has ended; it is started again.")
                await self._server.restart()
                missed = 0

    async def _keep_worker(self) -> None:
        loop = asyncio.get_running_loop()
        pause, started = _LOOK, loop.time()
        while True:
            await asyncio.sleep(_LOOK)
            if self._worker.running:
                continue
            pause = _LOOK if loop.time() - started > _STEADY else min(2 * pause, _LONGEST_PAUSE)
            self._tell(f"The worker has ended: {self._worker.log}. It is started in {pause:.0f}s.")
            await asyncio.sleep(pause)
            self._worker.start()
            started = loop.time()


def _told(settings: Settings) -> dict[str, str]:
    with contextlib.suppress(OSError, ValueError):
        found: dict[str, str] = json.loads(settings.temporal_file.read_text(encoding="utf-8"))
        return found
    return {}


def _free(port: int) -> int:
    """The port, if nobody has it; else any."""
    with contextlib.suppress(OSError):
        ReservedPort(port).release()
        return port
    return 0


def _port(address: str) -> int:
    return int(address.rpartition(":")[2])
