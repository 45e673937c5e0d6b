"""Pipes for splicing: bytes pass from socket to socket inside the kernel.

A direction of a relay borrows a pipe while bytes move and gives it back empty, so idle connections hold
none. Where no pipe is to be had, or only small ones (an unprivileged user's pipes share
/proc/sys/fs/pipe-user-pages-soft), a relay is slower, never broken. Only Linux can splice sockets.
"""

import os
import sys
from contextlib import suppress

CAPACITY = 1 << 20
"""Octets asked for, the most that every user may have (/proc/sys/fs/pipe-max-size): the more, the cheaper."""

KEPT = 16
"""Empty pipes kept for the next borrower."""


if sys.platform == "linux":
    import fcntl  # at once: later there may be no descriptor left to import with

    def _enlarged(fd: int) -> int:
        """The capacity of the pipe `fd` after asking for more."""
        with suppress(OSError):  # over the user's share of pipe memory: the pipe stays small
            fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, CAPACITY)
        return fcntl.fcntl(fd, fcntl.F_GETPIPE_SZ)

else:

    def _enlarged(fd: int) -> int:
        raise NotImplementedError(fd)


class Pipe:
    """A pipe, and how many octets are in it."""

    __slots__ = ("capacity", "held", "reader", "writer")

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        self.capacity = _enlarged(self.writer)
        self.held = 0

    def close(self) -> None:
        os.close(self.reader)
        os.close(self.writer)


class PipePool:
    """Lends pipes; one for the process.

    None has a descriptor of `ceiling` or above: those are a reserve for what cannot do without.
    """

    def __init__(self, ceiling: int = sys.maxsize) -> None:
        self._ceiling = ceiling
        self._kept = KEPT
        self._idle: list[Pipe] = []
        self.lent = 0

    def borrow(self) -> Pipe | None:
        """An empty pipe, or None where there is no descriptor left for one, or nothing to splice with."""
        pipe = self._idle.pop() if self._idle else self._new()
        if pipe is not None:
            self.lent += 1
        return pipe

    def give_back(self, pipe: Pipe) -> None:
        """Return a pipe on any way out; one with octets left in it is closed."""
        self.lent -= 1
        if pipe.held or len(self._idle) >= self._kept:
            pipe.close()
        else:
            self._idle.append(pipe)

    def close(self) -> None:
        """Close the idle pipes, and lent ones as they come back."""
        self._kept = 0
        while self._idle:
            self._idle.pop().close()

    def _new(self) -> Pipe | None:
        if sys.platform != "linux":
            return None
        try:
            pipe = Pipe()
        except OSError:
            return None
        if pipe.writer < self._ceiling:
            return pipe
        pipe.close()
        return None
