"""A connection through a server as asyncio's streams, for who reads and writes messages."""

import asyncio
import socket
from collections.abc import Callable

from sockslocal.errors import ServerError
from sockslocal.net.dialer import Dial
from sockslocal.net.keepalive import REMOTE_IDLE_S, keep_alive
from sockslocal.net.poller import Poller
from sockslocal.net.relay import Relay
from sockslocal.problems import problem

STREAM_LIMIT = 1 << 17
"""Octets that a stream buffers before it stops reading: a DNS message over TCP has 65,537 at most."""


async def open_streams(dial: Dial) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Hand the connection of a finished `dial` over to asyncio. Raises ServerError."""
    if dial.way.tls is not None:
        sock, relay = _bridge(dial)
        return await _streams(sock, b"", relay.abort)
    sock = dial.release()
    keep_alive(sock, REMOTE_IDLE_S)
    return await _streams(sock, dial.leftover)


def _bridge(dial: Dial) -> tuple[socket.socket, Relay]:
    """A socket for asyncio, which speaks no TLS of ours, and what joins it with the connection."""
    engine = dial.engine
    try:
        ours, theirs = _pair(engine.poller)
    except OSError:
        dial.close()
        raise ServerError(problem("descriptors-exhausted", limit=engine.budget.limit)) from None
    relay = Relay(engine, ours, dial.sock, lambda _: None)
    relay.start(leftover=dial.leftover, remote_edges=dial.edges)
    return theirs, relay


def _pair(poller: Poller) -> tuple[socket.socket, socket.socket]:
    """Two sockets that are connected, of which `poller` watches the first. Raises OSError."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    try:
        poller.register(ours, lambda _: None)
    except OSError:
        theirs.close()
        raise
    return ours, theirs


async def _streams(
    sock: socket.socket, leftover: bytes, when_lost: Callable[[], None] = lambda: None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """The streams of `sock`; `when_lost` is called once they are closed."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(STREAM_LIMIT)
    reader.feed_data(leftover)
    protocol = _Protocol(reader, when_lost)
    transport, _ = await loop.create_connection(lambda: protocol, sock=sock)
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


class _Protocol(asyncio.StreamReaderProtocol):
    def __init__(self, reader: asyncio.StreamReader, when_lost: Callable[[], None]) -> None:
        super().__init__(reader)
        self._when_lost = when_lost

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._when_lost()
