"""Asking an upstream by TCP: one connection for all queries, answers in any order (RFC 7766 §6.2)."""

import asyncio
import secrets
from contextlib import suppress

from sockslocal.address import Endpoint
from sockslocal.errors import ServerError
from sockslocal.resolver import wire
from sockslocal.resolver.errors import LostError
from sockslocal.resolver.tunnel import Tunnel

CONNECT_S = 10.0
IDLE_S = 10.0
"""Seconds without a query after which we close; servers do so after about as many (RFC 7766 §6.2.3)."""

FAIR_S = 2.0
"""Seconds a silent connection is given before a query that waits in vain has it replaced."""

MAX_OUTSTANDING = 256
"""Queries sent and not answered on one connection; further ones wait their turn."""


class _Exchange:
    """A query that waits for its answer."""

    __slots__ = ("answered", "question")

    def __init__(self, question: bytes, answered: asyncio.Future[bytes]) -> None:
        self.question = question
        self.answered = answered


class _Connection:
    """One connection and what is asked on it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.mismatches = 0
        self.ended = False
        self._reader = reader
        self._writer = writer
        self._loop = asyncio.get_running_loop()
        self._opened = self._heard = self._used = self._loop.time()
        self._pending: dict[int, _Exchange] = {}
        self._turn = asyncio.Semaphore(MAX_OUTSTANDING)
        self._reading = asyncio.create_task(self._read(), name="dns upstream connection")
        self._idle = self._loop.call_later(IDLE_S, self._close_if_idle)

    async def ask(self, message: bytes, question: bytes) -> bytes:
        """The response to `message`; raises LostError. Cancelled by whoever waits long enough."""
        async with self._turn:
            if self.ended:
                raise LostError("connection closed")
            number = self._unused_id()
            exchange = self._pending[number] = _Exchange(question, self._loop.create_future())
            sent = self._used = self._loop.time()
            try:
                octets = number.to_bytes(2, "big") + message[2:]
                self._writer.write(len(octets).to_bytes(2, "big") + octets)
                return await exchange.answered
            except asyncio.CancelledError:
                self._give_up(sent)
                raise
            finally:
                self._pending.pop(number, None)

    def end(self, reason: str) -> None:
        """Close; what waits gets a LostError."""
        if self.ended:
            return
        self.ended = True
        self._idle.cancel()
        self._reading.cancel()
        self._writer.transport.abort()
        for exchange in self._pending.values():
            if not exchange.answered.done():
                exchange.answered.set_exception(LostError(reason))

    async def _read(self) -> None:
        try:
            while True:
                length = int.from_bytes(await self._reader.readexactly(2), "big")
                if length < wire.HEADER:
                    self.end("sent a message shorter than a header")
                    return
                self._received(await self._reader.readexactly(length))
        except (EOFError, OSError, ServerError) as error:
            self.end(f"connection closed ({type(error).__name__})")

    def _received(self, message: bytes) -> None:
        self._heard = self._loop.time()
        exchange = self._pending.get(int.from_bytes(message[:2], "big"))
        if exchange is None or not (
            wire.answers(message, exchange.question, exact=False) or wire.is_bare_error(message)
        ):
            self.mismatches += 1
        elif not exchange.answered.done():
            exchange.answered.set_result(message)

    def _give_up(self, sent: float) -> None:
        """A query got no answer: where nothing else came either, the connection is to blame."""
        if self._heard <= sent and self._loop.time() - self._opened >= FAIR_S:
            self.end("nothing comes back")

    def _close_if_idle(self) -> None:
        left = self._used + IDLE_S - self._loop.time()
        if self._pending or left > 0:
            self._idle = self._loop.call_later(max(left, 1.0), self._close_if_idle)
        else:
            self.end("idle")

    def _unused_id(self) -> int:
        while (number := secrets.randbits(16)) in self._pending:
            pass
        return number


class StreamTransport:
    """One upstream by TCP."""

    def __init__(self, tunnel: Tunnel, remote: Endpoint) -> None:
        self._tunnel = tunnel
        self._remote = remote
        self._connection: _Connection | None = None
        self._connecting: asyncio.Task[_Connection] | None = None
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
        """End the connection, or the attempt to make one."""
        if self._connecting is not None:
            self._connecting.cancel()
            with suppress(asyncio.CancelledError, ServerError, OSError, TimeoutError):
                await self._connecting
        if self._connection is not None:
            self._connection.end("closed")

    async def _current(self) -> _Connection:
        if self._connection is not None and not self._connection.ended:
            return self._connection
        if self._connecting is None:
            self._connecting = asyncio.create_task(self._connect(), name="dns upstream connect")
            self._connecting.add_done_callback(self._connected)
        return await asyncio.shield(self._connecting)

    async def _connect(self) -> _Connection:
        async with asyncio.timeout(CONNECT_S):
            return _Connection(*await self._tunnel.open_stream(self._remote))

    def _connected(self, task: asyncio.Task[_Connection]) -> None:
        self._connecting = None
        if not task.cancelled() and task.exception() is None:
            self._earlier_mismatches = self.mismatches
            self._connection = task.result()
