"""Answers its version, and a proof that it has its key."""

import hmac
import os
import signal
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

VERSION = "1.0"
KEY = os.environ.get("SIGNING_KEY", "").encode()


class Handler(BaseHTTPRequestHandler):
    """One request."""

    def do_GET(self) -> None:
        """Answer."""
        pages = {
            "/": f"Hello from version {VERSION}",
            "/health": "fine",
            "/signature": hmac.digest(KEY, VERSION.encode(), "sha256").hex() if KEY else "no key",
        }
        self.send_response(200 if self.path in pages else 404)
        self.end_headers()
        self.wfile.write(f"{pages.get(self.path, 'not here')}\n".encode())


class Server(ThreadingHTTPServer):
    """Ends when the requests that it has begun are answered."""

    daemon_threads = False


def main() -> None:
    """Serve until SIGTERM."""
    server = Server(("", int(os.environ.get("PORT", "8080"))), Handler)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    server.serve_forever()
    server.server_close()


if __name__ == "__main__":
    main()
