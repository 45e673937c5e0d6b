"""Two sockets joined: what one says the other hears, and as one ends the other ends.

Each direction ends on its own: a FIN is passed on and the other direction lives. An abort (RST) on one
side is an abort on the other.
"""

from collections.abc import Callable
from enum import Enum, auto
from functools import partial

from sockslocal.net.abort import abort
from sockslocal.net.engine import Engine
from sockslocal.net.keepalive import REMOTE_IDLE_S, keep_alive
from sockslocal.net.poller import ERROR, IN, MORE, READABLE, WRITABLE
from sockslocal.net.pump import BUSY, DRY, ENDED, FULL, Pump
from sockslocal.net.sockets import Socket
from sockslocal.net.tls import TlsSocket
from sockslocal.net.tls_pump import tls_pumps


class End(Enum):
    """How a relay came to its end."""

    FINISHED = auto()
    """Both directions ended."""
    ABORTED = auto()
    """One side was reset, or the relay was ended from here."""
    REJECTED = auto()
    """The server reported success and closed before any octet passed: some do for a refused target."""
    UNANSWERED = auto()
    """As REJECTED, but the local program had spoken; it was told the same end as the server's, FIN or RST."""


class Relay:
    """A local and a remote socket, both non-blocking and watched by the poller; they become the relay's own.

    `ended` is called once, with the relay, after both were closed.
    """

    __slots__ = ("_down", "_ended", "_poller", "_unanswered", "_up", "_watchdog", "end")

    def __init__(
        self,
        engine: Engine,
        local: Socket,
        remote: Socket,
        ended: "Callable[[Relay], None]",
    ) -> None:
        self._poller = engine.poller
        self._watchdog = engine.watchdog
        if isinstance(remote, TlsSocket):
            self._up, self._down = tls_pumps(local, remote)
        else:
            self._up = Pump(local, remote, engine.pipes)
            self._down = Pump(remote, local, engine.pipes)
        self._ended = ended
        self._unanswered = False
        self.end: End | None = None

    @property
    def sockets(self) -> tuple[Socket, ...]:
        """The local and the remote one."""
        return self._up.source, self._down.source

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
        self._watchdog.add(self)
        self._poller.replace(up.source, partial(self._ready, up, down))
        self._poller.replace(down.source, partial(self._ready, down, up))
        if leftover:
            down.preload(leftover)
            remote_edges |= IN
        if not local_edges & ERROR:
            self._begin(down, remote_edges)
            self._begin(up, local_edges)
        if (local_edges | remote_edges) & ERROR:
            self.abort()

    def lasts(self) -> None:
        """Have the system ask from time to time whether the server is there."""
        keep_alive(self._down.source, REMOTE_IDLE_S)

    def abort(self) -> None:
        """End it now, with RST to both sides; not to a local program that was told the end already."""
        self._close(End.UNANSWERED if self._unanswered else End.ABORTED, with_reset=True)

    def _begin(self, pump: Pump, edges: int) -> None:
        if edges & READABLE:
            if edges & MORE:
                pump.ending = True
            self._turn(pump)
        else:
            self._poller.wait_readable(pump.source)

    def _ready(self, reading: Pump, writing: Pump, events: int) -> None:
        """A socket is ready, which `reading` reads from and `writing` writes to."""
        if events & MORE:
            reading.ending = True
        if events & READABLE and reading.last is DRY:
            self._turn(reading)
        if events & ERROR:
            self.abort()
        elif events & WRITABLE and writing.last is FULL:
            self._turn(writing)

    def _turn(self, pump: Pump) -> None:
        if self.end is not None:
            return
        try:
            pump.last = turn = pump.turn()
            if turn is DRY:
                self._poller.wait_readable(pump.source)
            elif turn is FULL:
                self._poller.wait_writable(pump.sink)
            elif turn is BUSY:
                self._poller.soon(partial(self._turn, pump))
            else:
                self._pass_end(pump)
        except OSError:
            if self._ends_unheard(pump):
                self._close(End.UNANSWERED if self.sent else End.REJECTED, with_reset=True)
            else:
                self.abort()

    def _pass_end(self, pump: Pump) -> None:
        if self._ends_unheard(pump):
            if not self.sent:
                self._close(End.REJECTED)
                return
            self._unanswered = True
        if self._up.last is ENDED and self._down.last is ENDED:
            self._close(End.UNANSWERED if self._unanswered else End.FINISHED)  # closing passes the end on
        else:
            pump.pass_end()

    def _ends_unheard(self, pump: Pump) -> bool:
        """Whether it is the server whose end this is, before it said anything and while being spoken to."""
        nothing_came = pump is self._down and not pump.moved and not pump.held
        return nothing_came and self._up.last is not ENDED

    def _close(self, end: End, *, with_reset: bool = False) -> None:
        if self.end is not None:
            return
        self.end = end
        self._watchdog.discard(self)
        up, down = self._up, self._down
        up.release()
        down.release()
        aborted = with_reset or end is End.REJECTED
        # What the local program was told in full, up to the end, is not taken back by what comes later.
        told = end is not End.REJECTED and down.last is ENDED
        for sock, resetting in ((down.source, aborted), (up.source, aborted and not told)):
            if resetting:
                abort(self._poller, sock)
            else:
                self._poller.close(sock)
        self._ended(self)
