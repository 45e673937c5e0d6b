"""Pipes for splicing: bytes pass from socket to socket inside the kernel.

A direction of a relay borrows a pipe while bytes move and gives it back empty, so idle connections hold
none. Where no pipe is to be had, or only small ones (an unprivileged user's pipes share
/proc/sys/fs/pipe-user-pages-soft), a relay is slower, never broken. Only Linux can splice sockets.
"""

import os
import sys
from contextlib import suppress

CAPACITY = 512 * 1024
"""Octets asked for; measured best between 256 KiB and 1 MiB."""

KEPT = 16
"""Empty pipes kept for the next borrower."""


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


def _enlarged(fd: int) -> int:
    """The capacity of the pipe `fd` after asking for more."""
    if sys.platform != "linux":
        return 65_536
    import fcntl

    with suppress(OSError):  # over the user's share of pipe memory: the pipe stays small
        fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, CAPACITY)
    return fcntl.fcntl(fd, fcntl.F_GETPIPE_SZ)


class PipePool:
    """Lends pipes; one for the process."""

    def __init__(self) -> None:
        self._idle: list[Pipe] = []
        self.lent = 0

    def borrow(self) -> Pipe | None:
        """An empty pipe, or None where the process or the machine has no descriptor left."""
        if self._idle:
            pipe = self._idle.pop()
        else:
            try:
                pipe = Pipe()
            except OSError:
                return None
        self.lent += 1
        return pipe

    def give_back(self, pipe: Pipe) -> None:
        """Return a pipe on any way out; one with octets left in it is closed."""
        self.lent -= 1
        if pipe.held or len(self._idle) >= KEPT:
            pipe.close()
        else:
            self._idle.append(pipe)

    def close(self) -> None:
        """Close the idle pipes; lent ones are closed when they come back."""
        while self._idle:
            self._idle.pop().close()
