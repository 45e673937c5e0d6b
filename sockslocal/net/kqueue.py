"""macOS: a kqueue with EV_CLEAR, which is an edge, its own descriptor watched by the asyncio loop."""

import sys

assert sys.platform == "darwin"

import select

from sockslocal.net.poller import Poller

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

    def _watch(self, fd: int) -> None:
        flags = select.KQ_EV_ADD | select.KQ_EV_CLEAR
        filters = (select.KQ_FILTER_READ, select.KQ_FILTER_WRITE)
        self._kqueue.control([select.kevent(fd, kind, flags) for kind in filters], 0)

    def _unwatch(self, fd: int) -> None:
        pass

    def _poll(self) -> list[tuple[int, int]]:
        events = self._kqueue.control(None, _BATCH, 0)
        return [(event.ident, _bits(event)) for event in events]


def _bits(event: select.kevent) -> int:
    """The event in the bits of epoll; EV_EOF of the write filter is the peer's RST."""
    if event.filter == select.KQ_FILTER_READ:
        return 0x0001
    return 0x0004 | (0x0008 if event.flags & select.KQ_EV_EOF else 0)
