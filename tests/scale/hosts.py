"""Simulated hosts: connections to machines that are not there, and answer as the script does.

They speak the script's own protocol, so everything above a connection is real: the turn, its jobs,
its probes. Each host keeps a journal; what is drawn for it depends on the seed, its name and its
turn alone, whatever the order in which hosts have their turns.
"""

import asyncio
import base64
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from apollo.domain.turn import TurnInput
from apollo.errors import ConnectFailed, ContactLost
from apollo.ports import Manifests, Reachable, Stream
from tests.scale.fate import Fate, draw
from tests.scale.journal import Journal

_SCRIPT = re.compile(r"\$\(echo (\S+) \| base64 -d\)")
_CALL = re.compile(r'\n\[ -r "\$f" \] && exec \S+ \S+ (.*)')


@dataclass(slots=True)
class Machine:
    """One host, whether or not anybody is connected to it."""

    journal: Journal
    away_until: float = 0.0
    fates: dict[int, Fate] = field(default_factory=dict)
    """Turn → what will become of it; the connection is lost only once."""


@dataclass
class SimulatedHosts:
    """The fleet, as `apollo.ports.Hosts`. Each host runs what the catalog says that it runs."""

    manifests: Manifests
    seed: int
    machines: dict[str, Machine] = field(default_factory=dict)
    _words: dict[str, str] = field(default_factory=dict)

    def connect(self, host: Reachable) -> "SimulatedSession":
        """A session with a host."""
        assert isinstance(host, TurnInput), "only turns are simulated"
        return SimulatedSession(self, host)

    async def machine(self, turn: TurnInput) -> Machine:
        """The host of a turn."""
        found = self.machines.get(turn.host.name)
        if found is None:
            assert turn.running, f"{turn.host.name} should run something"
            runs = await self.manifest(turn.running)
            found = self.machines[turn.host.name] = Machine(Journal(turn.running, runs))
        if turn.turn not in found.fates:
            found.fates = {turn.turn: draw(self.seed, turn.host.name, turn.turn)}
        return found

    async def manifest(self, digest: str) -> str:
        """A manifest in base64."""
        if digest not in self._words:
            canonical = (await self.manifests.manifest(digest)).canonical()
            self._words[digest] = base64.b64encode(canonical).decode()
        return self._words[digest]


class SimulatedSession:
    """A connection, as `apollo.ports.HostSession`."""

    accepted_key = ""

    def __init__(self, fleet: SimulatedHosts, turn: TurnInput) -> None:
        self._fleet = fleet
        self._turn = turn

    async def __aenter__(self) -> Self:
        self._machine = await self._fleet.machine(self._turn)
        self._fate = self._machine.fates[self._turn.turn]
        if self._fate.unreachable or time.monotonic() < self._machine.away_until:
            raise ConnectFailed(
                f"{self._turn.host.name}: no route to host",
                host=self._turn.host.name,
                step="connect",
                left="nothing was changed by this attempt",
                hint="see that the host is up",
            )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    async def run(self, line: str, stdin: bytes = b"") -> bytes:
        """Answer a command of the host script."""
        encoded = _SCRIPT.search(line)
        assert encoded, f"not a command of the host script: {line[:200]}"
        text = base64.b64decode(encoded[1]).decode()
        call = _CALL.search(text)
        assert call, f"not a command that is simulated: {text[:200]}"
        arguments = call[1].replace("'", "").split(" ")  # none of them holds a blank
        name, nonce, _, _, _, _, turn, _, deployment, *words = arguments
        lines = await self._answer(name, f"{deployment} {turn}", words, stdin)
        return "\n".join([f"<<<apollo:{nonce}", *lines, f"apollo:{nonce}>>>", ""]).encode()

    async def _answer(self, name: str, turn: str, words: list[str], stdin: bytes) -> list[str]:
        journal = self._machine.journal
        if name == "begin":
            digest, folder, _, _, redeploy = words
            new = await self._fleet.manifest(digest)
            staged = journal.begin(turn, digest, folder, new, redeploy == "yes", stdin.decode())
            await asyncio.sleep(self._fate.stage if staged else 0)
        elif name == "drain":
            journal.drain()
        elif name == "run":
            await self._work(words[0], stdin.decode())
        elif name == "settle":
            journal.settle(words[0])
        else:
            assert name == "fence", f"not a command that is simulated: {name}"
        return journal.report()

    async def _work(self, phase: str, job: str) -> None:
        """The phase goes on though its connection is lost; who comes back waits for its end."""
        journal = self._machine.journal
        if journal.started(phase):
            await asyncio.sleep(journal.ends - time.monotonic())
            return
        journal.run(phase, job, self._fate)
        if self._fate.away:
            await asyncio.sleep(self._fate.work / 2)
            self._machine.away_until = time.monotonic() + self._fate.away
            self._fate = self._machine.fates[self._turn.turn] = self._fate.back
            raise ContactLost(
                f"contact with {self._turn.host.name} was lost: connection reset",
                host=self._turn.host.name,
                step=phase,
                left="what runs on the host goes on there",
                hint="the next attempt attaches to it",
            )
        await asyncio.sleep(self._fate.work)

    async def send(self, source: Path, target: str, start: int) -> bool:
        """These hosts pull."""
        raise AssertionError(f"nothing is sent to simulated hosts: {source}, {target}, {start}")

    @asynccontextmanager
    async def forward(self, host: str, port: int) -> AsyncIterator[Stream]:
        """The application, which is well when it was started well."""
        application = _Application()
        yield Stream(application, application)


class _Application:
    """Says that it is well."""

    def write(self, data: bytes) -> None:
        """Listen to nothing."""

    async def read(self, n: int = -1) -> bytes:
        """The answer to a GET."""
        return b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
