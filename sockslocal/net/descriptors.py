"""How many descriptors the process may have, and how many are left for local connections."""

import errno
import logging
import os
import sys
import time
from contextlib import suppress

from sockslocal.problems import Problem, problem

RESERVE = 48
"""Descriptors that local connections may not take: control, keyring and log need some at the worst time."""

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
        self._waiting: set[object] = set()
        self._warned_at = float("-inf")
        self._warned = False

    def may_be_spent(self, newest: int) -> bool:
        """Whether to ask `is_spent`, which costs more; `newest` is the descriptor just opened."""
        return sys.platform == "win32" or newest + self.promised >= self.ceiling

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

    @property
    def problem(self) -> Problem | None:
        """What keeps local connections waiting now."""
        return problem("descriptors-exhausted", limit=self.limit) if self._waiting else None

    def wait(self, who: object, why: str) -> None:
        """The connections of `who` wait; the log says so once a minute."""
        self._waiting.add(who)
        now = time.monotonic()
        if now - self._warned_at >= WARN_EVERY_S:
            self._warned_at = now
            self._warned = True
            _log.warning("! %s (limit %d): new connections wait", why, self.limit)

    def go_on(self, who: object) -> None:
        """They do not wait any more; the log says so when nobody's do, if it said that they did."""
        self._waiting.discard(who)
        if self._warned and not self._waiting:
            self._warned = False
            _log.info("= there are descriptors again: connections are accepted")
