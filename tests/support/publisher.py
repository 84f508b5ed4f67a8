"""A web server that publishes a folder: it knows ranges, counts what it sends, and can be cut."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclass
class Publisher:
    """What it does, and what it has done."""

    folder: Path
    url: str = ""
    status: int = 200
    """What it answers where it does not give the file."""
    ranges: bool = True
    cut_after: int | None = None
    """After how many bytes an answer is broken off, once."""
    sent: int = 0
    requests: list[str] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)
    """Answers wait for it."""


@contextmanager
def publish(folder: Path) -> Iterator[Publisher]:
    """Publish the folder while the context is open."""
    publisher = Publisher(folder)
    publisher.gate.set()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            wanted = self.headers.get("Range", "")
            publisher.requests.append(wanted)
            publisher.gate.wait(30)
            if publisher.status != 200:
                self.send_error(publisher.status)
                return
            data = (publisher.folder / self.path.partition("?")[0].lstrip("/")).read_bytes()
            found = re.match(r"bytes=(\d+)-", wanted) if publisher.ranges else None
            start = int(found[1]) if found else 0
            self.send_response(206 if found else 200)
            if found:
                self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
            self.send_header("Content-Length", str(len(data) - start))
            self.end_headers()
            end = len(data)
            if publisher.cut_after is not None:
                end, publisher.cut_after = start + publisher.cut_after, None
                self.close_connection = True
            publisher.sent += len(data[start:end])
            self.wfile.write(data[start:end])

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("0.0.0.0", 0), Handler)
    server.daemon_threads = True
    publisher.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield publisher
    finally:
        publisher.gate.set()
        server.shutdown()
        server.server_close()
        thread.join()
