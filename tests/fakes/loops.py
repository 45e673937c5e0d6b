"""Loops for tests: the one that the data plane wants, and one that never waits."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from sockslocal.net.poller import new_loop

T = TypeVar("T")


def run(main: Coroutine[Any, Any, T]) -> T:
    """As `asyncio.run`."""
    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(main)


class QuickLoop(asyncio.SelectorEventLoop):
    """Its time passes only while there is nothing else to do, and then at once.

    So what waits for timers takes no time, and nothing is late however busy the machine is. It is not for
    tests that wait for other threads or processes: they have no share in its time.
    """

    def __init__(self) -> None:
        self._now = 1_000.0
        super().__init__(_QuickSelector(self.advance))

    def time(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass; also for work that is to seem long."""
        self._now += seconds


class _QuickSelector(selectors.DefaultSelector):
    """Calls `wait` instead of waiting."""

    def __init__(self, wait: Callable[[float], None]) -> None:
        super().__init__()
        self._wait = wait

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0 if timeout else timeout)
        if timeout and not ready:
            self._wait(timeout)
        return ready
