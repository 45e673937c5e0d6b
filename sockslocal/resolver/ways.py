"""The ways to ask an upstream, as its scheme says; one that is encrypted has no other to fall back to."""

import asyncio
from functools import partial
from typing import NamedTuple, Protocol

from sockslocal.config.model import Upstream
from sockslocal.resolver import wire
from sockslocal.resolver.ask_https import HttpsTransport
from sockslocal.resolver.ask_tcp import tcp_transport
from sockslocal.resolver.ask_tls import IDLE_S, TlsDial
from sockslocal.resolver.ask_udp import DatagramTransport
from sockslocal.resolver.options import padded
from sockslocal.resolver.stream import PlainDial
from sockslocal.resolver.tasks import hedged
from sockslocal.resolver.tunnel import Tunnel

DATAGRAM_S = 1.6
DATAGRAM_SHARE = 0.64
"""Seconds of silence by UDP after which TCP is tried as well; at most this share of the time there is."""

STREAM_FOR_S = 60.0
"""Seconds an upstream is asked by TCP after TCP worked and UDP did not."""


class Came(NamedTuple):
    """A message, by which path, and for how many seconds others kept it."""

    path: str
    message: bytes
    age: int = 0


class Way(Protocol):
    """How one upstream is asked."""

    @property
    def mismatches(self) -> int:
        """Messages that answered nothing we asked."""

    async def ask(self, octets: bytes, question: bytes, seconds: float) -> Came:
        """The response to our query `octets`, for which there are `seconds`; raises FAILURES."""

    def renew(self) -> None:
        """Have another flow and another connection carry what is asked, now and later."""

    async def close(self) -> None:
        """End its flow and its connection."""


def way_to(upstream: Upstream, tunnel: Tunnel) -> Way:
    """The one that its scheme names."""
    return _WAYS[upstream.scheme](upstream, tunnel)


class UdpWay:
    """By UDP; by TCP what does not fit, and for a while where UDP is silent (RFC 7766 §5)."""

    def __init__(self, upstream: Upstream, tunnel: Tunnel) -> None:
        self._datagrams = DatagramTransport(tunnel, upstream.endpoint)
        self._stream = tcp_transport(PlainDial(tunnel, upstream.endpoint))
        self._loop = asyncio.get_running_loop()
        self._stream_until = 0.0

    @property
    def mismatches(self) -> int:
        return self._stream.mismatches + self._datagrams.mismatches

    async def ask(self, octets: bytes, question: bytes, seconds: float) -> Came:
        by_stream = partial(self._stream.ask, octets, question)
        if self._loop.time() < self._stream_until:
            return Came("tcp", await by_stream())
        by_datagram = self._datagrams.ask(octets, question)
        patience = min(DATAGRAM_S, DATAGRAM_SHARE * seconds)
        message, streamed = await hedged(by_datagram, by_stream, patience)
        if streamed:
            self._stream_until = self._loop.time() + STREAM_FOR_S
        elif wire.is_truncated(message):
            return Came("tcp", await by_stream())
        return Came("tcp" if streamed else "udp", message)

    def renew(self) -> None:
        self._stream_until = 0.0
        self._datagrams.renew()
        self._stream.renew()

    async def close(self) -> None:
        self._datagrams.close()
        await self._stream.close()


class TcpWay:
    """By TCP."""

    def __init__(self, upstream: Upstream, tunnel: Tunnel) -> None:
        self._stream = tcp_transport(PlainDial(tunnel, upstream.endpoint))

    @property
    def mismatches(self) -> int:
        return self._stream.mismatches

    async def ask(self, octets: bytes, question: bytes, _seconds: float) -> Came:
        return Came("tcp", await self._stream.ask(octets, question))

    def renew(self) -> None:
        self._stream.renew()

    async def close(self) -> None:
        await self._stream.close()


class TlsWay:
    """By TLS, padded."""

    def __init__(self, upstream: Upstream, tunnel: Tunnel) -> None:
        self._stream = tcp_transport(TlsDial(tunnel, upstream), IDLE_S)

    @property
    def mismatches(self) -> int:
        return self._stream.mismatches

    async def ask(self, octets: bytes, question: bytes, _seconds: float) -> Came:
        return Came("tls", await self._stream.ask(padded(octets, question), question))

    def renew(self) -> None:
        self._stream.renew()

    async def close(self) -> None:
        await self._stream.close()


class HttpsWay:
    """By HTTPS, padded."""

    def __init__(self, upstream: Upstream, tunnel: Tunnel) -> None:
        self._https = HttpsTransport(tunnel, upstream)

    @property
    def mismatches(self) -> int:
        return self._https.mismatches

    async def ask(self, octets: bytes, question: bytes, _seconds: float) -> Came:
        return Came("https", *await self._https.ask(padded(octets, question), question))

    def renew(self) -> None:
        self._https.renew()

    async def close(self) -> None:
        await self._https.close()


_WAYS: dict[str, type[UdpWay | TcpWay | TlsWay | HttpsWay]] = {
    "udp": UdpWay,
    "tcp": TcpWay,
    "tls": TlsWay,
    "https": HttpsWay,
}
