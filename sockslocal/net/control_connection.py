"""The TCP connection that a UDP association lives and dies with (RFC 1928 §7).

Nothing is ever written on it after the request: some servers end the association at any octet.
"""

from collections.abc import Callable

from sockslocal.net.keepalive import REMOTE_IDLE_S, keep_alive
from sockslocal.net.poller import READABLE, Poller
from sockslocal.net.sockets import Socket
from sockslocal.net.watchdog import Watchdog

READS = 16
"""Reads before the other sockets have their turn."""


class ControlConnection:
    """Watches for the end of `sock`, which the poller knows already; what comes on it means nothing.

    `ended` is called after the server has ended it, or has vanished, and it is closed.
    """

    def __init__(self, poller: Poller, watchdog: Watchdog, sock: Socket, ended: Callable[[], None]) -> None:
        self._poller = poller
        self._watchdog = watchdog
        self.sock = sock
        self._ended = ended
        self._closed = False
        self._resuming = False

    def start(self) -> None:
        """Begin to watch; what happened before is found too, at once."""
        keep_alive(self.sock, REMOTE_IDLE_S)
        self._watchdog.add(self)
        self._poller.replace(self.sock, self._ready)
        self._read()

    def close(self) -> None:
        """Watch no more, and close it."""
        if not self._closed:
            self._closed = True
            self._watchdog.discard(self)
            self._poller.close(self.sock)

    @property
    def sockets(self) -> tuple[Socket, ...]:
        """What the watchdog looks at."""
        return (self.sock,)

    def lasts(self) -> None:
        """It is kept alive from the beginning."""

    def abort(self) -> None:
        """The server has vanished."""
        self._end()

    def _ready(self, events: int) -> None:
        if events & READABLE and not self._resuming:
            self._read()

    def _read(self) -> None:
        """Read a turn's share; what is left has the next turn."""
        self._resuming = False
        if self._closed:
            return
        try:
            for _ in range(READS):
                if not self.sock.recv(4096):
                    self._end()
                    return
        except BlockingIOError:
            self._poller.wait_readable(self.sock)
        except OSError:
            self._end()
        else:
            self._resuming = True
            self._poller.soon(self._read)

    def _end(self) -> None:
        if not self._closed:
            self.close()
            self._ended()
