"""Connections to one upstream: one at a time for all queries, made when the first is asked."""

import asyncio
import logging
from abc import abstractmethod
from collections.abc import Callable
from typing import Generic

from sockslocal.resolver.channel import Channel, Reply, Succession
from sockslocal.resolver.errors import LostError
from sockslocal.resolver.stream import Dial, Stream
from sockslocal.resolver.tasks import joined

_log = logging.getLogger(__name__)


class Connection(Channel[Reply]):
    """One connection, and what is asked on it; closed by us after `idle_s` seconds without a query."""

    def __init__(self, stream: Stream, idle_s: float) -> None:
        super().__init__()
        self._stream = stream
        self._idle_s = idle_s
        self._reading = asyncio.create_task(self._read(), name="dns upstream connection")
        self._idle = self._loop.call_later(idle_s, self._close_if_idle)

    @abstractmethod
    async def ask(self, message: bytes, question: bytes) -> Reply:
        """The response to `message`, which asks `question`; raises FAILURES."""

    @abstractmethod
    def _received(self, data: bytes) -> None:
        """Take what came. Raises OSError, LostError for what ends the connection."""

    async def _read(self) -> None:
        error: Exception = LostError("connection closed")
        try:
            while data := await self._stream.read():
                self._received(data)
                await asyncio.sleep(0)  # what has come already is read without: everybody else has a turn
        except (OSError, LostError) as found:
            error = LostError(str(found) or "connection closed")
        except Exception:  # noqa: BLE001 (a bug in reading one connection must not leave who waits waiting)
            _log.exception("! what an upstream sent could not be read")
            error = LostError("internal error")
        self.end(error)

    def _close(self) -> None:
        self._idle.cancel()
        self._reading.cancel()
        self._stream.close()

    def _close_if_idle(self) -> None:
        left = self._used + self._idle_s - self._loop.time()
        if self._waiting or left > 0:
            self._idle = self._loop.call_later(max(left, 1.0), self._close_if_idle)
        else:
            self.end(LostError("idle"))


class StreamTransport(Generic[Reply]):
    """One upstream by connections that `dial` makes, and on which `make` has queries asked."""

    def __init__(self, dial: Dial, make: Callable[[Stream], Connection[Reply]]) -> None:
        self._dial = dial
        self._make = make
        self._connections: Succession[Connection[Reply]] = Succession()
        self._connecting: asyncio.Task[Connection[Reply]] | None = None
        self._closed = False

    @property
    def mismatches(self) -> int:
        """Messages that answered nothing we asked."""
        return self._connections.mismatches

    async def ask(self, message: bytes, question: bytes) -> Reply:
        """The response to `message`, which asks `question`; raises FAILURES.

        When the connection is lost it is asked again once, on a new one (RFC 7766 §6.2.4, RFC 9113 §8.7).
        """
        try:
            return await (await self._current()).ask(message, question)
        except LostError:
            return await (await self._current()).ask(message, question)

    def renew(self) -> None:
        """Have another connection carry what is asked, and what waits on this one."""
        self._connections.end(LostError("the network may be another one"))

    async def close(self) -> None:
        """End the connection, or the attempt to make one, and make no other."""
        self._closed = True
        self._connections.end(LostError("closed"))
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.wait({self._connecting})

    async def _current(self) -> Connection[Reply]:
        if self._closed:
            raise LostError("closed")
        current = self._connections.current
        if current is not None and current.usable:
            return current
        if self._connecting is None:
            self._connecting = asyncio.create_task(self._connect(), name="dns upstream connect")
            self._connecting.add_done_callback(self._connected)
        return await joined(self._connecting)

    async def _connect(self) -> Connection[Reply]:
        return self._make(await self._dial())

    def _connected(self, task: asyncio.Task[Connection[Reply]]) -> None:
        self._connecting = None
        if not task.cancelled() and task.exception() is None:
            self._connections.replace(task.result())
            if self._closed:
                self._connections.end(LostError("closed"))
