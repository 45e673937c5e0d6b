"""TLS round the connections to a server (RFC 8446, RFC 5246): sockets that encrypt what passes through them.

OpenSSL is given memory to work on and never the descriptor: asked to end the direction to the server it would
else read on, and take octets that are still to come for an error.
"""

import ssl
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from sockslocal.config.model import TlsConfig
from sockslocal.net.sockets import Socket

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

CHUNK = 65_536
"""Octets read at once, and the most that is held encrypted."""

MAX_ANSWERS = 65_536
"""Octets that TLS itself may have to say while we say nothing; a server that asks for more means no good."""


class AuthoritiesError(OSError):
    """The certificates of those who may vouch for the server cannot be read."""


class Tls:
    """What the TLS connections to one server share: who is trusted, and the session to be resumed.

    `protocol` is what is to be spoken inside (ALPN, RFC 7301), where that has a name.
    """

    def __init__(self, config: TlsConfig, protocol: str | None = None) -> None:
        self.config = config
        self._protocol = protocol
        self._context: ssl.SSLContext | None = None
        self._session: ssl.SSLSession | None = None

    @property
    def context(self) -> ssl.SSLContext:
        """How the server and its certificate are checked. Raises AuthoritiesError."""
        if self._context is None:
            ca, protocol = self.config.ca, self._protocol
            self._context = _system_context(protocol) if ca is None else _context_of(ca, protocol)
        return self._context

    def wrap(self, sock: Socket) -> "TlsSocket":
        """A socket that goes on with the connection of `sock`, which is used up. Raises AuthoritiesError."""
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        return TlsSocket(sock, self.begin(incoming, outgoing), incoming, outgoing)

    def begin(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO) -> ssl.SSLObject:
        """The client's end of a connection whose octets pass through these. Raises AuthoritiesError."""
        return self.context.wrap_bio(
            incoming, outgoing, server_hostname=self.config.name, session=self._session
        )

    def remember(self, sock: Socket | ssl.SSLObject) -> None:
        """Resume the session of `sock` next time; a server tells it (RFC 8446 §4.6.1) before it answers."""
        if isinstance(sock, TlsSocket | ssl.SSLObject) and sock.context is self._context:
            self._session = sock.session

    def forget(self) -> None:
        """Read the user's file of certificates again next time: it may be put right while we run."""
        if self.config.ca is not None:
            self._context = self._session = None


@lru_cache(2)
def _system_context(protocol: str | None) -> ssl.SSLContext:
    """One for all servers: to read a hundred certificates takes a tenth of a second."""
    context = _empty_context(protocol)
    context.load_default_certs()
    return context


def _context_of(ca: Path, protocol: str | None) -> ssl.SSLContext:
    context = _empty_context(protocol)
    try:
        context.load_verify_locations(ca)
    except ssl.SSLError:
        raise AuthoritiesError(None, "it holds no certificate") from None
    except OSError as error:
        raise AuthoritiesError(error.errno, error.strerror) from None
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # the server's own certificate will do
    return context


def _empty_context(protocol: str | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # which checks the certificate and whom it is for
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF  # Python before 3.11.4 takes a cut for an end
    if protocol is not None:
        context.set_alpn_protocols([protocol])
    return context


def is_cut(error: OSError) -> bool:
    """Whether the connection was reset, or ended without TLS's own end: older Pythons name no class."""
    if isinstance(error, ssl.SSLEOFError | ConnectionError):
        return True
    return isinstance(error, ssl.SSLError) and "UNEXPECTED_EOF" in str(error)


def say_end(sock: Socket) -> None:
    """Before `sock` is closed: where there is TLS, and room, the server is told that nothing is cut."""
    if isinstance(sock, TlsSocket):
        with suppress(OSError):
            sock.end()


class TlsSocket(Socket):
    """The client's end of a connection with TLS: used as the non-blocking TCP socket that it was.

    Three things differ. After a `send` that raised BlockingIOError the same octets have to be sent next. The
    server's end may be behind what `recv` returned, and is not announced: it has to be called until it raises
    BlockingIOError, or returns nothing. And a TCP connection that ends without TLS's own end has been cut, so
    that is an error.
    """

    __slots__ = ("_ahead", "_ended", "_incoming", "_outgoing", "_owed", "_sealed", "_tls")

    def __init__(
        self, sock: Socket, tls: ssl.SSLObject, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO
    ) -> None:
        super().__init__(sock.family, sock.type, sock.proto, sock.detach())
        self.setblocking(False)
        self._tls = tls
        self._incoming = incoming
        self._outgoing = outgoing
        self._sealed = b""
        """Encrypted, and not yet taken by the system."""
        self._owed = 0
        """Octets of the caller's that were encrypted, before he was told that they are sent."""
        self._ahead = b""
        """Decrypted before it was asked for."""
        self._ended = False

    @property
    def context(self) -> ssl.SSLContext:
        return self._tls.context

    @property
    def session(self) -> ssl.SSLSession | None:
        return self._tls.session

    def handshake(self) -> None:
        """Go on with the handshake. Raises BlockingIOError until it is done, ssl.SSLError, OSError."""
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._flush()
                self._feed()
            except ssl.SSLError:
                with suppress(OSError):
                    self._flush()  # the server is told what is wrong
                raise
            else:
                self._flush()
                return

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        """As a socket's; with `flags` it is about what the system has, encrypted as it is."""
        if flags:
            return super().recv(size, flags)
        parts = []
        try:
            while size and (data := self._read(size)):
                parts.append(data)
                size -= len(data)
        except OSError:
            if not parts:
                raise
        return b"".join(parts)  # an error that came after is there again next time

    def send(self, data: "ReadableBuffer", _flags: int = 0, /) -> int:
        """As a socket's, but all is sent or BlockingIOError raised."""
        if not self._owed:
            self._owed = self._tls.write(data)
        self._flush()
        taken, self._owed = self._owed, 0
        return taken

    def end(self) -> None:
        """Tell the server that no more will come (close_notify), and that it may go on.

        Raises BlockingIOError where this is to be tried again, OSError.
        """
        if not self._ended:
            self._read_ahead()
            with suppress(ssl.SSLWantReadError):  # it would now wait for the server's
                self._tls.unwrap()
            self._ended = True
        self._flush()

    def _read(self, size: int) -> bytes:
        """Up to `size` octets, from one record; nothing at the end."""
        if self._ahead:
            data, self._ahead = self._ahead[:size], self._ahead[size:]
            return data
        while True:
            try:
                return self._tls.read(size)
            except ssl.SSLWantReadError:
                self._feed()
            except ssl.SSLZeroReturnError:
                return b""

    def _read_ahead(self) -> None:
        """Decrypt all that there is: OpenSSL bears none of it when it ends the other direction."""
        with suppress(ssl.SSLError):  # the next read meets it again
            while data := self._tls.read(CHUNK):
                self._ahead += data

    def _feed(self) -> None:
        """Have what the system received decrypted. Raises BlockingIOError where that is nothing, OSError."""
        if self._outgoing.pending > MAX_ANSWERS:
            raise ConnectionAbortedError("the server wants too many answers")
        data = super().recv(CHUNK)
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    def _flush(self) -> None:
        """Send all that is encrypted. Raises BlockingIOError where the system does not take it, OSError."""
        if self._outgoing.pending:
            self._sealed += self._outgoing.read()
        while self._sealed:
            self._sealed = self._sealed[super().send(self._sealed) :]
