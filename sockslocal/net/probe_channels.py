"""The two ways in which single datagrams go to a server and come back while it is examined."""

import asyncio
import socket
from collections import deque
from typing import NamedTuple, Protocol

from sockslocal.address import Endpoint
from sockslocal.net.binding import DATAGRAM_BUFFER
from sockslocal.net.datagrams import MAX_DATAGRAM
from sockslocal.net.probing import ProbeConnection
from sockslocal.socks5.datagram import encode_header, parse_header
from sockslocal.socks5.errors import DatagramError
from sockslocal.socks5.udp_over_tcp import Framing


class Answer(NamedTuple):
    """A datagram from the server: where it came from, whom its header names, and what is behind that.

    A header that cannot be read names nobody, and has nothing behind it.
    """

    source: Endpoint | None
    remote: Endpoint | None
    payload: bytes


class Channel(Protocol):
    """Both methods raise OSError, `receive` RemoteError too; they wait for as long as they are let."""

    relay: Endpoint | None
    """Where answers should come from, if that can differ."""

    async def send(self, remote: Endpoint, payload: bytes) -> None:
        """Send a datagram to `remote`."""

    async def receive(self) -> Answer:
        """What comes next, from whomever."""


class RelayChannel:
    """A UDP socket to the relay of an association; it hears others too: some servers answer from there."""

    def __init__(self, sock: socket.socket, relay: Endpoint) -> None:
        self._sock = sock
        self._loop = asyncio.get_running_loop()
        self.relay: Endpoint | None = relay
        self._to = tuple(relay)

    async def send(self, remote: Endpoint, payload: bytes) -> None:
        await self._loop.sock_sendto(self._sock, encode_header(remote) + payload, self._to)

    async def receive(self) -> Answer:
        datagram, source = await self._loop.sock_recvfrom(self._sock, MAX_DATAGRAM)
        return _answer(datagram, Endpoint(*source[:2]))


class StreamChannel:
    """UDP over TCP on a connection that was granted for it."""

    def __init__(self, connection: ProbeConnection, framing: Framing, leftover: bytes) -> None:
        self.relay: Endpoint | None = None
        self._connection = connection
        self._framing = framing
        self._opening = framing.opening
        self._decoder = framing.decoder()
        self._waiting = deque(self._decoder.feed(leftover))

    async def send(self, remote: Endpoint, payload: bytes) -> None:
        frame = self._framing.encode(encode_header(remote), payload)
        if frame is not None:
            opening, self._opening = self._opening, b""
            await self._connection.send(opening + frame)

    async def receive(self) -> Answer:
        while not self._waiting:
            data = await self._connection.receive()
            if not data:
                raise ConnectionResetError
            self._waiting.extend(self._decoder.feed(data))
        return _answer(self._waiting.popleft(), None)


def probe_socket(family: int, here: str) -> socket.socket:
    """A non-blocking UDP socket that is not connected to anybody, at `here` or, if that is empty, anywhere.

    Raises OSError.
    """
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, DATAGRAM_BUFFER)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, DATAGRAM_BUFFER)
        sock.bind((here, 0))
    except OSError:
        sock.close()
        raise
    return sock


def _answer(datagram: bytes, source: Endpoint | None) -> Answer:
    try:
        remote, start = parse_header(datagram)
    except DatagramError:
        return Answer(source, None, b"")
    return Answer(source, remote, datagram[start:])
