"""macOS: a kqueue with EV_CLEAR, which is an edge, its own descriptor watched by the asyncio loop."""

# ruff: noqa: E402, S101  the assertion tells mypy on which platform this file is read

import sys

assert sys.platform == "darwin"

import select
from collections.abc import Sequence

from sockslocal.net.poller import ERROR, FIN, IN, OUT, Poller
from sockslocal.net.sockets import Socket

_BATCH = 512


class KqueuePoller(Poller):
    """Two filters a socket; closing its descriptor ends both."""

    def __init__(self) -> None:
        super().__init__()
        self._kqueue = select.kqueue()
        self._loop.add_reader(self._kqueue.fileno(), self._dispatch)

    def stop(self) -> None:
        super().stop()
        self._loop.remove_reader(self._kqueue.fileno())
        self._kqueue.close()

    def _watch(self, sock: Socket) -> None:
        self._change(sock.fileno(), select.KQ_EV_ADD | select.KQ_EV_CLEAR)

    def _unwatch(self, fd: int) -> None:
        self._change(fd, select.KQ_EV_DELETE)

    def _unwatch_closing(self, fd: int) -> None:
        pass

    def _change(self, fd: int, flags: int) -> None:
        filters = (select.KQ_FILTER_READ, select.KQ_FILTER_WRITE)
        self._kqueue.control([select.kevent(fd, kind, flags) for kind in filters], 0)

    def _poll(self) -> Sequence[tuple[int, int]]:
        if self._kqueue.closed:
            return ()
        return [(event.ident, _bits(event)) for event in self._kqueue.control(None, _BATCH, 0)]


def _bits(event: select.kevent) -> int:
    """The event in the bits of a poller.

    EV_EOF is the peer's FIN when reading; when writing it may be no more than that we sent ours. Its
    `fflags` hold the socket's error.
    """
    reading = event.filter == select.KQ_FILTER_READ
    bits = IN if reading else OUT
    if event.flags & select.KQ_EV_EOF:
        bits |= (FIN if reading else 0) | (ERROR if event.fflags else 0)
    return bits
