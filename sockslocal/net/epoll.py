"""Linux: one epoll for the asyncio loop and the data plane, the latter's sockets by edges.

The data plane's epoll could be nested in the loop's, as it is elsewhere; but then every event passes through
two, which measured 8 % of the CPU time of a connection. So the loop is made with a selector that knows both:
what is the data plane's it hands out itself, the rest is asyncio's.
"""

# ruff: noqa: E402, S101  the assertion tells mypy on which platform this file is read

import sys

assert sys.platform == "linux"

import asyncio
import math
import os
import select
import selectors
from collections.abc import Callable, Sequence
from contextlib import suppress
from contextvars import Context
from selectors import SelectorKey
from time import monotonic
from typing import Any, TypeVarTuple

from sockslocal.net.poller import FIN, IN, OUT, URGENT, Poller
from sockslocal.net.sockets import Socket

_EDGES = IN | URGENT | OUT | FIN | select.EPOLLET  # errors and hang-ups are always told
_BATCH = 512

Events = Sequence[tuple[int, int]]
Ts = TypeVarTuple("Ts")


class EdgeSelector(selectors.EpollSelector):
    """The standard library's, and the way in for a poller."""

    def __init__(self) -> None:
        super().__init__()
        self.epoll = select.epoll.fromfd(os.dup(self.fileno()))
        """The same one, to be asked and told without detours."""
        self.take: Callable[[Events], None] | None = None
        """Is given all events; those of descriptors that it does not know are not its own."""
        self.in_a_hurry: Callable[[], object] = bool
        """Whether to look only at what is ready now."""
        self.disturbed = False
        """Whether the loop has something to do that it had not when it began to select."""
        self._keys: dict[int, SelectorKey] = {}

    def register(self, fileobj: Any, events: int, data: Any = None) -> SelectorKey:
        key = super().register(fileobj, events, data)
        self._keys[key.fd] = key
        return key

    def unregister(self, fileobj: Any) -> SelectorKey:
        key = super().unregister(fileobj)
        del self._keys[key.fd]
        return key

    def modify(self, fileobj: Any, events: int, data: Any = None) -> SelectorKey:
        try:
            key = super().modify(fileobj, events, data)
        except OSError:  # closed by its owner already: it is no longer registered
            self._keys = {key.fd: key for key in self.get_map().values()}
            raise
        self._keys[key.fd] = key
        return key

    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        """What is ready for asyncio; meanwhile the data plane's events are handed out, round after round."""
        deadline = math.inf if timeout is None else monotonic() + max(timeout, 0)
        keys = self._keys
        self.disturbed = False
        while True:
            events = self.epoll.poll(self._patience(deadline), _BATCH)
            # Before the others: what their handlers close and open may take the same numbers.
            ready = [(keys[fd], _asked(bits, keys[fd].events)) for fd, bits in events if fd in keys]
            if self.take is not None:
                self.take(events)
            if ready or self.disturbed or monotonic() >= deadline:
                return ready

    def close(self) -> None:
        self.epoll.close()
        super().close()

    def _patience(self, deadline: float) -> float:
        """How long to wait, in seconds; -1 for ever."""
        if self.in_a_hurry():
            return 0
        if deadline == math.inf:
            return -1
        return math.ceil(max(deadline - monotonic(), 0) * 1e3) * 1e-3  # epoll counts whole milliseconds


def _asked(bits: int, events: int) -> int:
    """The bits as the selectors module has them; an error or a hang-up counts as both."""
    readable = selectors.EVENT_READ if bits & ~OUT else 0
    writable = selectors.EVENT_WRITE if bits & ~IN else 0
    return (readable | writable) & events


class EdgeLoop(asyncio.SelectorEventLoop):
    """The loop that the data plane wants: it turns only when asyncio has something to do."""

    def __init__(self) -> None:
        self.edges = EdgeSelector()
        super().__init__(self.edges)

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        self.edges.disturbed = True
        return super().call_soon(callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        self.edges.disturbed = True
        return super().call_at(when, callback, *args, context=context)


class EpollPoller(Poller):
    """One `epoll_ctl` for the whole life of a socket: closing its descriptor ends the watch."""

    def __init__(self) -> None:
        super().__init__()
        if not isinstance(self._loop, EdgeLoop):
            raise TypeError("this poller works in an EdgeLoop only")
        self._selector = self._loop.edges
        if self._selector.take is not None:
            raise RuntimeError("this loop has its poller already")
        self._selector.take = self._round
        self._selector.in_a_hurry = self._soon.__len__

    def stop(self) -> None:
        for fd in self._handlers:
            with suppress(OSError):  # closed by its owner already
                self._unwatch(fd)
        super().stop()
        self._selector.take = None
        self._selector.in_a_hurry = bool

    def _watch(self, sock: Socket) -> None:
        self._selector.epoll.register(sock.fileno(), _EDGES)

    def _unwatch(self, fd: int) -> None:
        self._selector.epoll.unregister(fd)

    def _unwatch_closing(self, fd: int) -> None:
        pass

    def _wake(self) -> None:
        pass  # the next round comes by itself: the selector asks whether there is a hurry
