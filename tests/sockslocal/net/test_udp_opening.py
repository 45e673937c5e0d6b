import errno
import socket
from collections.abc import Callable
from typing import Any

import pytest

from fakes.engine import POLLERS, turns, until, way_to
from fakes.raw_server import exactly, grant_and_end, raw_server, until_end
from fakes.socks5_server import (
    Act,
    FakeServer,
    PortRule,
    Script,
    Session,
    Stage,
    StreamFormat,
    UdpFault,
    UdpScript,
)
from fakes.socks5_wire import address_octets
from sockslocal.address import Endpoint
from sockslocal.errors import ServerError
from sockslocal.net import udp_opening as module
from sockslocal.net import udp_transport
from sockslocal.net.datagram_reader import DatagramReader
from sockslocal.net.datagrams import Batch
from sockslocal.net.dialer import Dial, DialError
from sockslocal.net.engine import Engine
from sockslocal.net.rungs import RELAYED, STREAMED, Rung
from sockslocal.net.server_addresses import ServerAddresses
from sockslocal.net.udp_opening import Opening
from sockslocal.net.udp_stream import UdpStream
from sockslocal.net.udp_terms import Terms
from sockslocal.net.udp_transport import Transport
from sockslocal.socks5.datagram import encode_header
from sockslocal.socks5.errors import RemoteError
from sockslocal.socks5.messages import Request

FORMATS = dict(
    zip(
        STREAMED, (StreamFormat.UOT_V2, StreamFormat.UOT_V1, StreamFormat.HEV, StreamFormat.GOST), strict=True
    )
)


class Made:
    """An opening, and the side that hears of it."""

    def __init__(
        self,
        engine: Engine,
        address: tuple[str, int],
        rung: Rung = Rung.GIVEN,
        *,
        override: str | None = None,
        foreign: bool = False,
    ) -> None:
        self.transport: Transport | None = None
        self.errors: list[ServerError] = []
        self.control_endings = 0
        self.refusals: list[Endpoint] = []
        self.stream_endings: list[RemoteError | None] = []
        self.payloads: list[bytes] = []
        self.when_opened: Callable[[], None] = lambda: None
        self.when_control_ended: Callable[[], None] = lambda: None
        self._engine = engine
        self._way = way_to(address)
        self._terms = Terms(
            engine=engine,
            way=self._way,
            override=ServerAddresses(Endpoint(override, 1), engine.clock) if override else None,
            flows=10,
            waiting=10,
            patience=1.0,
            probe=None,
            foreign=foreign,
        )
        self.opening = Opening(self._terms, rung, self)

    @property
    def override(self) -> ServerAddresses:
        assert self._terms.override is not None
        return self._terms.override

    def start(self) -> None:
        self.opening.start(self._dial)

    async def open(self) -> None:
        """Start, and wait until datagrams can pass."""
        self.start()
        await until(lambda: self.transport or self.errors, "open")
        assert self.errors == []

    async def failure(self) -> str:
        """Start; gives the code of the problem for which it fails, of which it tells once."""
        self.start()
        await until(lambda: self.errors, "failed")
        await turns()
        assert self.transport is None
        (error,) = self.errors
        return error.problem.code

    async def echo(self, remote: Endpoint, payload: bytes = b"ping") -> None:
        """See that what is sent to `remote` comes back."""
        assert self.transport is not None
        assert self.transport.send_one(encode_header(remote), payload)
        await until(lambda: self.payloads, "the echo")
        assert self.payloads == [encode_header(remote) + payload]

    def close(self) -> None:
        """As the association does at its end."""
        self.opening.cancel()
        if self.transport is not None:
            self.transport.close()

    def _dial(
        self, request: Request, done: Callable[[Dial], None], failed: Callable[[DialError], None]
    ) -> Dial:
        return Dial(self._engine, self._way, request, done, failed)

    # what the side is told

    def opened(self, transport: Transport) -> None:
        assert self.transport is None
        self.transport = transport
        self.when_opened()

    def failed(self, error: ServerError) -> None:
        self.errors.append(error)

    def deliver(self, batch: Batch, count: int) -> None:
        self.payloads += [bytes(batch.payload(index)) for index in range(count)]

    def control_ended(self) -> None:
        self.control_endings += 1
        self.when_control_ended()

    def refused(self, relay: Endpoint) -> None:
        self.refusals.append(relay)

    def stream_ended(self, error: RemoteError | None) -> None:
        self.stream_endings.append(error)


def session_of(server: FakeServer) -> Session:
    """The server's side of the only connection."""
    (session,) = server.sessions
    return session


# by a relay


