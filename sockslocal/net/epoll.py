"""Linux: one edge-triggered epoll, its own descriptor watched by the asyncio loop."""

# ruff: noqa: E402, S101  the assertion tells mypy on which platform this file is read

import sys

assert sys.platform == "linux"

import select
import socket
from collections.abc import Sequence

from sockslocal.net.poller import FIN, IN, OUT, URGENT, Poller

_EDGES = IN | URGENT | OUT | FIN | select.EPOLLET  # errors and hang-ups are always told
_BATCH = 512


class EpollPoller(Poller):
    """One `epoll_ctl` for the whole life of a socket: closing its descriptor ends the watch."""

    def __init__(self) -> None:
        super().__init__()
        self._epoll = select.epoll()
        self._loop.add_reader(self._epoll.fileno(), self._dispatch)

    def stop(self) -> None:
        super().stop()
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()

    def _watch(self, sock: socket.socket) -> None:
        self._epoll.register(sock.fileno(), _EDGES)

    def _unwatch(self, fd: int) -> None:
        self._epoll.unregister(fd)

    def _unwatch_closing(self, fd: int) -> None:
        pass

    def _poll(self) -> Sequence[tuple[int, int]]:
        return () if self._epoll.closed else self._epoll.poll(0, _BATCH)
