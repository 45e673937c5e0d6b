"""Connections for single tests of what a server does, apart from those that carry traffic."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

from sockslocal.address import Endpoint
from sockslocal.net.connecting import SocketAddress
from sockslocal.net.tls import Tls
from sockslocal.socks5.client import ClientHandshake, Credentials, encode_request
from sockslocal.socks5.errors import RemoteError, RequestRefused
from sockslocal.socks5.messages import Request, Stage

CONNECTIONS = 4
"""At a time: some servers allow their users few."""

PIECES_S = 0.05
"""Between two pieces of a message, so that they leave, and arrive, on their own."""

_READ = 4096


class Reply(NamedTuple):
    """What the server answered to a request: its code, 0 where it granted it, in words, and what it named."""

    code: int
    phrase: str = ""
    bound: Endpoint | None = None
    trailing: bytes = b""


def phrase_of(error: RemoteError | OSError) -> str:
    """What went wrong, as RemoteError.phrase has it."""
    if isinstance(error, RemoteError):
        return error.phrase
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return os.strerror(error.errno).lower() if error.errno else "the connection broke"


class ProbeConnection:
    """A connection for one test; all its methods raise OSError."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @property
    def here(self) -> str:
        """The address that the server knows us by."""
        host: str = self._writer.get_extra_info("sockname")[0]
        return host

    async def send(self, message: bytes, *, in_pieces: bool = False) -> None:
        """Send a message in one segment, or in two."""
        half = len(message) // 2 if in_pieces else 0
        if half:
            self._writer.write(message[:half])
            await asyncio.sleep(PIECES_S)
        self._writer.write(message[half:])
        await self._writer.drain()

    async def receive(self) -> bytes:
        """What comes next; nothing at the end."""
        return await self._reader.read(_READ)

    async def close(self) -> None:
        self._writer.transport.abort()
        with suppress(OSError):
            await self._writer.wait_closed()


class Access:
    """The way to a server and in, which has proved to be right.

    A connection lasts `patience_s` seconds at most, unless it is opened for another time.
    """

    def __init__(
        self,
        address: SocketAddress,
        credentials: Credentials | None,
        patience_s: float,
        tls: Tls | None = None,
    ) -> None:
        self.address = address
        self.credentials = credentials
        self.patience_s = patience_s
        self.round_trip_s: float | None = None
        """The quickest connect."""
        self._tls = tls
        self._places = asyncio.Semaphore(CONNECTIONS)

    @asynccontextmanager
    async def connection(self, seconds: float | None = None) -> AsyncIterator[ProbeConnection]:
        """A new connection, once there is a place for it. Raises OSError, also when its time is over."""
        async with self._places, asyncio.timeout(self.patience_s if seconds is None else seconds):
            connection = ProbeConnection(*await self._open())
            try:
                yield connection
            finally:
                await connection.close()

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        loop = asyncio.get_running_loop()
        sock = socket.socket(self.address[0], socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            began = loop.time()
            await loop.sock_connect(sock, self.address[1])
            took = loop.time() - began
            streams = await self._streams(sock)
        except BaseException:
            sock.close()
            raise
        self.round_trip_s = took if self.round_trip_s is None else min(took, self.round_trip_s)
        return streams

    async def _streams(self, sock: socket.socket) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._tls is None:
            return await asyncio.open_connection(sock=sock)
        tls, name = self._tls.context, self._tls.config.name
        return await asyncio.open_connection(sock=sock, ssl=tls, server_hostname=name)

    def messages(self, request: Request) -> list[bytes]:
        """What is to be said in turn: greeting, login where there is one, request."""
        greeting = ClientHandshake(self.credentials, request).start()
        login = [self.credentials.message] if self.credentials else []
        return [greeting, *login, encode_request(request)]

    async def ask(
        self,
        connection: ProbeConnection,
        request: Request,
        messages: Sequence[bytes] = (),
        *,
        in_pieces: bool = False,
    ) -> Reply:
        """Go through the handshake to the reply, with `messages` as they are to be sent, one an answer.

        What is not to be waited for stands in one message with what comes before it. Raises RemoteError
        where there is no reply, OSError.
        """
        handshake = ClientHandshake(self.credentials, request)
        waiting = list(messages or self.messages(request))
        await connection.send(waiting.pop(0), in_pieces=in_pieces)
        try:
            while handshake.stage is not Stage.DONE:
                data = await connection.receive()
                if not data:
                    raise handshake.eof()
                if handshake.receive(data) and waiting:
                    await connection.send(waiting.pop(0), in_pieces=in_pieces)
        except RequestRefused as error:
            return Reply(error.reply, error.phrase)
        return Reply(0, bound=handshake.bound, trailing=handshake.trailing)
