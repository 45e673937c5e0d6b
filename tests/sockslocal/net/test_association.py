import errno
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from fakes.engine import POLLERS, FakeClock, turns, until, way_to
from fakes.flows import FakeReceiver
from fakes.raw_server import exactly, raw_server, send_with_fin, until_end
from fakes.socks5_server import Act, FakeServer, Script, Session, Stage, UdpFault, UdpScript
from fakes.socks5_wire import address_octets
from fakes.targets import udp_echo
from sockslocal.address import Endpoint
from sockslocal.errors import ServerError
from sockslocal.net import association as module
from sockslocal.net.association import ASSOCIATE, BRIEF_S, Association
from sockslocal.net.datagram_queue import MAX_WAITING
from sockslocal.net.datagrams import SLOTS, Batch, PlainBatch, best_batch
from sockslocal.net.dialer import Dial, DialError
from sockslocal.net.engine import Engine
from sockslocal.net.server_addresses import ServerAddresses
from sockslocal.net.udp_flow import Flow
from sockslocal.socks5.datagram import encode_header


@dataclass
class FakeOwner:
    """Who made the association, and the flow; what the association gives back is lost."""

    openings: int = 0
    proofs: int = 0
    endings: list[tuple[Flow | None, ServerError | None]] = field(default_factory=list)

    def touch(self, flow: Flow) -> None:
        pass

    def discard(self, flow: Flow) -> None:
        flow.carrier.detach(flow)

    def opened(self) -> None:
        self.openings += 1

    def proved(self) -> None:
        self.proofs += 1

    def ended(self, _association: Association, flow: Flow | None, error: ServerError | None) -> None:
        self.endings.append((flow, error))
        if flow is not None:
            flow.receiver.lost(error)


@dataclass
class Made:
    """An association with all around it."""

    association: Association
    flow: Flow
    receiver: FakeReceiver
    owner: FakeOwner

    async def echo(self, payload: bytes) -> bytes:
        """What comes back."""
        before = len(self.receiver.payloads)
        assert self.flow.send_payload(payload)
        await until(lambda: len(self.receiver.payloads) > before, "the echo")
        return self.receiver.payloads[before]


@pytest.fixture
def server() -> Iterator[FakeServer]:
    """A server without login."""
    with FakeServer() as running:
        yield running


@pytest.fixture
def echo() -> Iterator[Endpoint]:
    """A target that sends everything back."""
    with udp_echo() as address:
        yield Endpoint(*address)


def make(
    engine: Engine, address: tuple[str, int], remote: Endpoint, *, override: ServerAddresses | None = None
) -> Made:
    """An association under way."""
    way, owner, receiver = way_to(address), FakeOwner(), FakeReceiver()
    association = Association(engine, way, override, owner)
    association.start(Dial(engine, way, ASSOCIATE, association.dialled, association.failed))
    flow = Flow(owner, association, remote, receiver, 60.0)
    association.attach(flow)
    return Made(association, flow, receiver, owner)


async def lost(made: Made) -> str | None:
    """The code of the problem by which it ends; all of it is closed, and everybody told once."""
    await until(lambda: made.receiver.losses, "the end")
    await turns()
    ((flow, error),) = made.owner.endings
    assert flow is made.flow
    assert made.receiver.losses == [error]
    return made.receiver.lost_by


async def opened(made: Made) -> None:
    """Wait until datagrams can pass."""
    await until(lambda: made.owner.openings, "opened")


def session_of(server: FakeServer) -> Session:
    """The server's side of the only connection."""
    (session,) = server.sessions
    return session


def in_server(server: FakeServer, act: Callable[[], object]) -> None:
    """Have the server do something, in its own loop."""

    async def do() -> None:
        act()

    server._thread.call(do())


# datagrams there and back


