"""What `udp_probe` names: something that answers by TCP and by UDP on one port."""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from typing import Any

from fakes.accepting import stop_accepting
from fakes.loop_thread import LoopThread
from sockslocal.address import Endpoint


def echo(asked: bytes) -> bytes:
    """All of it, as it came."""
    return asked


def dns(asked: bytes) -> bytes:
    """A refusal, which every DNS server has for every question."""
    return asked[:2] + b"\x81\x05" + asked[4:12]


@contextlib.contextmanager
def probe_target(answer: Callable[[bytes], bytes] = echo, *, ipv6: bool = True) -> Iterator[Endpoint]:
    """On 127.0.0.1, and on the same port of ::1 if there is one.

    TCP is echoed, datagrams are answered as `answer` has it.
    """
    with LoopThread() as thread:
        target = _Target(answer)
        endpoint = thread.call(target.open(["127.0.0.1", *(["::1"] if ipv6 and has_ipv6() else [])]))
        try:
            yield endpoint
        finally:
            thread.call(target.close())


def has_ipv6() -> bool:
    """Whether this machine has ::1."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


class _Target:
    def __init__(self, answer: Callable[[bytes], bytes]) -> None:
        self._answer = answer
        self._servers: list[asyncio.Server] = []
        self._datagrams: list[asyncio.DatagramTransport] = []
        self._streams: set[asyncio.Transport] = set()

    async def open(self, hosts: list[str]) -> Endpoint:
        """Listen on one port that is free on all `hosts`, by TCP and by UDP."""
        while True:
            try:
                return await self._try_port(hosts)
            except OSError:
                await self.close()

    async def close(self) -> None:
        for server in self._servers:
            await stop_accepting(server)
            server.close()
        for transport in self._datagrams:
            transport.abort()
        for stream in self._streams:
            stream.abort()
        self._servers.clear()
        self._datagrams.clear()
        await asyncio.sleep(0)  # in which the transports are closed

    async def _try_port(self, hosts: list[str]) -> Endpoint:
        loop = asyncio.get_running_loop()
        port = 0
        for host in hosts:
            server = await loop.create_server(lambda: _Stream(self._streams), host, port)
            self._servers.append(server)
            port = server.sockets[0].getsockname()[1]
            transport, _ = await loop.create_datagram_endpoint(
                lambda: _Datagrams(self._answer), local_addr=(host, port)
            )
            self._datagrams.append(transport)
            buffer: socket.socket = transport.get_extra_info("socket")
            buffer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        return Endpoint(hosts[0], port)


class _Stream(asyncio.Protocol):
    def __init__(self, streams: set[asyncio.Transport]) -> None:
        self._streams = streams

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._streams.add(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._streams.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        self._transport.write(data)


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, answer: Callable[[bytes], bytes]) -> None:
        self._answer = answer

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._transport.sendto(self._answer(data), addr)
