"""Absolute deadlines for many short-lived things, with one timer for all.

A timer of the loop costs more than a whole stage of a handshake; deadlines are rarely met, so they are looked
through a few times a second instead.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

PERIOD_S = 0.1

_log = logging.getLogger(__name__)


class Mortal(Protocol):
    """What has a deadline, in seconds of the clock; it may move while it is watched."""

    deadline: float

    def expire(self) -> None:
        """The deadline has passed."""


class Deadlines:
    """Watches deadlines; the loop's timer runs only while there are any."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self._loop = asyncio.get_running_loop()
        self._mortals: set[Mortal] = set()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, mortal: Mortal) -> None:
        self._mortals.add(mortal)
        if self._timer is None:
            self._timer = self._loop.call_later(PERIOD_S, self._look)

    def discard(self, mortal: Mortal) -> None:
        self._mortals.discard(mortal)

    def stop(self) -> None:
        """Watch nothing any more."""
        self._mortals.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        now = self.clock()
        self._timer = None
        for mortal in [mortal for mortal in self._mortals if mortal.deadline <= now]:
            if mortal in self._mortals:  # the end of another may have been its end too
                self._mortals.discard(mortal)
                self._expire(mortal)
        if self._mortals and self._timer is None:
            self._timer = self._loop.call_later(PERIOD_S, self._look)

    def _expire(self, mortal: Mortal) -> None:
        try:
            mortal.expire()
        except Exception:  # noqa: BLE001 (one connection's bug must not let the others live for ever)
            _log.exception("! deadline failed")
