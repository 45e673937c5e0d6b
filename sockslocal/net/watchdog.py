"""Connections whose peer vanished without a word while octets were on their way to it, or whose own end did.

Keepalive notices when the peer of an idle connection has gone. It says nothing while octets are
unacknowledged; then Linux retransmits them for a quarter of an hour. TCP_USER_TIMEOUT would end that, but
also connections whose peer is well and only takes nothing for a while (a zero window), such as the pager of
a user who went for coffee. What tells the two apart is that the latter's system answers: RFC 1122 §4.2.2.17.

Where the system tells less, it is left to it: Windows gives up by itself in time.
"""

import asyncio
import logging
import socket
import struct
import sys
from collections.abc import Collection
from typing import NamedTuple, Protocol

from sockslocal.net.sockets import Socket

PERIOD_S = 5.0
"""How often the connections are looked at."""

SILENT_S = 20.0
"""How long a peer may leave unanswered what it is sent."""

ATTEMPTS = 2
"""How often at least the kernel must have tried again in that time: one answer can get lost."""

_log = logging.getLogger(__name__)


class Watched(Protocol):
    """What is looked after once it has lasted a while, and can be ended."""

    @property
    def sockets(self) -> tuple[Socket, ...]:
        """Whose peers are to be there."""

    def lasts(self) -> None:
        """It has lasted until the first look, so it is worth the setting up of what short ones do without."""

    def abort(self) -> None:
        """One of the peers has vanished."""


class Watchdog:
    """Ends what it watches when a peer has vanished; one for the process, made inside the running loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._new: set[Watched] = set()
        self._watched: set[Watched] = set()
        self._silences: dict[Socket, _Silence] = {}
        self._timer: asyncio.TimerHandle | None = None

    def add(self, watched: Watched) -> None:
        self._new.add(watched)
        if self._timer is None:
            self._timer = self._loop.call_later(PERIOD_S, self._look)

    def discard(self, watched: Watched) -> None:
        self._new.discard(watched)
        self._watched.discard(watched)

    def leave(self, addresses: Collection[str]) -> None:
        """This machine has lost `addresses`: what speaks from one of them hears nothing any more."""
        if not addresses:
            return
        for watched in [*self._new, *self._watched]:
            if any(_speaks_from(addresses, sock) for sock in watched.sockets):
                watched.abort()

    def stop(self) -> None:
        """Watch nothing any more."""
        self._new.clear()
        self._watched.clear()
        self._silences.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        for watched in self._new:
            watched.lasts()
        self._watched |= self._new
        self._new.clear()
        now = self._loop.time()
        sockets = [sock for watched in self._watched for sock in watched.sockets]
        found = ((sock, _silence(sock, self._silences.get(sock), now)) for sock in sockets)
        self._silences = {sock: silence for sock, silence in found if silence is not None}
        silent = {sock for sock, silence in self._silences.items() if silence.is_final(now)}
        for watched in [watched for watched in self._watched if not silent.isdisjoint(watched.sockets)]:
            _log.info("! no answer for %g s: a connection is ended", SILENT_S)
            watched.abort()
        if self._watched:
            self._timer = self._loop.call_later(PERIOD_S, self._look)


def _speaks_from(addresses: Collection[str], sock: Socket) -> bool:
    try:
        name = sock.getsockname()
    except OSError:  # the end of another may have been its end too
        return False
    return isinstance(name, tuple) and name[0] in addresses


class _Silence(NamedTuple):
    """A peer has not answered since then (seconds of the loop); the kernel's attempts until then and now."""

    since: float
    attempts_then: int
    attempts: int

    def is_final(self, now: float) -> bool:
        return now - self.since >= SILENT_S and self.attempts - self.attempts_then >= ATTEMPTS


_TCP_INFO = struct.Struct("=2xBB20xI28xI")
"""Of linux/tcp.h: tcpi_retransmits, tcpi_probes, tcpi_unacked, tcpi_last_ack_recv (milliseconds ago)."""


def _silence(sock: Socket, earlier: _Silence | None, now: float) -> _Silence | None:
    """The silence of `sock`'s peer, if it owes an answer; the `earlier` one goes on if it has lasted."""
    if sys.platform != "linux":
        return None
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
    except OSError:  # a Unix socket
        return None
    retransmits, probes, unacknowledged, last_answer_ms = _TCP_INFO.unpack(info)
    if not unacknowledged and not probes:
        return None
    attempts = retransmits + probes
    if earlier is None or last_answer_ms < 1000 * (now - earlier.since):
        return _Silence(now, attempts, attempts)
    return earlier._replace(attempts=attempts)
