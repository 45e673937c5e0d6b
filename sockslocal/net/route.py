"""The way a forward or the resolver takes: the first of its servers that is up."""

import asyncio
from collections.abc import Callable, Iterator, Mapping

from sockslocal.address import Endpoint
from sockslocal.errors import ServerError
from sockslocal.net.associations import Flow, Receiver
from sockslocal.net.datagrams import Batch
from sockslocal.net.dialer import Dial, DialError
from sockslocal.net.server import Server
from sockslocal.problems import Problem
from sockslocal.socks5.messages import Command, Request

STREAM_LIMIT = 1 << 17
"""Octets that a stream buffers before it stops reading: a DNS message over TCP has 65,537 at most."""

IDLE_S = 60.0
"""Seconds after which an unused flow of the resolver ends."""


class Crossing:
    """A connection attempt along a route: the servers are dialled in turn until one answers.

    A server that answers and refuses the target has spoken: the next one is not asked.
    """

    def __init__(
        self,
        servers: Iterator[Server],
        request: Request,
        done: Callable[[Dial], None],
        failed: Callable[[ServerError], None],
    ) -> None:
        self._servers = servers
        self._request = request
        self._done = done
        self._failed = failed
        self._dial: Dial | None = None

    def start(self, error: ServerError | None = None) -> None:
        """Dial the first server that is left; `error` is why the one before failed."""
        server = next(self._servers, None)
        if server is None:
            self._failed(error or ServerError.of("tunnel-off"))
            return
        self._dial = dial = server.dial(self._request, self._finish, self._next)
        dial.start()

    def cancel(self) -> None:
        """End the attempt; nothing is called any more."""
        if self._dial is not None:
            self._dial.cancel()

    def _finish(self, dial: Dial) -> None:
        self._dial = None  # the two know each other: without this they wait for the collector
        self._done(dial)

    def _next(self, error: DialError) -> None:
        self._dial = None
        if error.server_answers:
            self._failed(error)
        else:
            self.start(error)


class Route:
    """Names of servers, looked up at each use, so that a server may be replaced while forwards live on."""

    def __init__(self, servers: Mapping[str, Server], names: tuple[str, ...]) -> None:
        self._servers = servers
        self._names = names

    @property
    def name(self) -> str:
        """What the server in use is called."""
        server = next(self._in_order(), None)
        return server.config.name if server else self._names[0]

    @property
    def udp_problem(self) -> Problem | None:
        """Why the server in use relays no datagrams, where it is known not to."""
        server = next(self._in_order(), None)
        return server.udp_problem if server else None

    def connect(
        self, target: Endpoint, done: Callable[[Dial], None], failed: Callable[[ServerError], None]
    ) -> Crossing:
        """Begin to connect to `target`; one of the two is called once, maybe before this returns."""
        crossing = Crossing(self._in_order(), Request(Command.CONNECT, target), done, failed)
        crossing.start()
        return crossing

    def open(self, remote: Endpoint, receiver: Receiver, idle_s: float) -> Flow | None:
        """A UDP flow through the server in use, None while there can be none."""
        server = next(self._in_order(), None)
        return server.broker.open(remote, receiver, idle_s) if server else None

    def open_flow(
        self, remote: Endpoint, received: Callable[[bytes], None], lost: Callable[[ServerError], None]
    ) -> "PayloadFlow":
        """A UDP flow of single payloads. Raises ServerError where none can be had."""
        server = next(self._in_order(), None)
        if server is None:
            raise ServerError.of("tunnel-off")
        flow = PayloadFlow(server, received, lost)
        flow.open(remote)
        return flow

    async def open_stream(self, target: Endpoint) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to `target` as asyncio streams. Raises ServerError."""
        dialled: asyncio.Future[Dial] = asyncio.get_running_loop().create_future()
        crossing = self.connect(target, dialled.set_result, dialled.set_exception)
        try:
            dial = await dialled
        except asyncio.CancelledError:
            crossing.cancel()
            raise
        dial.release()
        return await _streams(dial)

    def _in_order(self) -> Iterator[Server]:
        servers = [self._servers[name] for name in self._names if name in self._servers]
        if len(servers) > 1:
            servers.sort(key=lambda server: not server.usable)
        return iter(servers)


class PayloadFlow:
    """A flow for who wants payloads one by one, as the resolver does."""

    def __init__(
        self, server: Server, received: Callable[[bytes], None], lost: Callable[[ServerError], None]
    ) -> None:
        self._server = server
        self._received = received
        self._lost = lost
        self._flow: Flow | None = None

    def open(self, remote: Endpoint) -> None:
        """Begin. Raises ServerError."""
        self._flow = self._server.broker.open(remote, self, IDLE_S)
        if self._flow is None:
            raise ServerError(self._server.udp_problem or self._server.way.problem("udp-flows-exhausted"))

    def send(self, payload: bytes) -> None:
        """Send one datagram, or drop it."""
        if self._flow is not None:
            self._flow.touch()
            self._flow.send_payload(payload)

    def close(self) -> None:
        if self._flow is not None:
            self._flow.close()
            self._flow = None

    def received(self, batch: Batch, indices: range, skip: int) -> None:
        payloads = [bytes(batch.payload(index)[skip:]) for index in indices]
        for payload in payloads:
            self._received(payload)

    def lost(self, error: ServerError | None) -> None:
        self._flow = None
        self._lost(error or ServerError(self._server.way.problem("udp-association-ended")))


async def _streams(dial: Dial) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Hand the dial's socket over to asyncio."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(STREAM_LIMIT)
    reader.feed_data(dial.leftover)
    protocol = asyncio.StreamReaderProtocol(reader)
    transport, _ = await loop.create_connection(lambda: protocol, sock=dial.sock)
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)
