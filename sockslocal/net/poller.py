"""Who is told when a socket can be read or written.

The data plane does not use asyncio's transports: a connection is one object, called with what its
sockets are ready for. A poller works within the asyncio loop, so DNS, control and timers stay ordinary
asyncio, in the same thread.

The contract is that of an edge: a handler is called once when its socket becomes ready, and then not
again until the socket was found empty (or full) and became ready anew. Whoever finds it so says
`wait_readable` or `wait_writable`. Where the kernel has edges of its own (epoll, kqueue) these cost
nothing; elsewhere they re-arm asyncio's level-triggered readers and writers. A call too many is harmless:
a handler finds nothing and waits again.
"""

import asyncio
import logging
import socket
import sys
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence

from sockslocal.net.sockets import Socket

IN, URGENT, OUT, ERROR, HANG_UP, FIN = 0x0001, 0x0002, 0x0004, 0x0008, 0x0010, 0x2000
"""What a socket is ready for, as the bits of epoll_ctl(2): EPOLLIN, PRI, OUT, ERR, HUP, RDHUP.

ERROR is a pending socket error, such as the peer's RST.
"""

READABLE = IN | FIN | HANG_UP | ERROR
"""Bits that ask for a read."""

WRITABLE = OUT | HANG_UP | ERROR
"""Bits that ask for a write."""

PEER_FIN = FIN | HANG_UP
"""Bits that announce the end of what can be read."""

MORE = PEER_FIN | URGENT
"""Bits that announce more behind a short read: the end, or what follows urgent data, at which reads stop.

Not every backend tells them, but then `wait_readable` leads there too.
"""

ROUNDS = 8
"""How often readiness is asked for before the asyncio loop gets its turn."""

LOOK_S = 1.0
"""How often LoopPoller looks for resets that nobody is about to read."""

Ready = Callable[[int], None]

_log = logging.getLogger(__name__)


