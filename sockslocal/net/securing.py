"""The TLS handshake on a connection that has just been made."""

from collections.abc import Callable

from sockslocal.net.poller import IN, Poller
from sockslocal.net.sockets import Socket
from sockslocal.net.tls import Tls, TlsSocket

HANDSHAKE_S = 10.0
"""Seconds; it takes one or two round trips, and a slow server's signature."""


class Securing:
    """Calls `secured` with the socket to use from now on, or `failed`; once, and not after `cancel`.

    The socket comes with the edges that the poller told of it. Where it failed, `cancel` closes it.
    """

    __slots__ = ("_failed", "_poller", "_secured", "_sock", "_tls")

    def __init__(
        self,
        poller: Poller,
        tls: Tls,
        sock: Socket,
        secured: Callable[[TlsSocket, int], None],
        failed: Callable[[OSError], None],
    ) -> None:
        self._poller = poller
        self._tls = tls
        self._sock = sock
        self._secured = secured
        self._failed = failed

    def start(self, edges: int) -> None:
        """Begin; `edges` are what the poller told of the socket until now."""
        self._poller.release(self._sock)
        try:
            self._sock = sock = self._tls.wrap(self._sock)
            self._poller.register(sock, lambda events: self._ready(sock, events))
        except OSError as error:
            self._failed(error)
        else:
            self._ready(sock, edges)

    def cancel(self) -> None:
        """Close the socket; nothing is called any more."""
        self._poller.close(self._sock)

    def _ready(self, sock: TlsSocket, events: int) -> None:
        try:
            sock.handshake()
        except BlockingIOError:
            self._poller.wait_readable(sock)
        except OSError as error:
            self._tls.forget()
            self._failed(error)
        else:
            self._secured(sock, events | IN)  # what came behind the handshake may have been read already
