"""Taking messages apart without keeping others waiting.

A common message takes some 30 µs, the worst ones many milliseconds, and hundreds may come at once. After a
slice of them everybody else has a turn; large ones are a thread's.
"""

import asyncio
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from sockslocal.resolver.answer import Answer
from sockslocal.resolver.digest import digest
from sockslocal.resolver.errors import OverloadedError

LARGE = 4096
"""Octets above which a message is a thread's."""

MAX_LARGE = 64
"""Large messages that wait for the thread."""

SLICE_S = 0.001
"""Seconds of work before the loop does something else."""


class Digester:
    """One for all upstreams."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="dns")
        self._large = 0
        self._queue: deque[asyncio.Future[None]] = deque()
        self._spent = 0.0
        self._scheduled = False

    async def digest(self, message: bytes, *, upstream: str, path: str) -> Answer:
        """As `digest.digest`; raises UnusableError, OverloadedError."""
        if len(message) > LARGE:
            return await self._in_thread(partial(digest, message, upstream=upstream, path=path))
        if self._spent >= SLICE_S or self._queue:
            await self._turn()
        started = time.perf_counter()
        try:
            return digest(message, upstream=upstream, path=path)
        finally:
            self._spent += time.perf_counter() - started
            self._schedule()

    def close(self) -> None:
        """Forget the large messages that wait."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _in_thread(self, work: "partial[Answer]") -> Answer:
        if self._large >= MAX_LARGE:
            raise OverloadedError("too many large messages at once")
        self._large += 1
        try:
            return await self._loop.run_in_executor(self._pool, work)
        finally:
            self._large -= 1

    async def _turn(self) -> None:
        """Wait behind the others, for an iteration of the loop each."""
        turn = self._loop.create_future()
        self._queue.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            self._schedule()  # the turn may have been given already
            raise

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._next)

    def _next(self) -> None:
        self._scheduled = False
        self._spent = 0.0
        while self._queue:
            turn = self._queue.popleft()
            if not turn.done():
                turn.set_result(None)
                return