@pytest.mark.parametrize("poller", POLLERS)
@pytest.mark.parametrize("batch", [best_batch, PlainBatch])
async def test_datagrams_pass_both_ways(engine: Engine, server: FakeServer, echo: Endpoint) -> None:
    """Whole, with the target's header there and without it back; the empty one too."""
    made = make(engine, server.address, echo)
    for payload in (b"ping", b"", bytes(1400), bytes(60_000)):
        assert await made.echo(payload) == payload
    assert (made.owner.openings, made.owner.proofs, made.receiver.openings) == (1, 1, 1)
    relay = session_of(server).relay
    assert relay is not None
    assert [target for target, _ in relay.received] == [echo] * 4
    made.flow.close()
    await until(lambda: session_of(server).finished, "the server saw the end")
    assert made.receiver.losses == []
    assert made.owner.endings == [(None, None)]


async def test_it_opens_without_a_flow_too(engine: Engine, server: FakeServer, echo: Endpoint) -> None:
    """One that comes later is carried at once."""
    way, owner, receiver = way_to(server.address), FakeOwner(), FakeReceiver()
    association = Association(engine, way, None, owner)
    association.start(Dial(engine, way, ASSOCIATE, association.dialled, association.failed))
    await until(lambda: owner.openings, "opened")
    flow = Flow(owner, association, echo, receiver, 60.0)
    association.attach(flow)
    assert flow.send_payload(b"ping")
    await until(lambda: receiver.payloads, "the echo")
    assert (receiver.payloads, receiver.openings) == ([b"ping"], 0)
    flow.close()


async def test_a_batch_is_sent_behind_the_header(engine: Engine, server: FakeServer, echo: Endpoint) -> None:
    """Before the association is there, and after: in the same order, each datagram by itself."""
    payloads = [bytes([number]) * number for number in range(10)]

    made = make(engine, server.address, echo)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.setblocking(False)
        for _ in range(2):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as program:
                for payload in payloads:
                    program.sendto(payload, listener.getsockname())
            count = engine.batch.receive(listener)
            assert made.flow.send(engine.batch, range(count)) == len(payloads)
            await opened(made)
    await until(lambda: len(made.receiver.payloads) == 2 * len(payloads), "all echoes")
    assert made.receiver.payloads == payloads * 2
    assert made.receiver.octets_sent == 2 * sum(map(len, payloads))
    made.flow.close()


async def test_the_oldest_that_wait_are_dropped(engine: Engine, server: FakeServer, echo: Endpoint) -> None:
    """So many datagrams and no more wait for the association; only what goes counts as sent."""
    made = make(engine, server.address, echo)
    for number in range(MAX_WAITING + 5):
        assert made.flow.send_payload(bytes([number]))
    assert made.receiver.octets_sent == 0
    await until(lambda: len(made.receiver.payloads) == MAX_WAITING, "the echoes")
    assert made.receiver.payloads == [bytes([number]) for number in range(5, MAX_WAITING + 5)]
    assert (made.receiver.octets_sent, made.receiver.drops) == (MAX_WAITING, 0)
    made.flow.close()


@pytest.mark.parametrize("closed", [True, False])
async def test_what_still_waits_at_the_end_is_dropped(
    engine: Engine, server: FakeServer, echo: Endpoint, *, closed: bool
) -> None:
    """And counted: where the association fails, and where its flow is closed before it is there."""
    act = Act.STALL if closed else Act.CLOSE
    server.script = Script(at=Stage.REPLY, act=act)

    made = make(engine, server.address, echo)
    for _ in range(3):
        assert made.flow.send_payload(b"ping")
    if closed:
        made.flow.close()
    else:
        await lost(made)
    assert (made.receiver.octets_sent, made.receiver.drops) == (0, 3)


async def test_one_that_waits_and_cannot_go_is_dropped(
    engine: Engine, server: FakeServer, echo: Endpoint
) -> None:
    """Such as one that is too large; those behind it go."""
    made = make(engine, server.address, echo)
    assert made.flow.send_payload(bytes(65_500))  # 3 more than UDP bears, with its header
    assert await made.echo(b"ping") == b"ping"
    assert (made.receiver.octets_sent, made.receiver.drops) == (4, 1)
    made.flow.close()


