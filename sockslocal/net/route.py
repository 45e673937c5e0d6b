"""The way a forward or the resolver takes: the first of its servers that is up."""

import asyncio
from collections.abc import Callable, Iterator, Mapping

from sockslocal.address import Endpoint, ip_of
from sockslocal.errors import ServerError
from sockslocal.net.datagrams import Batch
from sockslocal.net.dialer import Dial, DialError
from sockslocal.net.server import Server
from sockslocal.net.streams import open_streams
from sockslocal.net.udp_flow import Flow, Receiver
from sockslocal.problems import Problem, problem
from sockslocal.socks5.datagram import encode_header, parse_header
from sockslocal.socks5.messages import Command, Request

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
        """Why no datagrams pass, where all servers are known to relay none."""
        problems = [server.udp.problem for server in self._in_order()]
        return problems[0] if problems and all(problems) else None

    def connect(
        self, target: Endpoint, done: Callable[[Dial], None], failed: Callable[[ServerError], None]
    ) -> Crossing:
        """Begin to connect to `target`; one of the two is called once, maybe before this returns."""
        crossing = Crossing(self._in_order(), Request(Command.CONNECT, target), done, failed)
        crossing.start()
        return crossing

    def open(self, remote: Endpoint, receiver: Receiver, idle_s: float, *, exclusive: bool = False) -> Flow:
        """A UDP flow through the first server that can have one now. Raises ServerError."""
        why = problem("tunnel-off")
        for server in self._in_order():
            try:
                return server.udp.open(remote, receiver, idle_s, exclusive=exclusive)
            except ServerError as error:
                why = error.problem
        raise ServerError(why)

    def open_flow(
        self, remote: Endpoint, received: Callable[[bytes], None], lost: Callable[[ServerError], None]
    ) -> "PayloadFlow":
        """A UDP flow of single payloads. Raises ServerError where none can be had."""
        flow = PayloadFlow(received, lost)
        flow.carry(self.open(remote, flow, IDLE_S))
        return flow

    async def open_stream(self, target: Endpoint) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to `target` as asyncio streams. Raises ServerError."""
        outcome: asyncio.Future[Dial | ServerError] = asyncio.get_running_loop().create_future()
        crossing = self.connect(target, outcome.set_result, outcome.set_result)
        try:
            dial = await asyncio.shield(outcome)  # or a cancelled outcome would have no place for a result
        except asyncio.CancelledError:
            crossing.cancel()
            if outcome.done() and isinstance(unwanted := outcome.result(), Dial):
                unwanted.close()
            raise
        if isinstance(dial, ServerError):
            raise dial
        return await open_streams(dial)

    def _in_order(self) -> Iterator[Server]:
        servers = list(filter(None, map(self._servers.get, self._names)))
        if len(servers) > 1:
            servers.sort(key=lambda server: not server.usable)
        return iter(servers)


class PayloadFlow:
    """A flow for who wants payloads one by one, and only its remote's, as the resolver does.

    Some servers name somebody else in their headers, for which other flows make allowance. Here it would be a
    forger's way in (RFC 5452 §9.1): such a server carries nothing back.
    """

    def __init__(self, received: Callable[[bytes], None], lost: Callable[[ServerError], None]) -> None:
        self._received = received
        self._lost = lost
        self._flow: Flow | None = None

    def carry(self, flow: Flow) -> None:
        """Send by `flow`, whose receiver this is."""
        self._flow = flow

    def send(self, payload: bytes) -> None:
        """Send one datagram, or drop it."""
        if self._flow is not None:
            self._flow.touch()
            self._flow.send_payload(payload)

    def close(self) -> None:
        """End the flow; nothing is received after this."""
        if self._flow is not None:
            self._flow.close()
            self._flow = None

    def opened(self) -> None:
        """Nobody is to be told."""

    def sent(self, octets: int) -> None:
        """Nobody is to be told."""

    def received(self, batch: Batch, indices: range, skip: int) -> None:
        if self._flow is None or not _is_of(bytes(batch.payload(indices[0])[:skip]), self._flow.remote):
            return
        payloads = [bytes(batch.payload(index)[skip:]) for index in indices]
        for payload in payloads:
            if self._flow is None:  # closed by who was given the one before
                return
            self._received(payload)

    def dropped(self, count: int) -> None:
        """Nobody is to be told."""

    def lost(self, error: ServerError | None) -> None:
        self._flow = None
        self._lost(error or ServerError.of("udp-association-ended"))


def _is_of(header: bytes, remote: Endpoint) -> bool:
    """Whether datagrams with `header` are the remote's; a name may have any address, but no other port."""
    if header == encode_header(remote):
        return True
    source = parse_header(header)[0]
    return source == remote or (source.port == remote.port and ip_of(remote.host) is None)
