"""What HAProxy says about the hosts behind it."""

from tests.support.haproxy import HaproxyServer


class HaproxyView:
    """Hosts that get nothing new from HAProxy: drained, in maintenance or down."""

    def __init__(self, server: HaproxyServer) -> None:
        self._server = server

    async def read(self) -> list[frozenset[str]]:
        """The hosts that are out now."""
        status = await self._server.status()
        return [frozenset(name for name, state in status.items() if not state.startswith("UP"))]
