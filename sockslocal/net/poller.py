"""Who is told when a socket can be read or written.

The data plane does not use asyncio's transports: a connection is one object, called with what its
sockets are ready for. A poller is nested in the asyncio loop, so DNS, control and timers stay
ordinary asyncio, in the same thread.

The contract is that of an edge: a handler is called once when its socket becomes ready, and then not
again until the socket was found empty (or full) and became ready anew. Whoever finds it so says
`wait_readable` or `wait_writable`. Where the kernel has edges of its own (epoll, kqueue) these cost
nothing; elsewhere they re-arm asyncio's level-triggered readers.
"""

import asyncio
import logging
import socket
import sys
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable

READABLE = 0x0001 | 0x2000 | 0x0010 | 0x0008
"""Bits that ask for a read: input, the peer's FIN, hang-up, error (the values of epoll)."""

WRITABLE = 0x0004 | 0x0010 | 0x0008
"""Bits that ask for a write: room, hang-up, error."""

PEER_FIN = 0x2000 | 0x0010
"""Bits that announce the end of what can be read: after a short read there is that still to be read."""

ERROR = 0x0008
"""The bit that tells of a pending socket error, such as the peer's RST."""

ROUNDS = 8
"""How often readiness is asked for before the asyncio loop gets its turn."""

Ready = Callable[[int], None]

_log = logging.getLogger(__name__)


class Poller(ABC):
    """Calls handlers with the readiness of their sockets; every socket it watches is closed through it."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._handlers: dict[int, Ready] = {}
        self._soon: deque[Callable[[], None]] = deque()
        self._closing: list[socket.socket] = []
        self._dispatching = False
        self._woken = False

    def register(self, sock: socket.socket, ready: Ready) -> None:
        """Watch the non-blocking `sock` until it is closed; `ready` gets READABLE and WRITABLE bits."""
        self._handlers[sock.fileno()] = ready
        self._watch(sock.fileno())

    def replace(self, sock: socket.socket, ready: Ready) -> None:
        """From now on `ready` is called for `sock`; edges that its old handler took are not repeated."""
        self._handlers[sock.fileno()] = ready

    def wait_readable(self, sock: socket.socket) -> None:  # noqa: B027 (an edge needs no re-arming)
        """`sock` was found empty: call its handler when there is something to read."""

    def wait_writable(self, sock: socket.socket) -> None:  # noqa: B027 (an edge needs no re-arming)
        """`sock` was found full: call its handler when there is room."""

    def soon(self, callback: Callable[[], None]) -> None:
        """Call back after the other ready sockets have had their turn."""
        self._soon.append(callback)
        if not self._dispatching and not self._woken:
            self._woken = True
            self._loop.call_soon(self._dispatch)

    def later(self, seconds: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        """Call back after `seconds`."""
        return self._loop.call_later(seconds, callback)

    def close(self, sock: socket.socket) -> None:
        """Forget and close `sock`.

        While events are handed out the descriptor is kept until the last one, so that no event of the
        old socket reaches a new one with the same number.
        """
        if self._handlers.pop(sock.fileno(), None) is not None:
            self._unwatch_closing(sock.fileno())
        if self._dispatching:
            self._closing.append(sock)
        else:
            sock.close()

    def release(self, sock: socket.socket) -> None:
        """Forget `sock`, which stays open."""
        if self._handlers.pop(sock.fileno(), None) is not None:
            self._unwatch(sock.fileno())

    def stop(self) -> None:
        """End watching; the sockets belong to whoever registered them."""
        for fd in list(self._handlers):
            self._unwatch_closing(fd)
        self._handlers.clear()
        self._soon.clear()

    @abstractmethod
    def _watch(self, fd: int) -> None: ...

    @abstractmethod
    def _unwatch(self, fd: int) -> None: ...

    def _unwatch_closing(self, fd: int) -> None:
        """As `_unwatch`, for a descriptor that is closed next, which by itself ends a kernel's watch."""
        self._unwatch(fd)

    def _poll(self) -> list[tuple[int, int]]:
        """The (descriptor, bits) that are ready now."""
        return []

    def _dispatch(self) -> None:
        self._dispatching = True
        self._woken = False
        for _ in range(ROUNDS):
            events = self._poll()
            if not events and not self._soon:
                break
            self._hand_out(events)
        self._dispatching = False
        if self._soon and not self._woken:
            self._woken = True
            self._loop.call_soon(self._dispatch)

    def _hand_out(self, events: list[tuple[int, int]]) -> None:
        handlers = self._handlers
        for fd, bits in events:
            ready = handlers.get(fd)
            if ready is not None:
                try:
                    ready(bits)
                except Exception:  # noqa: BLE001 (one connection's bug must not end the others)
                    _log.exception("! handler of descriptor %d failed", fd)
        for _ in range(len(self._soon)):
            try:
                self._soon.popleft()()
            except Exception:  # noqa: BLE001 (as above)
                _log.exception("! callback failed")
        for sock in self._closing:
            sock.close()
        self._closing.clear()


class LoopPoller(Poller):
    """The portable backend, on the loop's own readers and writers: each fires once and is then re-armed."""

    def _watch(self, fd: int) -> None:
        self._loop.add_reader(fd, self._fire_reader, fd)
        self._loop.add_writer(fd, self._fire_writer, fd)

    def _unwatch(self, fd: int) -> None:
        self._loop.remove_reader(fd)
        self._loop.remove_writer(fd)

    def wait_readable(self, sock: socket.socket) -> None:
        if sock.fileno() in self._handlers:
            self._loop.add_reader(sock.fileno(), self._fire_reader, sock.fileno())

    def wait_writable(self, sock: socket.socket) -> None:
        if sock.fileno() in self._handlers:
            self._loop.add_writer(sock.fileno(), self._fire_writer, sock.fileno())

    def _fire_reader(self, fd: int) -> None:
        self._loop.remove_reader(fd)
        self._hand_out([(fd, 0x0001)])

    def _fire_writer(self, fd: int) -> None:
        self._loop.remove_writer(fd)
        self._hand_out([(fd, 0x0004)])


def best_poller() -> Poller:
    """The poller for this platform; to be called inside the running loop."""
    if sys.platform == "linux":
        from sockslocal.net.epoll import EpollPoller

        return EpollPoller()
    if sys.platform == "darwin":
        from sockslocal.net.kqueue import KqueuePoller

        return KqueuePoller()
    return LoopPoller()
