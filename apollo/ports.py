"""What Apollo asks of the world, where there is more than one answer."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from apollo.domain.alarms import Alarm, Reading
from apollo.domain.fleet import Host
from apollo.domain.keys import Scanned
from apollo.domain.logs import HostLog, LogRead
from apollo.domain.manifest import Manifest
from apollo.domain.sync import Sight
from apollo.domain.turn import TurnInput, TurnRecord


@dataclass(frozen=True)
class Probe:
    """One look at an application: whether the answer was good, and what was found."""

    good: bool
    found: str


class Reader(Protocol):
    """The reading end of a connection."""

    async def read(self, n: int = -1) -> bytes:
        """Some bytes, or none at the end."""


class Writer(Protocol):
    """The writing end of a connection."""

    def write(self, data: bytes) -> None:
        """Send bytes."""


@dataclass(frozen=True)
class Stream:
    """A connection to an application."""

    reader: Reader
    writer: Writer


class HostSession(Protocol):
    """A connection to one host."""

    accepted_key: str
    """The host key that was accepted though nobody had trusted one (`first_use`), if so."""

    async def run(self, line: str, stdin: bytes = b"") -> bytes:
        """Run a command line with data on its standard input and return its standard output.

        Raises:
            ContactLost: The connection ended before the command did.
        """

    async def send(self, source: Path, target: str, start: int) -> bool:
        """Write a file's bytes from `start` on into a file of the host that is there.

        Returns:
            Whether that could begin: a host may have no way to send files.

        Raises:
            ContactLost: The connection ended before all was written.
        """

    def forward(self, host: str, port: int) -> AbstractAsyncContextManager[Stream]:
        """A TCP connection that begins on the host, through this one.

        Raises:
            ContactLost: This connection has ended.
        """

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


@dataclass(frozen=True)
class Reach:
    """What a connection needs to know of a host, where it has no turn."""

    host: Host
    host_keys: tuple[str, ...]
    first_use: bool
    application: str
    environment: str


Reachable = TurnInput | Reach


class Hosts(Protocol):
    """Opens connections to hosts."""

    def connect(self, host: Reachable) -> HostSession:
        """A session with a host, connected when it is entered.

        Raises:
            TurnError: ConnectFailed, HostKeyUnknown, HostKeyChanged or AuthFailed, when entered.
        """


class Manifests(Protocol):
    """Where workers find what hosts are to run."""

    async def manifest(self, digest: str) -> Manifest:
        """The manifest of that digest."""

    async def canonical(self, digest: str) -> bytes:
        """The manifest as it is stored: a newer Apollo may have written more than we read."""

    async def artifact(self, sha256: str) -> Path:
        """A local file with the artifact of that digest; not to be written."""

    async def url(self, sha256: str) -> str | None:
        """Where a host finds that artifact, if the store has URLs; it may be a secret."""


class Secrets(Protocol):
    """Resolves references to secrets within what the worker's settings allow; may take a while."""

    def resolve(self, references: Mapping[str, str]) -> dict[str, str]:
        """Name → reference in, name → value out.

        Raises:
            ValueError: A reference is not allowed here or has no value; never shows a value.
        """


@dataclass
class Footing:
    """What an attempt at a turn has learnt that its successor, or a reader of the UI, must know."""

    step: str = "connect"
    drained: bool = False
    attached: list[str] = field(default_factory=list)
    host_key: str = ""
    """The host key that was accepted though nobody had trusted one."""

    def details(self) -> dict[str, Any]:
        """As it travels in heartbeats.

        The server hears of it late: whoever reads it has to take the host for drained.
        """
        return {
            "step": self.step,
            "drained": True,
            "attached": list(self.attached),
            "host_key": self.host_key,
        }


class RunTurn(Protocol):
    """Carries turns out on their hosts."""

    async def __call__(self, given: TurnInput, attempt_ms: int, footing: Footing) -> TurnRecord:
        """Attach to what the journal holds, go on from there, and say how the host ended.

        Raises:
            TurnError: The attempt could not go on.
        """


class ScanKey(Protocol):
    """Asks hosts for their SSH keys."""

    async def __call__(self, reach: Reach) -> Scanned:
        """The key that a host shows; never raises."""


class ReadPrinted(Protocol):
    """Reads what the hooks of a host's turn print, and changes nothing."""

    async def __call__(self, given: LogRead) -> HostLog:
        """What came since, without secrets.

        Raises:
            TurnError: The host cannot be reached, or what it says cannot be shown.
        """


class ReadAlarm(Protocol):
    """Asks what watches a release how it stands."""

    async def __call__(self, alarm: Alarm) -> Reading:
        """How an alarm stands; never raises."""


class LookAt(Protocol):
    """Looks at hosts and changes nothing."""

    async def __call__(self, host: Reachable, root: str) -> Sight:
        """What serves from that root on the host, as the host itself says; never raises."""
