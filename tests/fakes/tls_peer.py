"""A server's end of one TLS connection, which does only what a test tells it to."""

import contextlib
import socket
import ssl

from fakes.certificates import Certificate
from fakes.sockets import read_available


class TlsPeer:
    """The server's end; its socket does not block."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext) -> None:
        self.sock = sock
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)

    def handshake(self) -> None:
        """Go on as far as what has come allows. Raises ssl.SSLError."""
        self._take()
        try:
            with contextlib.suppress(ssl.SSLWantReadError):
                self.tls.do_handshake()
        finally:
            self._put()

    def send(self, *records: bytes) -> None:
        """Send each as a record of its own, all in one piece."""
        for record in records:
            self.tls.write(record)
        self._put()

    def end(self, *records: bytes) -> None:
        """The same, and then the end inside TLS; in one piece."""
        for record in records:
            self.tls.write(record)
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.unwrap()
        self._put()

    def received(self) -> bytes:
        """All that has come. Raises ssl.SSLZeroReturnError once there is only the end, ssl.SSLError."""
        self._take()
        found = b""
        with contextlib.suppress(ssl.SSLWantReadError):
            while data := self.tls.read(1 << 20):
                found += data
            if not found:
                raise ssl.SSLZeroReturnError
        return found

    def _take(self) -> None:
        self._incoming.write(read_available(self.sock))

    def _put(self) -> None:
        self.sock.setblocking(True)
        self.sock.sendall(self._outgoing.read())
        self.sock.setblocking(False)


def server_context(certificate: Certificate) -> ssl.SSLContext:
    """What a server with `certificate` has."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.chain, certificate.key)
    return context
