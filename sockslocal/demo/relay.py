"""Two TCP connections joined: bytes, half-close and abort are passed on, each way on its own."""

import asyncio
import socket
import struct
import sys
from collections.abc import Callable
from typing import cast


def abort(transport: asyncio.Transport) -> None:
    """Close with RST, so that the other end sees an abort and not an orderly end."""
    endpoint = transport.get_extra_info("socket")
    if endpoint is not None and endpoint.fileno() >= 0:
        linger = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
        endpoint.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    transport.abort()


class Paused(asyncio.Protocol):
    """A connection that is not read from until it is joined to another."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.Transport", transport).pause_reading()


class _Side(asyncio.Protocol):
    """One of the two connections; `other` is where its bytes go."""

    def __init__(
        self, own: asyncio.Transport, other: asyncio.Transport, finished: Callable[[], None]
    ) -> None:
        self._own = own
        self._other = other
        self._finished = finished
        self.ended = False

    def join(self, opposite: "_Side") -> None:
        self._opposite = opposite
        self._own.set_protocol(self)

    def data_received(self, data: bytes) -> None:
        self._other.write(data)

    def eof_received(self) -> bool:
        self.ended = True
        self._other.write_eof()
        if self._opposite.ended:
            self._own.close()
            self._other.close()
        return True  # the other direction goes on

    def pause_writing(self) -> None:
        self._other.pause_reading()

    def resume_writing(self) -> None:
        self._other.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self._finished()
        if exc is None:
            self._other.close()
        else:
            abort(self._other)


def join(first: asyncio.Transport, second: asyncio.Transport, *, finished: Callable[[], None]) -> None:
    """From now on the two talk to each other; both have paused reading. `finished` is called as each ends."""
    sides = _Side(first, second, finished), _Side(second, first, finished)
    sides[0].join(sides[1])
    sides[1].join(sides[0])
    first.resume_reading()
    second.resume_reading()
