"""What happens in a deployment, as an onlooker sees it: plain events, no plan and no decisions."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Turn:
    """A host's turn on its way forward or back."""

    host: str
    phase: str
    wave: int
    batch: int
    number: int


class Onlooker(Protocol):
    """Is told of each thing at the moment at which it happens."""

    def opened(self, failures: int, unreachable: int, places: dict[str, tuple[int, int]]) -> None:
        """It is planned: how many may fail, and wave and batch of each host."""

    def began(self, phase: str, wave: int, batch: int, turns: list[Turn]) -> None:
        """These turns of a batch begin at one moment; none: it sees no host that may."""

    def ended(self, turn: Turn, outcome: str) -> None:
        """A turn has ended."""

    def left(self, host: str) -> None:
        """A host was skipped: it has no turn."""

    def batch(
        self, phase: str, wave: int, batch: int, hosts: list[str], *, beside: int, after: bool
    ) -> None:
        """A batch begins with these hosts, as one of several or alone.

        `after`: while the last turns of the one before it are under way.
        """

    def said(self, what: str, more: str) -> None:
        """Somebody said this, and it was accepted; or windows, alarms and the lease did."""

    def shows(self, state: str, detail: str) -> None:
        """The deployment shows another state."""

    def went_back(self, hosts: list[str]) -> None:
        """The way back is planned, in this order."""

    def rests(self) -> None:
        """Nothing more happens at this moment."""

    def closed(self, state: str, outcomes: dict[str, str]) -> None:
        """It has ended."""
