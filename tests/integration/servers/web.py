"""A web server with one large file to fetch, that hashes what is uploaded."""

import hashlib
import http.server
import random
import threading
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self, cast

from integration.servers.process import LOOPBACK

CHUNK = 1 << 20


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """The file."""
        server = cast("WebServer", self.server)
        with server.path.open("rb") as file:
            self.send_response(200)
            self.send_header("Content-Length", str(server.path.stat().st_size))
            self.end_headers()
            self.wfile.flush()
            self.connection.sendfile(file)

    def do_PUT(self) -> None:
        """The SHA-256 of what was sent."""
        digest = digest_of(cast("BinaryIO", self.rfile), int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(digest)))
        self.end_headers()
        self.wfile.write(digest.encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the library's name)
        """Say nothing."""


class WebServer(http.server.ThreadingHTTPServer):
    """Serves one file to GET and hashes what is PUT, from entry to exit."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, path: Path) -> None:
        super().__init__((LOOPBACK, 0), _Handler)
        self.path = path
        self.port = self.server_port

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,), name="web")
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()

    def handle_error(self, request: object, client_address: object) -> None:
        """A transfer that a test has cut is no error."""


def digest_of(stream: BinaryIO, length: int | None = None) -> str:
    """SHA-256 of the next `length` octets of `stream`, of all without one."""
    digest = hashlib.sha256()
    left = length
    while left is None or left > 0:
        data = stream.read(CHUNK if left is None else min(CHUNK, left))
        if not data:
            break
        digest.update(data)
        left = None if left is None else left - len(data)
    return digest.hexdigest()


def write_random_file(path: Path, megabytes: int) -> str:
    """Fill `path` with octets that repeat nowhere; returns their SHA-256."""
    source = random.Random(megabytes)
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for _ in range(megabytes):
            block = source.randbytes(1_000_000)
            digest.update(block)
            file.write(block)
    return digest.hexdigest()
