"""Octets to and from an upstream, by a TCP connection that the server makes."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Protocol

from sockslocal.address import Endpoint
from sockslocal.resolver.tunnel import Tunnel

ATTEMPT_S = 2.0
ATTEMPTS = 3
"""An attempt to connect is joined by another after so many seconds: after an outage a new one works at once.

TCP repeats what was lost after 1 s, then after 2 s more, then after 4 s. So something is sent in each second.
"""

CHUNK = 2_048
"""Octets read at once: the answers in them, some twenty, have everybody else wait."""

MAX_UNSENT = 262_144
"""Octets that may wait to be sent: an upstream that makes us talk and does not listen means no good."""


class Stream(Protocol):
    """A connection; who reads from it is one task."""

    async def read(self) -> bytes:
        """What has come, nothing at the end. Raises OSError."""

    def write(self, data: bytes) -> None:
        """Send all of `data`. Raises OSError."""

    def close(self) -> None:
        """End it at once."""


Dial = Callable[[], Coroutine[Any, Any, Stream]]
"""Makes a connection; raises FAILURES."""


class PlainStream:
    """A connection as it is."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def read(self) -> bytes:
        return await self._reader.read(CHUNK)

    def write(self, data: bytes) -> None:
        if self._writer.transport.is_closing():
            raise ConnectionResetError("connection lost")
        self._writer.write(data)
        if self._writer.transport.get_write_buffer_size() > MAX_UNSENT:
            raise ConnectionAbortedError("it does not read what it is sent")

    def close(self) -> None:
        self._writer.transport.abort()


class PlainDial:
    """Connects to one upstream."""

    def __init__(self, tunnel: Tunnel, remote: Endpoint) -> None:
        self._tunnel = tunnel
        self._remote = remote

    async def __call__(self) -> PlainStream:
        attempts: set[asyncio.Task[PlainStream]] = set()
        try:
            for _ in range(ATTEMPTS):
                attempts.add(asyncio.create_task(self._connect(), name="dns upstream attempt"))
                done, _ = await asyncio.wait(attempts, timeout=ATTEMPT_S, return_when=asyncio.FIRST_COMPLETED)
                if done:
                    attempts -= done
                    return await _first(done)
            raise TimeoutError
        finally:
            await _abandoned(attempts)

    async def _connect(self) -> PlainStream:
        return PlainStream(*await self._tunnel.open_stream(self._remote))


async def _first(done: set[asyncio.Task[PlainStream]]) -> PlainStream:
    """One of the attempts that are `done`, and no variable with it: its error would lead back to itself."""
    try:
        return done.pop().result()
    finally:
        await _abandoned(done)


async def _abandoned(attempts: Iterable[asyncio.Task[PlainStream]]) -> None:
    """End `attempts`, and what has come of them."""
    for attempt in attempts:
        attempt.cancel()
    for outcome in await asyncio.gather(*attempts, return_exceptions=True):
        if isinstance(outcome, PlainStream):
            outcome.close()