async def test_a_datagram_that_does_not_fit_is_dropped(
    engine: Engine, server: FakeServer, echo: Endpoint
) -> None:
    """With its header it is too large for UDP; the association lives on."""
    made = make(engine, server.address, echo)
    await opened(made)
    assert not made.flow.send_payload(bytes(65_507))
    assert await made.echo(b"ping") == b"ping"
    made.flow.close()


# who may send to us, and what


@pytest.mark.parametrize("batch", [best_batch, PlainBatch])
async def test_other_senders_are_not_heard(engine: Engine, server: FakeServer, echo: Endpoint) -> None:
    """Valid datagrams from another port of the server reach nobody."""
    made = make(engine, server.address, echo)
    assert await made.echo(b"first") == b"first"
    server.inject(session_of(server), encode_header(echo) + b"forged", from_elsewhere=True)
    assert await made.echo(b"second") == b"second"
    assert (made.receiver.payloads, made.receiver.drops) == ([b"first", b"second"], 0)
    made.flow.close()


@pytest.mark.parametrize(
    "datagram",
    [
        b"",
        b"\0\0\0",
        b"\0\0\0\1\x7f\0\0\1",
        b"\0\1\0" + address_octets("127.0.0.1", 7) + b"RSV",
        b"\0\0\1" + address_octets("127.0.0.1", 7) + b"FRAG",
        b"\0\0\0\7\0\0\0\0\0\0 ATYP",
        b"\0\0\0" + address_octets("127.0.0.2", 7) + b"another host",
        b"\0\0\0" + address_octets("127.0.0.1", 8) + b"another port",
        b"\0\0\0" + address_octets("echo.test", 7) + b"a name",
    ],
)
@pytest.mark.parametrize("batch", [best_batch, PlainBatch])
async def test_what_is_not_from_the_remote_is_dropped(
    engine: Engine, server: FakeServer, datagram: bytes
) -> None:
    """It is counted, and those before and after it are delivered."""
    remote = Endpoint("127.0.0.1", 7)
    good = encode_header(remote)

    made = make(engine, server.address, remote)
    await opened(made)
    made.flow.send_payload(b"so that the server knows where we are")
    await until(lambda: session_of(server).relay.client, "known")  # type: ignore[union-attr]
    for each in (good + b"before", datagram, good + b"after"):
        server.inject(session_of(server), each, from_elsewhere=False)
    await until(lambda: len(made.receiver.payloads) == 2, "the good ones")
    assert (made.receiver.payloads, made.receiver.drops) == ([b"before", b"after"], 1)
    made.flow.close()


async def test_a_name_is_answered_by_its_address(engine: Engine, server: FakeServer, echo: Endpoint) -> None:
    """The server resolves it, and its answers name what it found; only the port must be the same."""
    server.names["echo.test"] = (echo.host, 0)

    made = make(engine, server.address, Endpoint("echo.test", echo.port))
    assert await made.echo(b"ping") == b"ping"
    session = session_of(server)
    others = (("192.0.2.1", echo.port), ("192.0.2.1", echo.port + 1), ("echo.test", echo.port))
    for host, port in others:
        server.inject(session, b"\0\0\0" + address_octets(host, port) + host.encode(), from_elsewhere=False)
    await until(lambda: len(made.receiver.payloads) == 3, "both")
    assert made.receiver.payloads == [b"ping", b"192.0.2.1", b"echo.test"]
    assert made.receiver.drops == 1
    assert session.relay is not None
    assert session.relay.received == [(("echo.test", echo.port), b"ping")]
    made.flow.close()


