"""A balancer that drains a host because its health check fails: the host's own file says so."""

import asyncio
from datetime import timedelta

from apollo.balancers.base import BalancerTarget


class OnlineFile:
    """The host's script takes the file away and makes it again; no balancer is asked.

    `notice` is how long the balancer's health check takes to see either. Nobody can be asked
    whether the host has finished what it served, so the whole `wait` passes after that.
    """

    pause = 0.25
    late = timedelta(0)

    def __init__(self, path: str, notice: timedelta, wait: timedelta) -> None:
        self.offline_file: str | None = path
        self.wait = wait
        self._notice = notice.total_seconds()

    async def find(self, target: BalancerTarget) -> str:
        """Nothing: whether the file was there is seen on the host."""
        return ""

    async def drain(self, target: BalancerTarget) -> None:
        """The host's script has taken the file away: let the balancer see it."""
        await self._noticed()

    async def drained(self, target: BalancerTarget) -> bool:
        """Never known before the wait is over."""
        return False

    async def hold(self, target: BalancerTarget) -> None:
        """Nothing: the file stays away."""

    async def restore(self, target: BalancerTarget, found: str) -> None:
        """The host's script has made the file again: until it is seen, the host is out."""
        await self._noticed()

    async def _noticed(self) -> None:
        if self._notice:
            await asyncio.sleep(self._notice)
