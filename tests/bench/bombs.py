"""A name server whose every answer is as much work as the resolver takes: bombs.py PORT, by TCP.

As many addresses as it takes of a name of 126 labels: each owner is a pointer to all of those.
"""

import socketserver
import sys

from integration.servers.process import LOOPBACK
from sockslocal.resolver.digest import MAX_RECORDS

HEADER, POINTER = 12, b"\xc0\x0c"
LABELS = 126
"""As many as a name can have (RFC 1035 §2.3.4)."""

LIFETIME_S = 60


def deep(name: str) -> str:
    """A name of `LABELS` labels that ends in `name`, whose labels are of one letter."""
    return "a." * (LABELS - name.count(".") - 1) + name


def bomb(query: bytes) -> bytes:
    """The answer to `query`, which has one question and perhaps an OPT record that is left out."""
    end = query.index(b"\0", HEADER) + 5
    head = query[:2] + b"\x81\x80\0\1" + MAX_RECORDS.to_bytes(2, "big") + bytes(4)
    record = POINTER + b"\0\1\0\1" + LIFETIME_S.to_bytes(4, "big") + b"\0\4"
    addresses = (b"\xc0\0" + number.to_bytes(2, "big") for number in range(MAX_RECORDS))
    return head + query[HEADER:end] + b"".join(record + address for address in addresses)


class Handler(socketserver.StreamRequestHandler):
    """One connection with any number of queries (RFC 7766 §6.2.1)."""

    def handle(self) -> None:
        while length := self.rfile.read(2):
            answer = bomb(self.rfile.read(int.from_bytes(length, "big")))
            self.wfile.write(len(answer).to_bytes(2, "big") + answer)


class Server(socketserver.ThreadingTCPServer):
    """A thread for each connection."""

    daemon_threads = True
    allow_reuse_address = True


if __name__ == "__main__":
    Server((LOOPBACK, int(sys.argv[1])), Handler).serve_forever()
