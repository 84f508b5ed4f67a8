"""A small HTTP application, as a program of one file that needs only the standard library.

It serves `/` (its version and host), `/slow` (takes two seconds), `/alive` (200 while the release
is good) and `/health` (the same, but 503 while the file ONLINE_FILE is missing, for balancers).
On SIGTERM it accepts no more connections, answers the requests in flight, and ends.
With a path as its argument it asks the running application for that path instead.
"""

import json
import os
import signal
import socket
import sys
import threading
import time
from types import FrameType

SLOW_SECONDS = 2.0
REASONS = {200: "OK", 404: "Not Found", 500: "Internal Server Error", 503: "Service Unavailable"}


class Application:
    """Answers each connection in a thread of its own."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.version = environment.get("APOLLO_RELEASE", "")
        self.host = environment.get("APOLLO_HOST", "")
        self.unhealthy = environment.get("UNHEALTHY") == "1"
        self.online_file = environment.get("ONLINE_FILE", "")
        self.stopping = threading.Event()
        self._idle: set[socket.socket] = set()
        self._threads: set[threading.Thread] = set()
        self._lock = threading.Lock()

    def serve(self, listener: socket.socket) -> None:
        """Accept connections until the listener is shut down."""
        while not self.stopping.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                break
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            thread = threading.Thread(target=self._converse, args=(connection,), daemon=True)
            with self._lock:
                self._threads.add(thread)
            thread.start()

    def stop(self, listener: socket.socket) -> None:
        """Accept nothing more and end the connections that wait for a request."""
        self.stopping.set()
        listener.shutdown(socket.SHUT_RDWR)
        with self._lock:
            for connection in self._idle:
                connection.shutdown(socket.SHUT_RD)

    def finish(self) -> None:
        """Wait for the requests in flight."""
        with self._lock:
            threads = list(self._threads)
        for thread in threads:
            thread.join()

    def _converse(self, connection: socket.socket) -> None:
        with connection:
            try:
                while path := self._next_path(connection):
                    connection.sendall(self._answer(path))
                    if self.stopping.is_set():
                        break
            except OSError:
                pass
        with self._lock:
            self._threads.discard(threading.current_thread())

    def _next_path(self, connection: socket.socket) -> str:
        """Read a request's head; nothing when the connection ends."""
        with self._lock:
            if self.stopping.is_set():
                return ""
            self._idle.add(connection)
        head = b""
        try:
            while b"\r\n\r\n" not in head:
                data = connection.recv(4096)
                if not data:
                    return ""
                head += data
        finally:
            with self._lock:
                self._idle.discard(connection)
        return head.split(b" ", 2)[1].decode("latin-1").partition("?")[0]

    def _answer(self, path: str) -> bytes:
        status, value = self._look_up(path)
        body = json.dumps(value).encode()
        ending = "close" if self.stopping.is_set() else "keep-alive"
        head = (
            f"HTTP/1.1 {status} {REASONS[status]}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nConnection: {ending}\r\n\r\n"
        )
        return head.encode() + body

    def _look_up(self, path: str) -> tuple[int, dict[str, object]]:
        if path == "/slow":
            time.sleep(SLOW_SECONDS)
        if path in {"/", "/slow"}:
            return 200, {"version": self.version, "host": self.host, "pid": os.getpid()}
        if path in {"/health", "/alive"}:
            return self._health(balancer=path == "/health")
        return 404, {"found": False}

    def _health(self, *, balancer: bool) -> tuple[int, dict[str, object]]:
        if self.unhealthy:
            return 500, {"healthy": False, "version": self.version}
        if balancer and self.online_file and not os.path.exists(self.online_file):
            return 503, {"healthy": True, "online": False, "version": self.version}
        return 200, {"healthy": True, "version": self.version}


def run(port: int, pid_file: str) -> None:
    """Serve until SIGTERM; the pid file appears when connections are accepted."""
    application = Application(dict(os.environ))
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(128)

    def stop(number: int, frame: FrameType | None) -> None:
        threading.Thread(target=application.stop, args=(listener,)).start()

    signal.signal(signal.SIGTERM, stop)
    if pid_file:
        with open(pid_file + ".new", "w", encoding="ascii") as file:
            file.write(str(os.getpid()))
        os.replace(pid_file + ".new", pid_file)
    application.serve(listener)
    application.finish()


def ask(port: int, path: str) -> int:
    """The status with which the running application answers, 0 when it does not."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            return int(connection.recv(4096).split(b" ", 2)[1])
    except (OSError, IndexError, ValueError):
        return 0


def main() -> None:
    """Serve on PORT, or ask the running application for the path given."""
    port = int(os.environ["PORT"])
    if len(sys.argv) > 1:
        sys.exit(0 if ask(port, sys.argv[1]) == 200 else 1)
    run(port, os.environ.get("PID_FILE", ""))


if __name__ == "__main__":
    main()
