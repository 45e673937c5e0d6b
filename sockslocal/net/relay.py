"""Two sockets joined: what one says the other hears, and as one ends the other ends.

Each direction ends on its own: a FIN is passed on and the other direction lives. An abort (RST) on one
side is an abort on the other.
"""

import socket
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from enum import Enum, auto
from functools import partial

from sockslocal.net.pipes import PipePool
from sockslocal.net.poller import ERROR, PEER_FIN, READABLE, WRITABLE, Poller
from sockslocal.net.pump import Pump, Turn

_ABORT = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
"""SO_LINGER without time to linger: closing sends RST."""


class End(Enum):
    """How a relay came to its end."""

    FINISHED = auto()
    """Both directions ended."""
    ABORTED = auto()
    """One side was reset, or the relay was ended from here."""
    REJECTED = auto()
    """The server reported success and closed before any octet passed: some do for a refused target."""
    UNANSWERED = auto()
    """As REJECTED, but the local program had spoken; to it the end was clean."""


def abort(poller: Poller, sock: socket.socket) -> None:
    """Close `sock` so that its peer reads a reset."""
    with suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
    poller.close(sock)


class Relay:
    """A local and a remote socket, both non-blocking and watched by the poller; they become the relay's own.

    `ended` is called once, with the relay, after both were closed.
    """

    __slots__ = ("_down", "_ended", "_poller", "_unanswered", "_up", "end")

    def __init__(
        self,
        poller: Poller,
        pipes: PipePool | None,
        local: socket.socket,
        remote: socket.socket,
        ended: "Callable[[Relay], None]",
    ) -> None:
        self._poller = poller
        self._up = Pump(local, remote, pipes)
        self._down = Pump(remote, local, pipes)
        self._ended = ended
        self._unanswered = False
        self.end: End | None = None

    @property
    def sent(self) -> int:
        """Octets that passed from the local program."""
        return self._up.moved

    @property
    def received(self) -> int:
        """Octets that passed to the local program."""
        return self._down.moved

    def start(self, *, leftover: bytes = b"", local_edges: int = 0, remote_edges: int = 0) -> None:
        """Begin to relay: `leftover` came from the remote side before.

        The edges are what the poller told of each socket until now, and nobody has read since.
        """
        up, down = self._up, self._down
        self._poller.replace(up.source, self._local_ready)
        self._poller.replace(down.source, self._remote_ready)
        if leftover:
            down.preload(leftover)
            remote_edges |= READABLE & ~PEER_FIN
        for pump, edges in ((down, remote_edges), (up, local_edges)):
            if edges & READABLE:
                pump.ending = bool(edges & PEER_FIN)
                self._turn(pump)
            else:
                self._poller.wait_readable(pump.source)

    def abort(self) -> None:
        """End it now, with RST to both sides."""
        self._close(End.ABORTED)

    def _local_ready(self, events: int) -> None:
        self._ready(events, self._up, self._down)

    def _remote_ready(self, events: int) -> None:
        self._ready(events, self._down, self._up)

    def _ready(self, events: int, reading: Pump, writing: Pump) -> None:
        """A socket is ready, which `reading` reads from and `writing` writes to."""
        if events & PEER_FIN:
            reading.ending = True
        if events & READABLE:
            if reading.last is Turn.DRY:
                self._turn(reading)
            elif events & ERROR:
                self.abort()
        if events & WRITABLE and writing.last is Turn.FULL:
            self._turn(writing)

    def _turn(self, pump: Pump) -> None:
        if self.end is not None:
            return
        try:
            turn = pump.turn()
            if turn is Turn.DRY:
                self._poller.wait_readable(pump.source)
            elif turn is Turn.FULL:
                self._poller.wait_writable(pump.sink)
            elif turn is Turn.BUSY:
                self._poller.soon(partial(self._turn, pump))
            else:
                self._pass_end(pump)
        except OSError:
            self.abort()

    def _pass_end(self, pump: Pump) -> None:
        up, down = self._up, self._down
        if pump is down and not down.moved and up.last is not Turn.ENDED:
            if not up.moved:
                self._close(End.REJECTED)
                return
            self._unanswered = True
        pump.pass_end()
        if up.last is Turn.ENDED and down.last is Turn.ENDED:
            self._close(End.UNANSWERED if self._unanswered else End.FINISHED)

    def _close(self, end: End) -> None:
        if self.end is not None:
            return
        self.end = end
        for pump in (self._up, self._down):
            pump.release()
            if end in (End.ABORTED, End.REJECTED):
                abort(self._poller, pump.source)
            else:
                self._poller.close(pump.source)
        self._ended(self)
