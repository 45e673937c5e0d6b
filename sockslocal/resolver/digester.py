"""Taking messages apart without keeping others waiting.

A common message takes some 40 µs, the worst ones many milliseconds, and hundreds may come at once. After a
slice of this work everybody else has a turn. A thread would not do: it keeps the interpreter for 5 ms a time.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Generator
from typing import cast

from sockslocal.resolver.answer import Answer
from sockslocal.resolver.digest import digesting
from sockslocal.resolver.errors import OverloadedError
from sockslocal.resolver.records import Record

LARGE = 4096
"""Octets above which a message is one of few that may wait."""

MAX_LARGE = 64

SLICE_S = 0.0003
"""Seconds of work in one iteration of the loop."""

MAX_TURNS = 3
"""Messages that are begun or gone on with in one iteration."""

FOLLOWING_S = 0.0001
"""Seconds of work that an answer causes when it is there: it is kept, and replies are sent."""


class Digester:
    """One for all upstreams whose answers are handled alike: records that are `unwanted` are left out."""

    def __init__(self) -> None:
        self.unwanted: Callable[[Record], bool] | None = None
        self._loop = asyncio.get_running_loop()
        self._large = 0
        self._queue: deque[asyncio.Future[None]] = deque()
        self._spent = 0.0
        self._scheduled = False

    async def digest(self, message: bytes, *, upstream: str, path: str) -> Answer:
        """As `digest.digest`; raises UnusableError, OverloadedError."""
        steps = digesting(message, upstream=upstream, path=path, unwanted=self.unwanted)
        if len(message) <= LARGE:
            return await self._run(steps)
        if self._large >= MAX_LARGE:
            raise OverloadedError("too many large messages at once")
        self._large += 1
        try:
            return await self._run(steps)
        finally:
            self._large -= 1

    async def _run(self, steps: Generator[None, None, Answer]) -> Answer:
        if self._queue:
            await self._turn(self._queue.append)
        while True:
            while self._spent >= SLICE_S:
                await self._turn(self._queue.appendleft)
            answer = self._work(steps)
            if answer is not None:
                return answer

    def _work(self, steps: Generator[None, None, Answer]) -> Answer | None:
        """Take steps until the slice is used up; the answer when there are no more."""
        started = time.perf_counter()
        try:
            next(steps)
            while self._spent + time.perf_counter() - started < SLICE_S:
                next(steps)
        except StopIteration as done:
            return cast(Answer, done.value)
        finally:
            self._spent += time.perf_counter() - started + FOLLOWING_S
            self._schedule()
        return None

    async def _turn(self, queue: Callable[[asyncio.Future[None]], None]) -> None:
        """Wait in the queue for another iteration of the loop."""
        turn = self._loop.create_future()
        queue(turn)
        self._schedule()
        await turn

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._next)

    def _next(self) -> None:
        """Begin another slice with as many as may fit in it."""
        self._scheduled = False
        self._spent = 0.0
        for _ in range(min(len(self._queue), MAX_TURNS)):
            turn = self._queue.popleft()
            if not turn.done():
                turn.set_result(None)
        if self._queue:
            self._schedule()
