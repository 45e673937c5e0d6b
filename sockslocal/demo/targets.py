"""What answers behind the demo's server: a web page, echoes over TCP and UDP, a DNS server."""

import asyncio
import functools
from collections.abc import Callable
from typing import cast

from sockslocal.address import Endpoint
from sockslocal.demo.datagrams import DatagramSocket
from sockslocal.demo.network import Network
from sockslocal.demo.zone import Zone

WEB, ECHO, NAMES = "www.demo.test", "db.demo.test", "ns.demo.test"
HOSTS = {WEB: "192.0.2.80", ECHO: "192.0.2.7", NAMES: "192.0.2.53"}

WEB_PORT, ECHO_PORT, DNS_PORT = 80, 7, 53

PAGE = "You see www.demo.test, which exists only behind the demo's SOCKS5 server.\n"

MAX_REQUEST_OCTETS = 8192
"""Head of an HTTP request."""

IDLE_SECONDS = 30.0
"""For a whole request; only the echo waits for as long as its client likes."""


class _Connection(asyncio.Protocol):
    """A connection to a target, known to it until it is lost."""

    def __init__(self, targets: "Targets") -> None:
        self._targets = targets

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._targets.transports.add(self.transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  asyncio's signature
        self._targets.transports.discard(self.transport)


class _Echo(_Connection):
    """Sends everything back; closes after the last byte (RFC 862)."""

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)

    def pause_writing(self) -> None:
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        self.transport.resume_reading()


class _Request(_Connection):
    """A connection that asks within a deadline and is answered."""

    def __init__(self, targets: "Targets") -> None:
        super().__init__(targets)
        self.received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._deadline = asyncio.get_running_loop().call_later(IDLE_SECONDS, self.transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._deadline.cancel()


class _Web(_Request):
    """One page for `/`, HTTP/1.1 with one request a connection."""

    def data_received(self, data: bytes) -> None:
        self.received += data
        if b"\r\n\r\n" not in self.received:
            if len(self.received) > MAX_REQUEST_OCTETS:
                self.transport.abort()
            return
        method, _, rest = self.received.partition(b" ")
        found = rest.split(b" ", 1)[0] == b"/"
        status, body = ("200 OK", PAGE) if found else ("404 Not Found", "There is only / here.\n")
        head = f"HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n"
        answer = f"{head}Connection: close\r\n\r\n{'' if method == b'HEAD' else body}"
        self.transport.write(answer.encode())
        self.transport.close()


class _DnsOverTcp(_Request):
    """Messages with their length in front (RFC 1035 §4.2.2), answered in order."""

    def data_received(self, data: bytes) -> None:
        self.received += data
        while len(self.received) >= 2:
            end = 2 + int.from_bytes(self.received[:2])
            if len(self.received) < end:
                return
            answer = self._targets.zone.answer(self.received[2:end], over_udp=False)
            if answer is None:
                self.transport.abort()
                return
            self.received = self.received[end:]
            self.transport.write(len(answer).to_bytes(2) + answer)


class Targets:
    """All of them, from `open` to `close`."""

    def __init__(self) -> None:
        self.zone = Zone(HOSTS)
        self.transports: set[asyncio.Transport] = set()
        self._servers: list[asyncio.Server] = []
        self._sockets: list[DatagramSocket] = []

    async def open(self) -> Network:
        """Start each on loopback; the network that leads to them."""
        network = Network(HOSTS)
        for name, port, protocol in (
            (WEB, WEB_PORT, _Web),
            (ECHO, ECHO_PORT, _Echo),
            (NAMES, DNS_PORT, _DnsOverTcp),
        ):
            network.add("tcp", name, port, await self._listen(protocol))
        network.add("udp", ECHO, ECHO_PORT, self._answer(lambda datagram: datagram))
        over_udp = functools.partial(self.zone.answer, over_udp=True)
        network.add("udp", NAMES, DNS_PORT, self._answer(over_udp))
        return network

    async def close(self) -> None:
        """End the listeners and every connection."""
        for answering in self._sockets:
            answering.close()
        for server in self._servers:
            server.close()
        for transport in tuple(self.transports):
            transport.abort()
        for server in self._servers:
            await server.wait_closed()

    async def _listen(self, protocol: Callable[["Targets"], asyncio.Protocol]) -> Endpoint:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: protocol(self), "127.0.0.1", 0, backlog=1024)
        self._servers.append(server)
        return Endpoint(*server.sockets[0].getsockname()[:2])

    def _answer(self, answer_to: Callable[[bytes], bytes | None]) -> Endpoint:
        def received(datagram: bytes, sender: Endpoint) -> None:
            answer = answer_to(datagram)
            if answer is not None:
                answering.send(answer, sender)

        answering = DatagramSocket("127.0.0.1", received)
        self._sockets.append(answering)
        return answering.local