@pytest.mark.parametrize("poller", POLLERS, ids=["best", "loop"])
@pytest.mark.parametrize("rung", [Rung.GIVEN, Rung.PORT])
async def test_a_way_by_a_relay(engine: Engine, server: FakeServer, udp_target: Endpoint, rung: Rung) -> None:
    """Datagrams pass; nothing more is written on the control connection, and its end is the transport's."""
    made = Made(engine, server.address, rung)
    await made.open()
    await made.echo(udp_target)
    made.close()
    await until(lambda: session_of(server).finished, "the server saw the end")
    assert len(session_of(server).segments) == 2
    assert (made.errors, made.control_endings) == ([], 0)


async def test_what_is_asked_for(engine: Engine, server: FakeServer) -> None:
    """Where the datagrams will come from is not said: a guess would harm."""
    made = Made(engine, server.address)
    await made.open()
    made.close()
    assert session_of(server).segments == [b"\5\1\0", b"\5\3\0\1\0\0\0\0\0\0"]


async def test_what_is_asked_for_by_ipv6(engine: Engine) -> None:
    """Zeros of that kind."""
    with FakeServer(host="::1") as server:
        made = Made(engine, server.address)
        await made.open()
        made.close()
        assert session_of(server).segments[1] == b"\5\3\0\4" + bytes(18)


async def test_the_port_is_named(engine: Engine, server: FakeServer, udp_target: Endpoint) -> None:
    """Some servers relay nothing else; it is the one from which the datagrams come."""
    server.script = Script(udp=UdpScript(port_rule=PortRule.TRUE))
    made = Made(engine, server.address, Rung.PORT)
    await made.open()
    await made.echo(udp_target)
    assert session_of(server).target == ("0.0.0.0", made.transport._reader.sock.getsockname()[1])  # type: ignore[union-attr]
    made.close()


@pytest.mark.parametrize("host", ["0.0.0.0", "10.9.8.7", "169.254.1.1", "224.0.0.1", "255.255.255.255", ""])
async def test_datagrams_go_to_the_server_whatever_it_names(
    engine: Engine, server: FakeServer, udp_target: Endpoint, host: str
) -> None:
    """What cannot be its relay's address is replaced by the server's own: nothing leaves to anyone else."""
    server.script = Script(bound_host=host)
    made = Made(engine, server.address)
    await made.open()
    await made.echo(udp_target)
    made.close()


async def test_the_servers_own_address(engine: Engine, server: FakeServer, udp_target: Endpoint) -> None:
    """In place of another one that could be its relay's, and where nothing came back."""
    server.script = Script(bound_host="127.0.0.3")
    made = Made(engine, server.address, Rung.SERVER)
    await made.open()
    await made.echo(udp_target)
    made.close()


async def test_the_servers_own_address_was_tried_already(engine: Engine, server: FakeServer) -> None:
    """Where it is what the reply named, there is nothing else to try."""
    assert await Made(engine, server.address, Rung.SERVER).failure() == "udp-silent"
    await until(lambda: session_of(server).finished, "the server saw the end")


@pytest.mark.parametrize("rung", RELAYED)
async def test_a_relay_that_is_a_listener_of_our_own(engine: Engine, rung: Rung) -> None:
    """Each datagram to there would come back as a new program's, and have an association of its own."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ours:
        ours.bind(("127.0.0.1" if rung is Rung.SERVER else "127.0.0.2", 0))
        place = Endpoint(*ours.getsockname())
        reader = DatagramReader(engine, ours, lambda _batch, _count: None)

        def play(sock: socket.socket) -> None:
            exactly(sock, 3)
            sock.sendall(b"\5\0")
            exactly(sock, 10)
            sock.sendall(b"\5\0\0" + address_octets("127.0.0.2", place.port))
            until_end(sock)

        with raw_server(play) as address:
            assert await Made(engine, address, rung).failure() == "udp-relay-invalid"
        reader.close()


async def test_a_relay_elsewhere(engine: Engine, server: FakeServer, udp_target: Endpoint) -> None:
    """Where the server says."""
    server.script = Script(relay_host="127.0.0.4")
    made = Made(engine, server.address)
    await made.open()
    await made.echo(udp_target)
    made.close()


@pytest.mark.parametrize("fault", [UdpFault.OTHER_PORT, UdpFault.OTHER_ADDRESS])
@pytest.mark.parametrize("foreign", [False, True])
async def test_answers_from_elsewhere(
    engine: Engine, server: FakeServer, udp_target: Endpoint, *, fault: UdpFault, foreign: bool
) -> None:
    """They are heard where the server is known for that."""
    server.script = Script(udp=UdpScript(fault=fault, after=1))
    made = Made(engine, server.address, foreign=foreign)
    await made.open()
    await made.echo(udp_target)
    made.transport.send_one(encode_header(udp_target), b"from elsewhere")  # type: ignore[union-attr]
    relay = session_of(server).relay
    assert relay is not None
    await until(lambda: relay.answered == 2, "the second was answered")
    await turns()
    assert len(made.payloads) == 1 + foreign
    made.close()


@pytest.mark.parametrize("rung", RELAYED)
async def test_a_relay_without_port(engine: Engine, server: FakeServer, rung: Rung) -> None:
    """There is nothing to send to; the problem tells what to set."""
    server.script = Script(bound=address_octets("127.0.0.1", 0))
    made = Made(engine, server.address, rung)
    assert await made.failure() == "udp-relay-invalid"
    assert made.errors[0].problem.remedy == "set udp_address in [server.office]"


@pytest.mark.parametrize(
    ("number", "code"), [(errno.EMFILE, "descriptors-exhausted"), (errno.ENETUNREACH, "udp-relay-invalid")]
)
async def test_no_socket_to_the_relay(
    engine: Engine, server: FakeServer, monkeypatch: pytest.MonkeyPatch, *, number: int, code: str
) -> None:
    """Exhausted descriptors are ours; any other error is the relay's address."""

    def no_socket(*_: object) -> socket.socket:
        raise OSError(number, "no")

    monkeypatch.setattr(udp_transport, "relay_socket", no_socket)
    assert await Made(engine, server.address).failure() == code


