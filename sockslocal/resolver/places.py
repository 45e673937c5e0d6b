"""A bound on what goes on at once, which may change while some wait."""

import asyncio
from collections import deque


class Places:
    """Who enters takes one of `most`, and gives it back on leaving; first come, first served."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    def allow(self, most: int) -> None:
        """Have so many from now on; who has a place keeps it."""
        self._most = most
        self._admit()

    async def __aenter__(self) -> None:
        if self._taken < self._most:
            self._taken += 1
        else:
            await self._turn()

    async def __aexit__(self, *_raised: object) -> None:
        self._leave()

    async def _turn(self) -> None:
        """Wait until a place is given to us."""
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # it was given just now
                self._leave()
            elif turn in self._waiting:
                self._waiting.remove(turn)
            raise

    def _leave(self) -> None:
        self._taken -= 1
        self._admit()

    def _admit(self) -> None:
        """Give away what places there are."""
        while self._waiting and self._taken < self._most:
            turn = self._waiting.popleft()
            if not turn.done():
                self._taken += 1
                turn.set_result(None)
