"""Accepting connections, in batches, without ever drowning in its own errors."""

import errno
import logging
import os
import socket
import sys
from collections.abc import Callable

from sockslocal.net.poller import Poller

BATCH = 64
"""Connections accepted before the other sockets have their turn."""

RESERVE = 48
"""Descriptors that local connections may not take: control, keyring and log need some at the worst time."""

PAUSE_S = 0.5

CAPACITY_ERRNOS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})
"""What `accept` answers when the machine or the process is full; retrying at once would spin."""

_log = logging.getLogger(__name__)


def descriptor_limit() -> int:
    """How many descriptors this process may have; raised to what the system allows."""
    if sys.platform == "win32":
        return 512  # what select() bears there
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        wanted = hard if hard != resource.RLIM_INFINITY else 65_536
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    return soft


class DescriptorBudget:
    """Keeps listeners from taking the last descriptors; one for the process.

    The kernel gives out the lowest free number, so that of a new descriptor tells how full the table is.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.ceiling = max(limit - RESERVE, limit // 2)
        self.exhausted = False

    def is_spent(self) -> bool:
        """Whether a descriptor opened now would come from the reserve; says so once in the log."""
        try:
            probe = os.dup(2)
        except OSError:
            spent = True
        else:
            os.close(probe)
            spent = probe >= self.ceiling
        self._note(spent=spent)
        return spent

    def _note(self, *, spent: bool) -> None:
        if spent and not self.exhausted:
            _log.warning("! out of descriptors (limit %d): new connections wait", self.limit)
        elif self.exhausted and not spent:
            _log.info("= descriptors are free again: accepting")
        self.exhausted = spent


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
        self._closed = False
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

    def _ready(self, _events: int = 0) -> None:
        for _ in range(BATCH):
            if self._closed:
                return
            try:
                sock, _address = self._sock.accept()
            except BlockingIOError:
                self._poller.wait_readable(self._sock)
                return
            except OSError as error:
                if error.errno in CAPACITY_ERRNOS:
                    self._pause()
                    return
                continue  # the client went away between its SYN and now
            sock.setblocking(False)
            nearly_full = sock.fileno() >= self._budget.ceiling
            self._accepted(sock)
            if nearly_full:
                self._pause()
                return
        self._poller.soon(self._ready)

    def _pause(self) -> None:
        """Let the backlog wait until descriptors are free again."""
        if self._closed:
            return
        if self._budget.is_spent():
            self._poller.later(PAUSE_S, self._pause)
        else:
            self._poller.soon(self._ready)
