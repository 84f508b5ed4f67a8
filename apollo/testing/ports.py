"""Ports of the loopback that stay ours while nobody listens on them."""

import socket


class ReservedPort:
    """A free port, kept from other programs until it is released.

    It is bound, but nobody listens: connections are refused until a server that sets
    `SO_REUSEADDR`, as servers usually do, listens there.
    """

    def __init__(self, port: int = 0) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind(("127.0.0.1", port))
        except OSError:
            self._socket.close()
            raise
        self.number: int = self._socket.getsockname()[1]

    def release(self) -> None:
        """Give the port back."""
        self._socket.close()
