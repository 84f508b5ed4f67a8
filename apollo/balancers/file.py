"""A balancer that drains a host because its health check fails: the host's own file says so."""

from datetime import timedelta

from apollo.balancers.base import BalancerTarget


class OnlineFile:
    """The host's script takes the file away and makes it again; no balancer is asked.

    Nobody can be asked whether the host has finished, so the whole wait passes.
    """

    def __init__(self, path: str, wait: timedelta) -> None:
        self.offline_file: str | None = path
        self.wait = wait

    async def find(self, target: BalancerTarget) -> str:
        """Nothing: whether the file was there is seen on the host."""
        return ""

    async def drain(self, target: BalancerTarget) -> None:
        """Nothing: the host's script has taken the file away."""

    async def drained(self, target: BalancerTarget) -> bool:
        """Never known before the wait is over."""
        return False

    async def hold(self, target: BalancerTarget) -> None:
        """Nothing: the file stays away."""

    async def restore(self, target: BalancerTarget, found: str) -> None:
        """Nothing: the host's script makes the file again."""