class Poller(ABC):
    """Calls handlers with the readiness of their sockets; every socket it watches is closed through it.

    What a handler raises is logged: one connection's bug does not end the others.
    """

    rounds = ROUNDS

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._handlers: dict[int, Ready] = {}
        self._soon: deque[Callable[[], None]] = deque()
        self._closing: list[Socket] = []
        self._dispatching = False
        self._woken = False

    @property
    def watched(self) -> int:
        """How many sockets are watched."""
        return len(self._handlers)

    def register(self, sock: Socket, ready: Ready) -> None:
        """Watch the non-blocking `sock` until it is closed; `ready` gets READABLE and WRITABLE bits.

        Raises OSError, and closes it, where no more can be watched.
        """
        fd = sock.fileno()
        self._handlers[fd] = ready
        try:
            self._watch(sock)
        except OSError:
            del self._handlers[fd]
            self._unwatch_closing(fd)
            sock.close()
            raise

    def replace(self, sock: Socket, ready: Ready) -> None:
        """From now on `ready` is called for `sock`; edges that its old handler took are not repeated."""
        self._handlers[sock.fileno()] = ready

    def wait_readable(self, sock: Socket) -> None:  # noqa: B027 (an edge needs no re-arming)
        """`sock` was found empty: call its handler when there is something to read."""

    def wait_writable(self, sock: Socket) -> None:  # noqa: B027 (an edge needs no re-arming)
        """`sock` was found full: call its handler when there is room."""

    def soon(self, callback: Callable[[], None]) -> None:
        """Call back after the other ready sockets have had their turn."""
        self._soon.append(callback)
        if not self._dispatching:
            self._wake()

    def later(self, seconds: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        """Call back after `seconds`."""
        return self._loop.call_later(seconds, callback)

    def close(self, sock: Socket) -> None:
        """Forget and close `sock`.

        While events are handed out the descriptor is kept until the last one, so that no event of the
        old socket reaches a new one with the same number.
        """
        fd = sock.fileno()
        if self._handlers.pop(fd, None) is not None:
            self._unwatch_closing(fd)
        if self._dispatching:
            self._closing.append(sock)
        else:
            sock.close()

    def release(self, sock: Socket) -> None:
        """Forget `sock`, which stays open."""
        fd = sock.fileno()
        if self._handlers.pop(fd, None) is not None:
            self._unwatch(fd)

    def stop(self) -> None:
        """End watching; the sockets belong to whoever registered them."""
        for fd in self._handlers:
            self._unwatch_closing(fd)
        self._handlers.clear()
        self._soon.clear()

    @abstractmethod
    def _watch(self, sock: Socket) -> None: ...

    @abstractmethod
    def _unwatch(self, fd: int) -> None: ...

    def _unwatch_closing(self, fd: int) -> None:
        """As `_unwatch`, for a descriptor that is closed next, which by itself ends a kernel's watch."""
        self._unwatch(fd)

    def _poll(self) -> Sequence[tuple[int, int]]:
        """The (descriptor, bits) that are ready now."""
        return ()

    def _wake(self) -> None:
        if not self._woken:
            self._woken = True
            self._loop.call_soon(self._dispatch)

    def _dispatch(self) -> None:
        """A few rounds: all that is ready, then what was to be called soon."""
        self._woken = False
        for _ in range(self.rounds):
            events = self._poll()
            if not events and not self._soon:
                break
            self._round(events)
        if self._soon:
            self._wake()

    def _round(self, events: Sequence[tuple[int, int]]) -> None:
        self._dispatching = True
        self._hand_out(events)
        if self._soon:
            self._call_back()
        for sock in self._closing:
            sock.close()
        self._closing.clear()
        self._dispatching = False

    def _hand_out(self, events: Sequence[tuple[int, int]]) -> None:
        handlers = self._handlers
        for fd, bits in events:
            ready = handlers.get(fd)
            if ready is not None:
                try:
                    ready(bits)
                except Exception:  # noqa: BLE001 (one connection's bug must not end the others)
                    _log.exception("! handler of descriptor %d failed", fd)

    def _call_back(self) -> None:
        """Call what waits now; what these calls add waits for the next round."""
        for _ in range(len(self._soon)):
            if not self._soon:
                return  # one of them has stopped the poller
            try:
                self._soon.popleft()()
            except Exception:  # noqa: BLE001 (as above)
                _log.exception("! callback failed")


class LoopPoller(Poller):
    """The portable backend, on the loop's own readers and writers: each fires once and is then re-armed.

    While nobody waits to read, the loop cannot tell of a reset either, so that is looked for now and then.
    """

    rounds = 1  # only the loop knows what is ready, so it is asked after each

    def __init__(self) -> None:
        super().__init__()
        self._fired: dict[int, Socket] = {}
        self._looking: asyncio.TimerHandle | None = None

    def stop(self) -> None:
        super().stop()
        if self._looking is not None:
            self._looking.cancel()

    def wait_readable(self, sock: Socket) -> None:
        fd = sock.fileno()
        if fd in self._handlers:
            self._fired.pop(fd, None)
            self._loop.add_reader(fd, self._fire_reader, sock)

    def wait_writable(self, sock: Socket) -> None:
        fd = sock.fileno()
        if fd in self._handlers:
            self._loop.add_writer(fd, self._fire_writer, fd)

    def _watch(self, sock: Socket) -> None:
        self.wait_readable(sock)
        self.wait_writable(sock)

    def _unwatch(self, fd: int) -> None:
        self._fired.pop(fd, None)
        self._loop.remove_reader(fd)
        self._loop.remove_writer(fd)

    def _fire_reader(self, sock: Socket) -> None:
        fd = sock.fileno()
        self._loop.remove_reader(fd)
        self._fired[fd] = sock
        self._look_later()
        self._hand_out(((fd, IN),))

    def _fire_writer(self, fd: int) -> None:
        self._loop.remove_writer(fd)
        self._hand_out(((fd, OUT),))

    def _look_later(self) -> None:
        if self._looking is None:
            self._looking = self._loop.call_later(LOOK_S, self._look)

    def _look(self) -> None:
        """Tell of resets that nobody is about to read."""
        self._looking = None
        reset = [fd for fd, sock in self._fired.items() if _was_reset(sock)]
        for fd in reset:
            if self._fired.pop(fd, None) is not None:
                self._hand_out(((fd, ERROR),))
        if self._fired:
            self._look_later()


def _was_reset(sock: Socket) -> bool:
    """Whether the peer has sent RST. Some systems say so in SO_ERROR, others only when asked for octets."""
    try:
        if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            return True
        sock.recv(1, socket.MSG_PEEK)
    except ConnectionError:
        return True
    except OSError:
        pass
    return False


def new_loop() -> asyncio.AbstractEventLoop:
    """The loop that `best_poller` wants; one with readers and writers, which Windows' default one has not."""
    if sys.platform == "linux":
        from sockslocal.net.epoll import EdgeLoop

        return EdgeLoop()
    return asyncio.SelectorEventLoop()


def best_poller() -> Poller:
    """The poller for this platform; to be called inside a running `new_loop`."""
    if sys.platform == "linux":
        from sockslocal.net.epoll import EpollPoller

        return EpollPoller()
    if sys.platform == "darwin":
        from sockslocal.net.kqueue import KqueuePoller

        return KqueuePoller()
    return LoopPoller()