async def test_no_socket_whose_port_is_named(
    engine: Engine, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server is not even asked."""

    def no_socket() -> socket.socket:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(module, "bound_socket", no_socket)
    assert await Made(engine, server.address, Rung.PORT).failure() == "descriptors-exhausted"
    assert server.sessions == []


async def test_a_socket_of_the_wrong_family(engine: Engine) -> None:
    """The one whose port was named speaks IPv4; it is closed with all the rest."""
    with FakeServer(host="::1") as server:
        assert await Made(engine, server.address, Rung.PORT).failure() == "udp-relay-invalid"
        await until(lambda: session_of(server).finished, "the server saw the end")


async def test_nobody_at_the_relay(engine: Engine, server: FakeServer, udp_target: Endpoint) -> None:
    """Its system says so (ICMP); where that was is told."""
    server.script = Script(bound_host="127.0.0.3")
    made = Made(engine, server.address)
    await made.open()
    made.transport.send_one(encode_header(udp_target), b"ping")  # type: ignore[union-attr]
    await until(lambda: made.refusals, "the refusal")
    assert made.refusals[0].host == "127.0.0.3"
    made.close()


# the address that overrides the server's


@pytest.mark.parametrize("rung", [Rung.GIVEN, Rung.PORT])
@pytest.mark.parametrize("name", ["127.0.0.1", "relay.test"])
async def test_the_users_address_overrides_the_servers(
    engine: Engine,
    server: FakeServer,
    udp_target: Endpoint,
    monkeypatch: pytest.MonkeyPatch,
    *,
    rung: Rung,
    name: str,
) -> None:
    """The port stays the one that the server names; a name is resolved here."""
    server.script = Script(bound_host="127.0.0.3")
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 1))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    made = Made(engine, server.address, rung, override=name)
    await made.open()
    await made.echo(udp_target)
    made.close()


async def test_an_override_without_address(
    engine: Engine, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the user set is not passed over in silence."""

    def unknown(*_: object, **__: object) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert await Made(engine, server.address, override="relay.test").failure() == "udp-address-unknown"


@pytest.mark.parametrize("rung", [Rung.GIVEN, Rung.PORT])
async def test_the_end_while_the_override_is_looked_up(
    engine: Engine, server: FakeServer, monkeypatch: pytest.MonkeyPatch, rung: Rung
) -> None:
    """The late answer opens nothing, and nothing is left."""
    made = Made(engine, server.address, rung, override="relay.test")
    monkeypatch.setattr(made.override, "find", made.override._waiting.setdefault)
    made.start()
    await until(lambda: made.override._waiting, "the look-up has begun")
    made.opening.cancel()
    assert made.override._waiting == {}
    made.opening._located([(socket.AF_INET, ("127.0.0.1", 1))])
    await until(lambda: session_of(server).finished, "the server saw the end")
    assert (made.transport, made.errors) == (None, [])


# the control connection


@pytest.mark.parametrize("poller", POLLERS, ids=["best", "loop"])
@pytest.mark.parametrize("goes_on", [False, True])
async def test_the_end_may_come_with_the_reply(engine: Engine, *, goes_on: bool) -> None:
    """It is told before datagrams can pass; who hears of it may end it there, or have it go on."""
    with raw_server(grant_and_end) as address:
        made = Made(engine, address)
        if not goes_on:
            made.when_control_ended = made.opening.cancel
        made.start()
        await until(lambda: made.control_endings, "the end")
        await turns()
        assert (made.transport is not None, made.errors, made.control_endings) == (goes_on, [], 1)
        made.close()


# by a stream


@pytest.mark.parametrize("poller", POLLERS, ids=["best", "loop"])
@pytest.mark.parametrize("rung", STREAMED)
async def test_a_way_by_a_stream(
    engine: Engine, server: FakeServer, udp_target: Endpoint, rung: Rung
) -> None:
    """In the format that the rung names."""
    server.script = Script(formats=frozenset({FORMATS[rung]}))
    made = Made(engine, server.address, rung)
    await made.open()
    await made.echo(udp_target)
    assert session_of(server).stream is not None
    made.close()
    await until(lambda: session_of(server).finished, "the server saw the end")
    assert made.stream_endings == []


async def test_the_end_of_a_stream_is_told(engine: Engine, server: FakeServer) -> None:
    """By the stream itself."""
    server.script = Script(formats=frozenset({StreamFormat.HEV}), at=Stage.RELAY, act=Act.CLOSE)
    made = Made(engine, server.address, Rung.HEV)
    await made.open()
    await until(lambda: made.stream_endings, "the end")
    assert made.stream_endings == [None]


async def test_what_comes_with_the_reply_is_delivered(engine: Engine) -> None:
    """It is behind that in the same segment."""
    source = Endpoint("192.0.2.1", 7)
    address = address_octets(*source)

    def play(sock: socket.socket) -> None:
        exactly(sock, 3)
        sock.sendall(b"\5\0")
        exactly(sock, 10)
        frame = b"\0\4" + bytes([3 + len(address)]) + address + b"ping"
        sock.sendall(b"\5\0\0\1\0\0\0\0\0\0" + frame)
        until_end(sock)

    with raw_server(play) as server_address:
        made = Made(engine, server_address, Rung.HEV)
        await made.open()
        await until(lambda: made.payloads, "the datagram")
        assert made.payloads == [encode_header(source) + b"ping"]
        made.close()


async def test_who_hears_that_a_stream_is_open_may_close_it(engine: Engine, server: FakeServer) -> None:
    """Then it is not begun."""
    server.script = Script(formats=frozenset({StreamFormat.HEV}))
    made = Made(engine, server.address, Rung.HEV)
    made.when_opened = made.close
    await made.open()
    assert isinstance(made.transport, UdpStream)
    assert made.transport.closed
    await until(lambda: session_of(server).finished, "the server saw the end")


# no way


@pytest.mark.parametrize(
    ("script", "code", "answers"),
    [
        (Script(reply=7), "udp-unsupported", True),
        (Script(reply=2), "udp-unsupported", True),
        (Script(at=Stage.REPLY, act=Act.CLOSE), "udp-unsupported", True),
        (Script(method=0xFF), "server-no-method", False),
    ],
)
@pytest.mark.parametrize("rung", [Rung.GIVEN, Rung.PORT, Rung.GOST])
async def test_a_server_that_grants_none(
    engine: Engine, server: FakeServer, *, rung: Rung, script: Script, code: str, answers: bool
) -> None:
    """Refused, or hung up on: the reason is told, and whether the server itself works."""
    server.script = script
    made = Made(engine, server.address, rung)
    assert await made.failure() == code
    assert isinstance(made.errors[0], DialError)
    assert made.errors[0].server_answers == answers


@pytest.mark.parametrize(
    ("script", "code"),
    [
        (Script(reply=4), "udp-unsupported"),
        (Script(at=Stage.REPLY, act=Act.CLOSE), "udp-unsupported"),
        (Script(method=0xFF), "server-no-method"),
    ],
)
@pytest.mark.parametrize("rung", [Rung.UOT_V2, Rung.UOT_V1])
async def test_a_server_that_takes_the_request_for_a_target(
    engine: Engine, server: FakeServer, rung: Rung, script: Script, code: str
) -> None:
    """Of its name no user has heard: he is told what is not spoken."""
    server.script = script
    made = Made(engine, server.address, rung)
    assert await made.failure() == code
    spoken = f"it does not speak {rung.value}" in made.errors[0].problem.text
    assert spoken == (code == "udp-unsupported")


@pytest.mark.parametrize("rung", Rung)
async def test_the_end_while_the_server_is_asked(engine: Engine, server: FakeServer, rung: Rung) -> None:
    """The dial is cancelled, and nobody hears anything."""
    server.script = Script(at=Stage.REPLY, act=Act.STALL)
    made = Made(engine, server.address, rung)
    made.start()
    await until(lambda: server.sessions and session_of(server).command, "it was asked")
    made.opening.cancel()
    await until(lambda: session_of(server).finished, "the server saw the end")
    assert (made.transport, made.errors) == (None, [])
