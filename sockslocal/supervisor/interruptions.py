"""Notices that the machine slept, that this process was stopped, or that the network is another one."""

import asyncio
import logging
import time
from collections.abc import Callable, Collection

from sockslocal import clocks
from sockslocal.net import local_addresses
from sockslocal.net.local_addresses import Local
from sockslocal.net.poller import Poller

TICK_S = 2.0
"""How often clocks and addresses are looked at."""

LAPSE_S = 3.0
"""So many seconds of which nothing was noticed are more than a busy machine."""

LOOK_SHARE, LONGEST_S = 0.0005, 10.0
"""The share of the time that looking at addresses may take, and how long at most it is not done for that."""

Recover = Callable[[Collection[str]], None]
"""Is told the addresses that this machine has lost."""

_log = logging.getLogger(__name__)


class Interruptions:
    """Calls `recover` after each, from `start` to `stop`."""

    def __init__(
        self,
        poller: Poller,
        recover: Recover,
        read: Callable[[], clocks.Reading] = clocks.read,
        look: Callable[[], frozenset[Local]] = local_addresses.look,
    ) -> None:
        self._poller = poller
        self._recover = recover
        self._read = read
        self._look = look
        self._reading = read()
        self._locals: frozenset[Local] = frozenset()
        self._look_at = self._took = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self._reading = self._read()
        self._locals = self._look_again()
        self._timer = self._poller.later(TICK_S, self._tick)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def woken(self) -> None:
        """The machine has slept, as the system says."""
        self._note("the machine has slept")

    def _tick(self) -> None:
        self._timer = self._poller.later(TICK_S, self._tick)
        reading = self._read()
        lapse = clocks.lapse(self._reading, reading, TICK_S)
        self._reading = reading
        if lapse >= LAPSE_S:
            self._note(f"{lapse:.0f} s have passed unnoticed")
        elif reading.awake >= self._look_at:
            self._note("")

    def _note(self, why: str) -> None:
        """Recover where there is a reason, or the addresses are others."""
        before, self._locals = self._locals, self._look_again()
        gone = {local.address for local in before} - {local.address for local in self._locals}
        if before != self._locals:
            why = why or "the addresses of this machine are others"
        if why:
            _log.info("= %s: what may have died of it is looked after", why)
            self._recover(gone)

    def _look_again(self) -> frozenset[Local]:
        started = time.thread_time()
        try:
            return self._look()
        except OSError:
            return self._locals
        finally:
            took = time.thread_time() - started
            pause = min(took, self._took) / LOOK_SHARE  # one look may have taken long by chance
            self._took = took
            self._look_at = self._reading.awake + min(pause, LONGEST_S)
