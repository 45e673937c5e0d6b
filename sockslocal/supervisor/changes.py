"""Lets others wait for the next state."""

import asyncio
from collections.abc import Callable

from sockslocal.status import Status

COUNTERS_S = 1.0
"""Changes that are no more than counters are looked for this often while somebody waits."""


class Changes:
    """Numbers the states; only what differs from the last counts as a new one."""

    def __init__(self, snapshot: Callable[[], Status]) -> None:
        self.snapshot = snapshot
        self._poked = asyncio.Event()
        self._seq = 0
        self._last: Status | None = None

    def poke(self) -> None:
        """Something that is shown has changed."""
        self._poked.set()

    async def poked(self) -> None:
        """Return when something that is shown, beside counters, has changed."""
        self._poked.clear()
        await self._poked.wait()

    async def after(self, seq: int) -> tuple[int, Status]:
        """The present state, once its number is greater than `seq`."""
        while True:
            status = self.snapshot()
            if self._last is None or _news(status) != _news(self._last):
                self._seq += 1
                self._last = status
            if self._seq > seq:
                return self._seq, status
            self._poked.clear()
            try:
                async with asyncio.timeout(COUNTERS_S):
                    await self._poked.wait()
            except TimeoutError:
                continue


def _news(status: Status) -> tuple[object, ...]:
    """What a state may differ in, without what differs at each look."""
    parts = (status.tunnel, status.servers, status.forwards, status.udp, status.dns, status.problems)
    return (status.daemon.state, *parts)
