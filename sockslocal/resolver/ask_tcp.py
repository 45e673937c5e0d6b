"""Asking an upstream by TCP: one connection for all queries, answers in any order (RFC 7766 §6.2)."""

import asyncio
from contextlib import suppress

from sockslocal.address import Endpoint
from sockslocal.errors import ServerError
from sockslocal.resolver import wire
from sockslocal.resolver.channel import Channel
from sockslocal.resolver.errors import LostError
from sockslocal.resolver.tasks import joined
from sockslocal.resolver.tunnel import Tunnel

CONNECT_S = (2.0, 5.0)
"""Seconds for the first and the second attempt: after an outage a new one works where an old one hangs."""
IDLE_S = 10.0
"""Seconds without a query after which we close; servers do so after about as many (RFC 7766 §6.2.3)."""

MAX_OUTSTANDING = 256
"""Queries sent and not answered on one connection; further ones wait their turn."""


class _Connection(Channel):
    """One connection and what is asked on it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        super().__init__()
        self._reader = reader
        self._writer = writer
        self._turn = asyncio.Semaphore(MAX_OUTSTANDING)
        self._reading = asyncio.create_task(self._read(), name="dns upstream connection")
        self._idle = self._loop.call_later(IDLE_S, self._close_if_idle)

    async def ask(self, message: bytes, question: bytes) -> bytes:
        def send(number: int) -> None:
            octets = number.to_bytes(2, "big") + message[2:]
            self._writer.write(len(octets).to_bytes(2, "big") + octets)

        async with self._turn:
            return await self.exchange(question, send)

    async def _read(self) -> None:
        try:
            while True:
                length = int.from_bytes(await self._reader.readexactly(2), "big")
                self.received(await self._reader.readexactly(length))
        except (EOFError, OSError, ServerError):
            self.end(LostError("connection closed"))

    def _answers(self, message: bytes, question: bytes) -> bool:
        """An error may come without the question where nobody else can have sent it."""
        return wire.answers(message, question, exact=False) or wire.is_bare_error(message)

    def _mismatched(self) -> None:
        """Nothing to do: whoever writes into a TCP connection need not guess."""

    def _close(self) -> None:
        self._idle.cancel()
        self._reading.cancel()
        self._writer.transport.abort()

    def _close_if_idle(self) -> None:
        left = self._used + IDLE_S - self._loop.time()
        if self._waiting or left > 0:
            self._idle = self._loop.call_later(max(left, 1.0), self._close_if_idle)
        else:
            self.end(LostError("idle"))


class StreamTransport:
    """One upstream by TCP."""

    def __init__(self, tunnel: Tunnel, remote: Endpoint) -> None:
        self._tunnel = tunnel
        self._remote = remote
        self._connection: _Connection | None = None
        self._connecting: asyncio.Task[_Connection] | None = None
        self._closed = False
        self._earlier_mismatches = 0

    @property
    def mismatches(self) -> int:
        """Messages that answered nothing we asked."""
        return self._earlier_mismatches + (self._connection.mismatches if self._connection else 0)

    async def ask(self, message: bytes, question: bytes) -> bytes:
        """The response to `message`, which asks `question`; raises ServerError, LostError.

        When the connection is lost it is asked again once, on a new one (RFC 7766 §6.2.4).
        """
        try:
            return await (await self._current()).ask(message, question)
        except LostError:
            return await (await self._current()).ask(message, question)

    async def close(self) -> None:
        """End the connection, or the attempt to make one, and make no other."""
        self._closed = True
        if self._connection is not None:
            self._connection.end(LostError("closed"))
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.wait({self._connecting})

    async def _current(self) -> _Connection:
        if self._closed:
            raise LostError("closed")
        if self._connection is not None and self._connection.ended is None:
            return self._connection
        if self._connecting is None:
            self._connecting = asyncio.create_task(self._connect(), name="dns upstream connect")
            self._connecting.add_done_callback(self._connected)
        return await joined(self._connecting)

    async def _connect(self) -> _Connection:
        for seconds in CONNECT_S:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    return _Connection(*await self._tunnel.open_stream(self._remote))
        raise TimeoutError

    def _connected(self, task: asyncio.Task[_Connection]) -> None:
        self._connecting = None
        if not task.cancelled() and task.exception() is None:
            self._earlier_mismatches = self.mismatches
            self._connection = task.result()
            if self._closed:
                self._connection.end(LostError("closed"))