async def test_a_receiver_may_close_the_flow_while_it_receives(engine: Engine, server: FakeServer) -> None:
    """What lies behind in the same batch is nobody's then."""
    remote = Endpoint("127.0.0.1", 7)

    made = make(engine, server.address, remote)
    await opened(made)
    made.flow.send_payload(b"so that the server knows where we are")
    await until(lambda: session_of(server).relay.client, "known")  # type: ignore[union-attr]
    seen: list[range] = []

    def close_at_once(batch: Batch, indices: range, skip: int) -> None:
        seen.append(indices)
        made.flow.close()

    made.receiver.received = close_at_once  # type: ignore[method-assign]
    header = encode_header(remote)
    for datagram in (header + b"1", header + b"2", b"between", header + b"3"):
        server.inject(session_of(server), datagram, from_elsewhere=False)
    await until(lambda: session_of(server).finished, "closed")
    assert len(seen) == 1


async def test_many_datagrams_at_once(engine: Engine, server: FakeServer) -> None:
    """More than a few full batches: each comes, in order."""
    remote = Endpoint("127.0.0.1", 7)

    made = make(engine, server.address, remote)
    await opened(made)
    made.flow.send_payload(b"so that the server knows where we are")
    await until(lambda: session_of(server).relay.client, "known")  # type: ignore[union-attr]
    payloads = [number.to_bytes(2, "big") for number in range(5 * SLOTS)]
    for payload in payloads:
        server.inject(session_of(server), encode_header(remote) + payload, from_elsewhere=False)
    await until(lambda: len(made.receiver.payloads) == len(payloads), "all")
    assert made.receiver.payloads == payloads
    made.flow.close()


# the control connection


@pytest.mark.parametrize("poller", POLLERS)
@pytest.mark.parametrize("how", ["fin", "rst"])
async def test_the_end_of_the_control_connection_is_the_associations(
    engine: Engine, server: FakeServer, echo: Endpoint, how: str
) -> None:
    """After it was of use, that is no error: a new one may do."""
    made = make(engine, server.address, echo)
    assert await made.echo(b"ping") == b"ping"
    if how == "fin":
        in_server(server, lambda: session_of(server).connection.shutdown(socket.SHUT_WR))
    else:
        server.stop()
    assert await lost(made) is None
    made.association.end(None)
    assert not made.owner.endings[1:]
    if how == "rst":
        server.start()


@pytest.mark.parametrize("poller", POLLERS)
@pytest.mark.parametrize("act", [Act.CLOSE, Act.RESET])
async def test_one_that_is_closed_at_once_is_an_error(
    engine: Engine, server: FakeServer, echo: Endpoint, act: Act
) -> None:
    """Such a server relays no datagrams."""
    server.script = Script(at=Stage.RELAY, act=act)

    made = make(engine, server.address, echo)
    assert await lost(made) == "udp-unsupported"
    assert "closes each association at once" in made.receiver.losses[0].problem.text  # type: ignore[union-attr]


@pytest.mark.parametrize("poller", POLLERS)
async def test_the_end_may_come_with_the_reply(engine: Engine) -> None:
    """The FIN that lies behind the reply is seen, though no further edge tells of it."""

    def play(sock: socket.socket) -> None:
        exactly(sock, 3)
        sock.sendall(b"\5\0")
        exactly(sock, 10)
        send_with_fin(sock, b"\5\0\0\1\x7f\0\0\1\0\7")
        until_end(sock)

    with raw_server(play) as address:
        assert await lost(make(engine, address, Endpoint("127.0.0.1", 7))) == "udp-unsupported"


