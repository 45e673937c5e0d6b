"""Octets to and from an upstream, by a TCP connection that the server makes."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Protocol

from sockslocal.address import Endpoint
from sockslocal.resolver.tunnel import Tunnel

CONNECT_S = (2.0, 5.0)
"""Seconds for the first and the second attempt: after an outage a new one works where an old one hangs."""

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
        for seconds in CONNECT_S:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    return PlainStream(*await self._tunnel.open_stream(self._remote))
        raise TimeoutError
