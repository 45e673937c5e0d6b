"""Accepting connections, in batches, without ever drowning in its own errors."""

import asyncio
import errno
import logging
import os
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress

from sockslocal.net.poller import Poller

BATCH = 64
"""Connections accepted before the other sockets have their turn."""

RESERVE = 48
"""Descriptors that local connections may not take: control, keyring and log need some at the worst time."""

PAUSE_S = 0.5
"""How long the backlog waits before it is seen whether there is room again."""

WARN_EVERY_S = 60.0
"""How often the log says at most that connections wait, however often they come and go meanwhile."""

SELECT_LIMIT = 512
"""Sockets that select() bears on Windows (FD_SETSIZE as Python has it)."""

CAPACITY_ERRNOS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.ENOSPC})
"""What `accept`, or a poller, answers when machine or process are full; retrying at once would spin."""

_log = logging.getLogger(__name__)


def descriptor_limit() -> int:
    """How many descriptors this process may have; raised to what the system allows."""
    if sys.platform == "win32":
        return SELECT_LIMIT
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # macOS calls its hard limit infinite, and allows no more than OPEN_MAX all the same.
    for wanted in (65_536, 10_240) if hard == resource.RLIM_INFINITY else (hard,):
        if wanted > soft != resource.RLIM_INFINITY:
            with suppress(OSError, ValueError):
                resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
                return wanted
    return soft


class DescriptorBudget:
    """Keeps listeners from taking the last descriptors; one for the process.

    The kernel gives out the lowest free number, so that of a new descriptor tells how full the table is.
    Windows numbers its sockets as it likes, and what is scarce there is how many can be watched.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.ceiling = max(limit - RESERVE, limit // 2)
        self.promised = 0
        """Descriptors that will be opened yet, by dials that wait for a password or an address."""
        self._warned_at = float("-inf")

    def may_be_spent(self, newest: socket.socket) -> bool:
        """Whether to ask `is_spent`, which costs more."""
        return sys.platform == "win32" or newest.fileno() + self.promised >= self.ceiling

    def is_spent(self, watched: int) -> bool:
        """Whether a descriptor opened now, beside `watched` sockets, would come from the reserve."""
        if sys.platform == "win32":
            return watched + self.promised >= self.ceiling
        try:
            probe = os.open(os.devnull, os.O_RDONLY)
        except OSError:
            return True
        os.close(probe)
        return probe + self.promised >= self.ceiling

    def warn(self, why: str) -> None:
        """Say in the log that connections wait; once a minute."""
        now = time.monotonic()
        if now - self._warned_at >= WARN_EVERY_S:
            self._warned_at = now
            _log.warning("! %s (limit %d): new connections wait", why, self.limit)


class Listener:
    """Accepts on one listening socket and hands each connection, non-blocking, to `accepted`."""

    def __init__(
        self,
        poller: Poller,
        sock: socket.socket,
        accepted: Callable[[socket.socket], None],
        budget: DescriptorBudget,
    ) -> None:
        self._poller = poller
        self._sock = sock
        self._accepted = accepted
        self._budget = budget
        self._family = sock.family
        self._closed = False
        self._resuming = False
        self._pause: asyncio.TimerHandle | None = None
        poller.register(sock, self._ready)

    @property
    def address(self) -> object:
        """What the socket is bound to, as `getsockname` gives it."""
        return self._sock.getsockname()

    def close(self) -> None:
        """Stop accepting; connections already accepted are not touched."""
        if not self._closed:
            self._closed = True
            self._poller.close(self._sock)
            if self._pause is not None:
                self._pause.cancel()

    def _ready(self, _events: int) -> None:
        if not self._resuming:
            self._accept_some()

    def _accept_some(self) -> None:
        self._resuming = False
        failed = 0
        for _ in range(BATCH):
            if self._closed:
                return
            try:
                fd, _address = self._sock._accept()  # type: ignore[attr-defined]  # noqa: SLF001  `accept` costs ten times more
            except BlockingIOError:
                self._poller.wait_readable(self._sock)
                return
            except OSError as error:
                if error.errno in CAPACITY_ERRNOS:
                    self._wait(os.strerror(error.errno).lower())
                    return
                failed += 1  # the client went away between its SYN and now
                continue
            sock = socket.socket(self._family, socket.SOCK_STREAM, 0, fd)
            sock.setblocking(False)
            near = self._budget.may_be_spent(sock)
            self._hand_over(sock)
            if near and self._budget.is_spent(self._poller.watched):
                self._wait("too many open files")
                return
        if failed < BATCH:
            self._resuming = True
            self._poller.soon(self._accept_some)
        else:
            self._wait("accepting fails")

    def _hand_over(self, sock: socket.socket) -> None:
        try:
            self._accepted(sock)
        except Exception:  # noqa: BLE001 (one connection's bug must not end the others)
            _log.exception("! a connection could not be served")
            self._poller.close(sock)

    def _wait(self, why: str) -> None:
        """Let the backlog wait until there is room again."""
        if not self._closed:
            self._budget.warn(why)
            self._resuming = True
            self._pause = self._poller.later(PAUSE_S, self._look_again)

    def _look_again(self) -> None:
        if self._budget.is_spent(self._poller.watched):
            self._wait("too many open files")
        else:
            self._accept_some()