async def test_one_that_lasted_for_a_while_simply_ends(
    engine: Engine, server: FakeServer, echo: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where no datagram ever came back: some are only sent."""
    monkeypatch.setattr(module, "BRIEF_S", 0.0)

    made = make(engine, server.address, echo)
    await opened(made)
    assert made.association.lasts(engine.clock())
    in_server(server, lambda: session_of(server).connection.shutdown(socket.SHUT_WR))
    assert await lost(made) is None


async def test_it_lasts_only_once_it_is_open(
    engine: Engine, server: FakeServer, echo: Endpoint, clock: FakeClock
) -> None:
    """Waiting for the server is no proof of anything."""
    made = make(engine, server.address, echo)
    assert not made.association.lasts(clock() + 1e9)
    await opened(made)
    assert not made.association.lasts(clock() + BRIEF_S - 0.1)
    assert made.association.lasts(clock() + BRIEF_S)
    made.flow.close()


@pytest.mark.parametrize("poller", POLLERS)
async def test_octets_on_the_control_connection_mean_nothing(
    engine: Engine, server: FakeServer, echo: Endpoint
) -> None:
    """However many: datagrams pass meanwhile, and the end behind them is seen."""
    server.script = Script(at=Stage.RELAY, act=Act.SAY, text=bytes(1_000_000))

    made = make(engine, server.address, echo)
    for _ in range(5):
        assert await made.echo(b"ping") == b"ping"
    in_server(server, lambda: session_of(server).connection.shutdown(socket.SHUT_WR))
    assert await lost(made) is None


async def test_nothing_is_written_on_the_control_connection(
    engine: Engine, server: FakeServer, echo: Endpoint
) -> None:
    """Some servers end the association at any octet."""
    made = make(engine, server.address, echo)
    assert await made.echo(b"ping") == b"ping"
    made.flow.close()
    await until(lambda: session_of(server).finished, "the server saw the end")
    assert session_of(server).segments == [b"\5\1\0", b"\5\3\0\1\0\0\0\0\0\0"]


# the relay


@pytest.mark.parametrize("host", ["0.0.0.0", "10.9.8.7", "169.254.1.1", "224.0.0.1", "255.255.255.255", ""])
async def test_datagrams_go_to_the_server_whatever_it_names(
    engine: Engine, server: FakeServer, echo: Endpoint, host: str
) -> None:
    """What cannot be its relay's address is replaced by the server's own: nothing leaves to anyone else."""
    server.script = Script(bound_host=host)

    made = make(engine, server.address, echo)
    assert await made.echo(b"ping") == b"ping"
    made.flow.close()


async def test_a_relay_without_port_is_an_error(engine: Engine, server: FakeServer, echo: Endpoint) -> None:
    """There is nothing to send to; the problem tells what to set."""
    server.script = Script(bound=address_octets("127.0.0.1", 0))

    made = make(engine, server.address, echo)
    assert await lost(made) == "udp-relay-invalid"
    assert made.receiver.losses[0].problem.remedy == "set udp_address in [server.office]"  # type: ignore[union-attr]
    assert made.owner.openings == 0


@pytest.mark.parametrize("name", ["127.0.0.1", "relay.test"])
async def test_the_users_address_overrides_the_servers(
    engine: Engine, server: FakeServer, echo: Endpoint, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The port stays the one that the server names; a name is resolved here."""
    server.script = Script(bound_host="127.0.0.3")
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 1))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)

    override = ServerAddresses(Endpoint(name, 1), engine.clock)
    made = make(engine, server.address, echo, override=override)
    assert await made.echo(b"ping") == b"ping"
    made.flow.close()


