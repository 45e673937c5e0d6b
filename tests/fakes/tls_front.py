"""TLS in front of a server: what comes inside it goes on in the clear, each direction ended on its own.

    with FakeServer() as server, TlsFront(server.address, authority.issue()) as front:
        front.address                        # speaks TLS
        front.context.maximum_version = …    # as a server does, for the connections to come

It runs in a thread of its own.
"""

import asyncio
import contextlib
import socket
import ssl
from collections import deque
from types import TracebackType
from typing import NamedTuple, Self

from fakes.certificates import Certificate
from fakes.loop_thread import LoopThread
from fakes.socks5_link import CHUNK, abort
from fakes.socks5_wire import Address


class Handshake(NamedTuple):
    """How it ended."""

    version: str | None
    resumed: bool


class TlsFront:
    """Listens from entry to exit. `sends_end` is whether it ends a direction inside TLS before the FIN."""

    def __init__(self, behind: Address, certificate: Certificate) -> None:
        self.behind = behind
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate.chain, certificate.key)
        self.context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF  # as Pythons from 3.11.4 have it
        self.sends_end = True
        self.piece = CHUNK
        """Octets that it sends at once, of what is encrypted."""
        self.handshakes: list[Handshake] = []
        """Every one that came to its end, oldest first."""
        self.ends = 0
        """Directions that clients have ended inside TLS."""
        self.errors: list[OSError] = []
        self._thread = LoopThread()
        self._tasks: set[asyncio.Task[None]] = set()

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self._listener.setblocking(False)
        self.address: Address = self._listener.getsockname()
        self._thread.__enter__()
        self._thread.call(self._start())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.call(self._stop())
        self._thread.__exit__(kind, error, trace)
        self._listener.close()

    def kill(self) -> None:
        """Reset all connections; those that come later are served."""
        self._thread.call(self._reset())

    async def _start(self) -> None:
        self._accepting = asyncio.get_running_loop().create_task(self._accept())

    async def _stop(self) -> None:
        self._accepting.cancel()
        await self._reset()

    async def _reset(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            client, _ = await loop.sock_accept(self._listener)
            task = loop.create_task(_Connection(self, client).run())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)


class _Connection:
    def __init__(self, front: TlsFront, client: socket.socket) -> None:
        self._front = front
        self._client = client
        self._loop = asyncio.get_running_loop()
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = front.context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._ahead: deque[bytes] = deque()
        self._sending = asyncio.Lock()
        client.setblocking(False)

    async def run(self) -> None:
        with self._client, socket.socket() as server:
            server.setblocking(False)
            try:
                await self._handshake()
                self._front.handshakes.append(Handshake(self._tls.version(), bool(self._tls.session_reused)))
                await self._loop.sock_connect(server, self._front.behind)
                async with asyncio.TaskGroup() as tasks:
                    watch = tasks.create_task(_until_reset(server))
                    up, down = tasks.create_task(self._up(server)), tasks.create_task(self._down(server))
                    await asyncio.gather(up, down)
                    watch.cancel()
            except* (OSError, asyncio.CancelledError) as group:
                self._front.errors += [error for error in group.exceptions if isinstance(error, OSError)]
                abort(server)
                abort(self._client)

    async def _handshake(self) -> None:
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
                await self._receive()
            except ssl.SSLError:
                with contextlib.suppress(OSError):
                    await self._flush()
                    self._client.shutdown(socket.SHUT_WR)
                    while await self._loop.sock_recv(self._client, CHUNK):
                        pass  # what is not read would reset the alert away
                raise
            else:
                break
        await self._flush()

    async def _up(self, server: socket.socket) -> None:
        while data := await self._read():
            await self._loop.sock_sendall(server, data)
        self._front.ends += 1
        server.shutdown(socket.SHUT_WR)

    async def _down(self, server: socket.socket) -> None:
        while data := await self._loop.sock_recv(server, CHUNK):
            self._tls.write(data)
            await self._flush()
        if self._front.sends_end:
            with contextlib.suppress(ssl.SSLError):
                while more := self._tls.read(CHUNK):  # what is there has to be out of the way
                    self._ahead.append(more)
            with contextlib.suppress(ssl.SSLWantReadError):
                self._tls.unwrap()
            await self._flush()
        with contextlib.suppress(OSError):  # it may have closed, and has said before that nothing is missing
            self._client.shutdown(socket.SHUT_WR)

    async def _read(self) -> bytes:
        while not self._ahead:
            try:
                return self._tls.read(CHUNK)
            except ssl.SSLWantReadError:
                await self._receive()
            except ssl.SSLZeroReturnError:
                return b""
        return self._ahead.popleft()

    async def _receive(self) -> None:
        data = await self._loop.sock_recv(self._client, CHUNK)
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    async def _flush(self) -> None:
        async with self._sending:
            data = self._outgoing.read()
            while data:
                await self._loop.sock_sendall(self._client, data[: self._front.piece])
                data = data[self._front.piece :]


async def _until_reset(sock: socket.socket) -> None:
    """Raise ConnectionResetError once `sock` is reset, also while nobody reads or writes there."""
    while not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):  # noqa: ASYNC110  it has no event
        await asyncio.sleep(0.002)
    raise ConnectionResetError
