"""What the tests reach for through the tunnel: echoes over TCP and UDP, and an answer that comes late."""

import asyncio
import contextlib
import socket
from collections.abc import Coroutine
from types import TracebackType
from typing import Self

from fakes.loop_thread import LoopThread
from integration.servers.process import LOOPBACK

CHUNK = 1 << 20


class Targets:
    """All of them on loopback, each on a port of its own, running from entry to exit."""

    def __enter__(self) -> Self:
        self._thread = LoopThread().__enter__()
        self._thread.call(self._open())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.call(self._close())
        self._thread.__exit__(kind, error, trace)

    async def _open(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._echo = socket.create_server((LOOPBACK, 0), backlog=4096)
        self._late = socket.create_server((LOOPBACK, 0), backlog=64)
        self._datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._datagrams.bind((LOOPBACK, 0))
        self._datagrams.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.echo_port: int = self._echo.getsockname()[1]
        """Sends back what it gets, each direction closed on its own."""
        self.late_port: int = self._late.getsockname()[1]
        """Answers only after the client has closed its direction."""
        self.udp_port: int = self._datagrams.getsockname()[1]
        """Sends each datagram back, empty ones too."""
        for sock in (self._echo, self._late, self._datagrams):
            sock.setblocking(False)
        self._loop.add_reader(self._datagrams, self._echo_datagram)
        self._start(self._accept(self._echo, late=False))
        self._start(self._accept(self._late, late=True))

    async def _close(self) -> None:
        self._loop.remove_reader(self._datagrams)
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for sock in (self._echo, self._late, self._datagrams):
            sock.close()

    def _start(self, work: Coroutine[object, object, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self, listener: socket.socket, *, late: bool) -> None:
        while True:
            connection, _ = await self._loop.sock_accept(listener)
            connection.setblocking(False)
            self._start(self._serve_late(connection) if late else self._serve_echo(connection))

    async def _serve_echo(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            while data := await self._loop.sock_recv(connection, CHUNK):
                await self._loop.sock_sendall(connection, data)

    async def _serve_late(self, connection: socket.socket) -> None:
        count = 0
        with connection, contextlib.suppress(OSError):
            while data := await self._loop.sock_recv(connection, CHUNK):
                count += len(data)
            await self._loop.sock_sendall(connection, late_answer(count))

    def _echo_datagram(self) -> None:
        data, source = self._datagrams.recvfrom(65_535)
        self._datagrams.sendto(data, source)


def late_answer(count: int) -> bytes:
    """What the late target answers to `count` octets: 10,000 octets, so that a cut shows."""
    return f"{count} octets came before the end\n".encode().ljust(10_000, b".")
