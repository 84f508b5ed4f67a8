"""What every load balancer can do for a turn."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

from apollo.domain.manifest import expand

LONGEST = 300
"""Characters of what somebody else said that an error holds."""


@dataclass(frozen=True)
class BalancerTarget:
    """The host that is taken out of service or put back."""

    host: str
    location: str
    variables: Mapping[str, str] = field(default_factory=dict)
    address: str = ""
    role: str | None = None

    def expand(self, text: str) -> str:
        """Replace `{host}`, `{address}`, `{location}`, `{role}` and the host's variables.

        Raises:
            ValueError: The text names something else.
        """
        own = {"host": self.host, "address": self.address, "location": self.location}
        role = {"role": self.role} if self.role else {}
        return expand(text, {**self.variables, **own, **role}, "balancer")


class Balancer(Protocol):
    """Takes a host out of service and puts it back as it was found.

    Every method may be repeated. All raise BalancerFailed when the balancer does not do as told or
    cannot be reached; `find` raises BalancerUnavailable where this worker cannot speak to it.
    """

    wait: timedelta
    """How long a drained host may finish what it serves."""
    pause: float
    """Seconds between two looks at whether it has."""
    late: timedelta
    """How long after it was said a word may be heard, though whoever said it is gone."""
    offline_file: str | None
    """The file that the host's own script takes away and makes again, where that is the drain."""

    async def find(self, target: BalancerTarget) -> str:
        """The state before the drain: a short text for the host's journal, never changed here."""

    async def drain(self, target: BalancerTarget) -> None:
        """Send the host nothing new; a host that a person has taken out stays as it is."""

    async def drained(self, target: BalancerTarget) -> bool:
        """Whether the host is out and finished with what it served."""

    async def hold(self, target: BalancerTarget) -> None:
        """Assert the drained state again: a balancer that reloads forgets it."""

    async def restore(self, target: BalancerTarget, found: str) -> None:
        """Give the host the state it was found in, and confirm it."""


def shown(printed: bytes | str) -> str:
    """The end of what somebody else said, on one line and without control characters."""
    text = printed.decode("utf-8", "replace") if isinstance(printed, bytes) else printed
    words = "".join(char if char.isprintable() else " " for char in text).split()
    line = " ".join(words)
    return line if len(line) <= LONGEST else f"…{line[1 - LONGEST :]}"


async def until_drained(balancer: Balancer, target: BalancerTarget) -> bool:
    """Wait until the host is drained, at most as long as the balancer allows; say whether it is.

    What is still open then may be an idle connection that a client keeps.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + balancer.wait.total_seconds()
    while not await balancer.drained(target):
        left = deadline - loop.time()
        if left <= 0:
            return False
        await asyncio.sleep(min(balancer.pause, left))
    return True
