"""A SOCKS5 server that takes what one read brings for one message, as microsocks does.

Whatever is cut or joined it does not understand, and what comes along with a request is lost.
"""

import asyncio
import contextlib
from collections.abc import Iterator

from fakes.accepting import stop_accepting
from fakes.loop_thread import LoopThread
from fakes.socks5_wire import Address, parse_address

READ = 4096


@contextlib.contextmanager
def picky_server(user: bytes = b"ana", password: bytes = b"hunter2") -> Iterator[Address]:
    """Runs from entry to exit, and lets one user in."""
    login = b"\1" + bytes([len(user)]) + user + bytes([len(password)]) + password
    with LoopThread() as thread:
        server = _Server(login)
        address = thread.call(server.open())
        try:
            yield address
        finally:
            thread.call(server.close())


class _Server:
    def __init__(self, login: bytes) -> None:
        self._login = login
        self._connections: set[asyncio.StreamWriter] = set()

    async def open(self) -> Address:
        self._server = await asyncio.start_server(self._accepted, "127.0.0.1", 0)
        host, port = self._server.sockets[0].getsockname()
        return host, port

    async def close(self) -> None:
        await stop_accepting(self._server)
        self._server.close()
        for connection in self._connections:
            connection.transport.abort()
        await asyncio.sleep(0)  # in which they are closed

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, ValueError, KeyError), self._kept(writer):
            await self._serve(reader, writer)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.read(READ) != b"\5\1\2":
            writer.write(b"\5\xff")
            return
        writer.write(b"\5\2")
        if await reader.read(READ) != self._login:
            writer.write(b"\1\1")
            return
        writer.write(b"\1\0")
        request = await reader.read(READ)
        if len(request) < 7:
            writer.write(b"\5\1\0\1" + bytes(6))
            return
        target_reader, target_writer = await asyncio.open_connection(*parse_address(request[3:])[0])
        with self._kept(target_writer):
            writer.write(b"\5\0\0\1" + bytes(6))
            while data := await reader.read(READ):
                target_writer.write(data)
                writer.write(await target_reader.read(READ))

    @contextlib.contextmanager
    def _kept(self, writer: asyncio.StreamWriter) -> Iterator[None]:
        """Closed at the end, by itself or with the server."""
        self._connections.add(writer)
        try:
            yield
        finally:
            self._connections.discard(writer)
            writer.close()
