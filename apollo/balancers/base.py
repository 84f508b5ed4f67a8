"""What every load balancer can do for a turn."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

from apollo.domain.manifest import expand


@dataclass(frozen=True)
class BalancerTarget:
    """The host that is taken out of service or put back."""

    host: str
    location: str
    variables: Mapping[str, str] = field(default_factory=dict)

    def expand(self, text: str) -> str:
        """Replace `{host}`, `{location}` and the host's variables.

        Raises:
            ValueError: The text names something else.
        """
        values = {**self.variables, "host": self.host, "location": self.location}
        return expand(text, values, "balancer")


class Balancer(Protocol):
    """Takes a host out of service and puts it back as it was found.

    Every method may be repeated. All but `drained` raise BalancerFailed when the balancer does not
    do as told or cannot be reached.
    """

    wait: timedelta
    """How long a drained host may finish what it serves."""
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


async def until_drained(balancer: Balancer, target: BalancerTarget, pause: float = 0.25) -> bool:
    """Wait until the host is drained, at most as long as the balancer allows; say whether it is.

    What is still open then may be an idle connection that a client keeps.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + balancer.wait.total_seconds()
    while not await balancer.drained(target):
        left = deadline - loop.time()
        if left <= 0:
            return False
        await asyncio.sleep(min(pause, left))
    return True
