"""One examination at a time: two would see each other's connections."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sockslocal.errors import ControlError

TURN_S = 10.0
"""To wait for other examinations; with that of one's own it is less than `server test` waits."""


class Turns:
    """Who waits too long is told so."""

    def __init__(self) -> None:
        self._taken = asyncio.Lock()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """While nobody else examines. Raises ControlError where it takes long until then."""
        try:
            async with asyncio.timeout(TURN_S):
                await self._taken.acquire()
        except TimeoutError:
            raise ControlError.of("test-busy", seconds=TURN_S) from None
        try:
            yield
        finally:
            self._taken.release()
