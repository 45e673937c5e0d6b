"""The TCP listener: pipelined queries, answers as they come, bounds on all a client may hold (RFC 7766)."""

import asyncio
import socket
from functools import partial
from typing import cast

from sockslocal.net.engine import Engine
from sockslocal.net.listener import Listener
from sockslocal.net.sockets import Socket, for_asyncio
from sockslocal.resolver.incoming import Incoming, NotDnsError
from sockslocal.resolver.pipeline import Backend

MAX_CONNECTIONS = 256
IDLE_S = 10.0
BUSY_IDLE_S = 2.0
"""Seconds without a whole query that end a connection; the second when half of the connections are taken."""

MAX_OUTSTANDING = 128
"""Queries of one connection that wait for answers before no more are read from it."""

AT_ONCE = 32
"""Queries of one connection that are taken in one iteration of the loop."""

ENOUGH_UNSENT = 64 << 10
"""Octets of answers that a client leaves unread before no more queries are taken from it."""

MAX_UNSENT = 256 << 10
"""Octets of answers to queries taken before: with more unread than this its connection is aborted."""


class StreamServer:
    """Serves one listening TCP socket."""

    def __init__(self, engine: Engine, sock: socket.socket, backend: Backend) -> None:
        self.backend = backend
        self.connections: set[StreamConnection] = set()
        self._adopting: set[asyncio.Task[None]] = set()
        self._listener = Listener(engine.poller, sock, self._accepted, engine.budget)

    @property
    def idle_s(self) -> float:
        return IDLE_S if len(self.connections) <= MAX_CONNECTIONS // 2 else BUSY_IDLE_S

    def stop(self) -> None:
        """Accept no more; connections live on, for what they wait for."""
        self._listener.close()

    def close(self) -> None:
        """Close the listener and its connections."""
        self._listener.close()
        for task in self._adopting:
            task.cancel()
        for connection in tuple(self.connections):
            connection.abort()

    def _accepted(self, accepted: Socket) -> None:
        if len(self.connections) + len(self._adopting) >= MAX_CONNECTIONS and not self._close_most_idle():
            accepted.close()
            return
        sock = for_asyncio(accepted)
        task = asyncio.create_task(self._adopt(sock))
        self._adopting.add(task)
        task.add_done_callback(partial(self._adopted, sock))

    async def _adopt(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        await loop.connect_accepted_socket(partial(StreamConnection, self), sock)

    def _adopted(self, sock: socket.socket, task: asyncio.Task[None]) -> None:
        self._adopting.discard(task)
        if task.cancelled() or task.exception() is not None:
            sock.close()

    def _close_most_idle(self) -> bool:
        """Make room; False where every connection waits for an answer."""
        idle = [connection for connection in self.connections if not connection.outstanding]
        if not idle:
            return False
        min(idle, key=lambda connection: connection.used).abort()
        return True


class StreamConnection(asyncio.Protocol):
    """One client."""

    def __init__(self, server: StreamServer) -> None:
        self.outstanding = 0
        self._server = server
        self._loop = asyncio.get_running_loop()
        self.used = self._loop.time()
        self._incoming = Incoming()
        self._turn: asyncio.Handle | None = None
        self._unread = False
        """Whether the client has to read before more queries are taken."""
        self._ended = False
        """Whether no more queries come."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(ENOUGH_UNSENT)
        self._idle = self._loop.call_later(self._server.idle_s, self._close_if_idle)
        self._server.connections.add(self)

    def connection_lost(self, _error: Exception | None) -> None:
        self._idle.cancel()
        if self._turn is not None:
            self._turn.cancel()
        self._server.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        if not self._ended:
            self._incoming.add(data)
            self._take()

    def eof_received(self) -> bool:
        """A client that has asked all it wants still gets its answers (RFC 7766 §6.2.3)."""
        self._ended = True
        self._close_if_done()
        return True

    def pause_writing(self) -> None:
        self._unread = True

    def resume_writing(self) -> None:
        self._unread = False
        self.used = self._loop.time()
        self._go_on()

    def abort(self) -> None:
        """Close at once, and count no more: others may be accepted before `connection_lost` is called."""
        self._server.connections.discard(self)
        self._transport.abort()

    def _take(self) -> None:
        """Take some queries; those answered at once share one write. Further ones have another turn."""
        self._turn = None
        replies = bytearray()
        left = AT_ONCE
        try:
            while left and len(replies) < ENOUGH_UNSENT and self._may_take:
                replies += self._serve(self._incoming.take())
                left -= 1
        except NotDnsError:
            self._incoming.clear()
            self._ended = True
        self._write(replies)
        if self._incoming.ready:
            self._transport.pause_reading()
            self._go_on()
        else:
            self._transport.resume_reading()
            self._close_if_done()

    @property
    def _may_take(self) -> bool:
        """Whether there is a query, and room for what comes of it."""
        if self._unread or self.outstanding >= MAX_OUTSTANDING or self._transport.is_closing():
            return False
        return self._incoming.ready

    def _go_on(self) -> None:
        """Take what waits when others had their turn."""
        if self._turn is None and self._may_take:
            self._turn = self._loop.call_soon(self._take)

    def _serve(self, message: bytes) -> bytes:
        """What is to be sent at once."""
        backend = self._server.backend
        self.used = self._loop.time()
        backend.statistics.queries += 1
        reply = backend.cache.hit(message, backend.now(), stream=True)
        if reply is not None:
            backend.statistics.hits += 1
            return _framed(reply)
        reply = backend.pipeline.submit(message, self._respond, stream=True)
        if reply is None:
            self.outstanding += 1
        return _framed(reply or b"")

    def _respond(self, reply: bytes) -> None:
        self.outstanding -= 1
        if not self._transport.is_closing():
            self._write(_framed(reply))
            self._go_on()
            self._close_if_done()

    def _write(self, octets: bytes | bytearray) -> None:
        if octets:
            self._transport.write(octets)
        if self._transport.get_write_buffer_size() > MAX_UNSENT:
            self.abort()

    def _close_if_done(self) -> None:
        if self._ended and not self.outstanding:
            self._transport.close()

    def _close_if_idle(self) -> None:
        """Nor does it wait for a client that does not read."""
        left = self.used + self._server.idle_s - self._loop.time()
        if left > 0 or self.outstanding:
            self._idle = self._loop.call_later(max(left, 1.0), self._close_if_idle)
        else:
            self.abort()


def _framed(reply: bytes) -> bytes:
    """With its length before it, in the same write (RFC 7766 §8); nothing where there is none."""
    return len(reply).to_bytes(2, "big") + reply if reply else b""