async def test_an_override_without_address_is_an_error(
    engine: Engine, server: FakeServer, echo: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the user set is not passed over in silence."""

    def unknown(*_: object, **__: object) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)

    override = ServerAddresses(Endpoint("relay.test", 1), engine.clock)
    made = make(engine, server.address, echo, override=override)
    assert await lost(made) == "udp-address-unknown"


async def test_an_association_may_end_while_the_override_is_looked_up(
    engine: Engine, server: FakeServer, echo: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The late answer opens nothing."""
    override: list[ServerAddresses] = []

    override.append(ServerAddresses(Endpoint("relay.test", 1), engine.clock))
    monkeypatch.setattr(override[0], "find", override[0]._waiting.setdefault)
    made = make(engine, server.address, echo, override=override[0])
    await until(lambda: override[0]._waiting, "the look-up has begun")
    made.flow.close()
    assert override[0]._waiting == {}
    made.association._located([(socket.AF_INET, ("127.0.0.1", 1))])
    assert made.owner.openings == 0


async def test_a_relay_that_is_gone_before_any_use_is_an_error(
    engine: Engine, server: FakeServer, echo: Endpoint
) -> None:
    """Its system says so (ICMP), though the control connection lives."""
    server.script = Script(bound_host="127.0.0.3")

    made = make(engine, server.address, echo)
    await opened(made)
    made.flow.send_payload(b"ping")
    assert await lost(made) == "udp-relay-invalid"
    assert "127.0.0.3" in made.receiver.losses[0].problem.text  # type: ignore[union-attr]


async def test_a_relay_that_is_gone_after_use_ends_the_association(
    engine: Engine, server: FakeServer, echo: Endpoint
) -> None:
    """Dante's dies of one datagram: a new association is what helps."""
    server.script = Script(udp=UdpScript())

    made = make(engine, server.address, echo)
    assert await made.echo(b"ping") == b"ping"
    in_server(server, session_of(server).relay.close)  # type: ignore[union-attr]
    made.flow.send_payload(b"into the void")
    assert await lost(made) is None


async def test_one_datagram_may_have_the_server_close_the_association(
    engine: Engine, server: FakeServer, echo: Endpoint
) -> None:
    """If it is the first one, it is as with a server that closes each at once."""
    server.script = Script(udp=UdpScript(fault=UdpFault.CONTROL_CLOSED))

    made = make(engine, server.address, echo)
    made.flow.send_payload(b"ping")
    assert await lost(made) == "udp-unsupported"


@pytest.mark.parametrize(
    ("number", "code"), [(errno.EMFILE, "descriptors-exhausted"), (errno.ENETUNREACH, "udp-relay-invalid")]
)
async def test_no_socket_to_the_relay(
    engine: Engine,
    server: FakeServer,
    echo: Endpoint,
    monkeypatch: pytest.MonkeyPatch,
    *,
    number: int,
    code: str,
) -> None:
    """Exhausted descriptors are ours; any other error is the relay's address."""

    def no_socket(*_: object) -> socket.socket:
        raise OSError(number, "no")

    monkeypatch.setattr(module, "relay_socket", no_socket)

    assert await lost(make(engine, server.address, echo)) == code


# failures before there is one


@pytest.mark.parametrize(
    ("script", "code", "answers"),
    [
        (Script(reply=7), "udp-unsupported", True),
        (Script(reply=2), "udp-unsupported", True),
        (Script(at=Stage.REPLY, act=Act.CLOSE), "udp-unsupported", True),
        (Script(method=0xFF), "server-no-method", False),
    ],
)
async def test_a_server_that_makes_none(
    engine: Engine, server: FakeServer, echo: Endpoint, *, script: Script, code: str, answers: bool
) -> None:
    """Refused, or hung up on: the reason is told, and whether the server itself works."""
    server.script = script

    made = make(engine, server.address, echo)
    assert await lost(made) == code
    (error,) = made.receiver.losses
    assert isinstance(error, DialError)
    assert error.server_answers == answers


async def test_closing_before_it_is_made(engine: Engine, server: FakeServer, echo: Endpoint) -> None:
    """The dial is cancelled, and nobody hears anything; a flow of another association changes nothing."""
    server.script = Script(at=Stage.REPLY, act=Act.STALL)

    made, other = make(engine, server.address, echo), make(engine, server.address, echo)
    await until(lambda: len(server.sessions) == 2, "both under way")
    made.association.detach(other.flow)
    assert made.owner.endings == []
    made.flow.close()
    other.flow.close()
    await until(lambda: all(session.finished for session in server.sessions), "the server saw the end")
    assert made.receiver.losses == []
    assert made.owner.endings == [(None, None)]
