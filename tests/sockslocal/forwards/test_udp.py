import contextlib
import errno
import logging
import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from fakes.engine import POLLERS, FakeClock, turns, until
from fakes.servers import NOBODY, Servers
from fakes.socks5_relay import Relay
from fakes.socks5_server import Act, FakeServer, Script, Stage, UdpFault, UdpScript
from fakes.socks5_wire import address_octets
from fakes.targets import udp_echo
from sockslocal.address import Endpoint
from sockslocal.config.model import Limits, UdpForwardConfig
from sockslocal.errors import CredentialsError, ListenError
from sockslocal.forwards.udp import UdpForward
from sockslocal.net import broker
from sockslocal.net.datagrams import SLOTS, PlainBatch, best_batch
from sockslocal.net.engine import Engine
from sockslocal.net.route import Route
from sockslocal.socks5.datagram import encode_header
from sockslocal.status import Bytes, Connections, Forward

ANY_PORT = Endpoint("127.0.0.1", 0)

pytestmark = pytest.mark.usefixtures("sweep_often")


def forward_to(
    engine: Engine,
    route: Route,
    *targets: Endpoint,
    listen: tuple[Endpoint, ...] = (ANY_PORT,),
    idle: float = 60.0,
) -> UdpForward:
    """An open forward."""
    config = UdpForwardConfig(name="game", listen=listen, to=targets, servers=("office",), idle=idle)
    forward = UdpForward(engine, config, route)
    forward.open()
    return forward


def shown(forward: UdpForward) -> Forward:
    """What `status` shows."""
    return forward.snapshot("listening", None)


def problem_of(forward: UdpForward) -> str | None:
    """The code of the problem that is shown."""
    problem = shown(forward).problem
    return problem.code if problem else None


class Program:
    """A local program's socket."""

    def __init__(self, forward: UdpForward, index: int = 0) -> None:
        self.address = forward._listeners[index].sock.getsockname()
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.setblocking(False)
        self.sock.bind(("127.0.0.1", 0))
        self.received: list[bytes] = []

    def send(self, *payloads: bytes) -> None:
        """Send to the forward."""
        for payload in payloads:
            self.sock.sendto(payload, self.address)

    def collect(self) -> int:
        """Take what has come; gives how many datagrams came in all."""
        with contextlib.suppress(BlockingIOError):
            while True:
                self.received.append(self.sock.recvfrom(65_535)[0])
        return len(self.received)

    async def echo(self, *payloads: bytes) -> None:
        """Send, and see that just that comes back."""
        before = self.collect()
        self.send(*payloads)
        await until(lambda: self.collect() >= before + len(payloads), "the echoes")
        assert self.received[before:] == list(payloads)


@contextlib.contextmanager
def program(forward: UdpForward, index: int = 0) -> Iterator[Program]:
    """A program that sends to the forward."""
    running = Program(forward, index)
    with running.sock:
        yield running


def end_association(server: FakeServer) -> None:
    """Have the server close the control connection of the latest one."""

    async def end() -> None:
        server.sessions[-1].connection.shutdown(socket.SHUT_WR)

    server._thread.call(end())


def _relay(server: FakeServer) -> Relay:
    """The relay of the first association."""
    relay = server.sessions[0].relay
    assert relay is not None
    return relay


# datagrams


@pytest.mark.parametrize("poller", POLLERS)
@pytest.mark.parametrize("batch", [best_batch, PlainBatch])
async def test_datagrams_are_carried_to_the_target(
    engine: Engine, server: FakeServer, udp_target: Endpoint
) -> None:
    """And back, whole and counted."""
    servers = Servers(engine, server.address)
    forward = forward_to(engine, servers.route, udp_target)
    with program(forward) as local:
        for size in (1, 512, 1400, 9000, 60_000):
            await local.echo(bytes(size))
        await local.echo(*(bytes([number]) for number in range(100)))
    status = shown(forward)
    octets = 1 + 512 + 1400 + 9000 + 60_000 + 100
    assert (status.kind, status.connections) == ("udp", Connections(open=1, total=1, failed=0))
    assert (status.bytes, status.dropped) == (Bytes(sent=octets, received=octets), 0)
    assert (status.listen, status.to, status.server) == ("127.0.0.1:0", str(udp_target), "office")
    forward.close()
    await servers.closed()


async def test_each_program_gets_only_its_own(
    engine: Engine, server: FakeServer, udp_target: Endpoint
) -> None:
    """Two that talk to the same target, in turns and at the same time."""
    servers = Servers(engine, server.address)
    forward = forward_to(engine, servers.route, udp_target)
    with program(forward) as one, program(forward) as two:
        await one.echo(b"one")
        await two.echo(b"two")
        numbers = [bytes([number]) for number in range(40)]
        for number in numbers:
            one.send(number + b"one")
            two.send(number + b"two")
        await until(lambda: one.collect() > 40 and two.collect() > 40, "the echoes")
        assert one.received == [b"one", *(number + b"one" for number in numbers)]
        assert two.received == [b"two", *(number + b"two" for number in numbers)]
    assert shown(forward).connections == Connections(open=2, total=2, failed=0)
    forward.close()
    await servers.closed()


async def test_a_range_has_a_target_for_each_port(engine: Engine, server: FakeServer) -> None:
    """The first port leads to the first target, and so on."""
    servers = Servers(engine, server.address)
    with udp_echo() as first, udp_echo() as second:
        forward = forward_to(
            engine, servers.route, Endpoint(*first), Endpoint(*second), listen=(ANY_PORT,) * 2
        )
        for index in range(2):
            with program(forward, index) as local:
                await local.echo(b"ping")
    relays = [session.relay for session in server.sessions]
    assert [remote for relay in relays if relay for remote, _ in relay.received] == [first, second]
    forward.close()
    await servers.closed()


async def test_echoes_come_from_the_address_that_was_sent_to(
    engine: Engine, server: FakeServer, udp_target: Endpoint
) -> None:
    """A forward that listens everywhere is at each of them to who is connected with it."""
    servers = Servers(engine, server.address)
    forward = forward_to(engine, servers.route, udp_target, listen=(Endpoint("0.0.0.0", 0),))
    for host in ("127.0.0.1", "127.0.0.2"):
        with program(forward) as local:
            local.address = (host, local.address[1])
            local.sock.connect(local.address)
            await local.echo(b"ping", b"pong")
    forward.close()
    await servers.closed()


async def test_many_datagrams_at_once(engine: Engine, server: FakeServer, udp_target: Endpoint) -> None:
    """More than a full batch: each goes and comes back. What comes as it is closed is left behind."""
    servers = Servers(engine, server.address)
    forward = forward_to(engine, servers.route, udp_target)
    with program(forward) as local:
        await local.echo(b"open")
        local.send(*(bytes([number]) for number in range(2 * SLOTS)))
        await until(lambda: local.collect() == 2 * SLOTS + 1, "the echoes")
        sent = forward.sent
        local.send(b"left behind")
        forward.close()
        await turns()
        assert forward.sent == sent
    await servers.closed()


async def test_a_port_in_use(engine: Engine, server: FakeServer, udp_target: Endpoint) -> None:
    """None of a range is opened then."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))

        servers = Servers(engine, server.address)
        with pytest.raises(ListenError) as caught:
            forward_to(
                engine,
                servers.route,
                udp_target,
                udp_target,
                listen=(ANY_PORT, Endpoint(*taken.getsockname())),
            )
        assert caught.value.problem.code == "port-in-use"
        await servers.closed()


# associations that end


async def test_a_new_association_is_made_for_the_same_program(
    engine: Engine, server: FakeServer, udp_target: Endpoint
) -> None:
    """When the control connection ends, the next datagram from the same local socket works again."""
    servers = Servers(engine, server.address)
    forward = forward_to(engine, servers.route, udp_target)
    with program(forward) as local:
        for count in range(1, 4):
            await local.echo(b"ping")
            assert len(server.sessions) == count
            end_association(server)
            await until(lambda: shown(forward).connections.open == 0, "the flow has ended")
            assert problem_of(forward) is None
    forward.close()
    await servers.closed()


async def test_a_server_that_closes_associations_is_not_stormed(
    engine: Engine, server: FakeServer, udp_target: Endpoint, clock: FakeClock
) -> None:
    """However many datagrams come, it is asked at most once a second; the problem is shown, and cleared."""
    server.script = Script(udp=UdpScript(fault=UdpFault.CONTROL_CLOSED))

    servers = Servers(engine, server.address, udp="associate")
    forward = forward_to(engine, servers.route, udp_target)
    with program(forward) as local:
        local.send(b"!")
        await until(lambda: problem_of(forward), "the problem is shown")
        assert problem_of(forward) == "udp-unsupported"
        local.send(*[b"!"] * 99)
        await until(lambda: shown(forward).dropped == 99, "the others are dropped")
        assert shown(forward).bytes.sent == 1
        assert len(server.sessions) == 1
        assert shown(forward).connections == Connections(open=0, total=1, failed=1)
        clock.advance(2.0)
        server.script = Script()
        await local.echo(b"ping")
        assert problem_of(forward) is None
    forward.close()
    await servers.closed()


async def test_idle_flows_end(
    engine: Engine, server: FakeServer, udp_target: Endpoint, clock: FakeClock
) -> None:
    """After the forward's idle time without a datagram in either direction; the next one makes a new flow."""
    servers = Servers(engine, server.address)
    forward = forward_to(engine, servers.route, udp_target, idle=5.0)
    with program(forward) as local:
        await local.echo(b"ping")
        for _ in range(3):
            clock.advance(4.0)
            await turns(20)
            await local.echo(b"ping")
        assert len(server.sessions) == 1
        clock.advance(5.0)
        await until(lambda: shown(forward).connections.open == 0, "the flow has ended")
        await until(lambda: server.sessions[0].finished, "the server saw the end")
        await local.echo(b"ping")
        assert shown(forward).connections == Connections(open=1, total=2, failed=0)
    forward.close()
    await servers.closed()


@pytest.mark.parametrize("direction", ["sent", "received"])
async def test_one_direction_keeps_a_flow(
    engine: Engine, server: FakeServer, udp_target: Endpoint, direction: str, clock: FakeClock
) -> None:
    """Some targets never answer, and some are asked only once."""
    if direction == "sent":
        server.script = Script(udp=UdpScript(fault=UdpFault.DROP))

    servers = Servers(engine, server.address)
    forward = forward_to(engine, servers.route, udp_target, idle=5.0)
    with program(forward) as local:
        local.send(b"ping")
        await until(lambda: server.sessions and server.sessions[0].relay, "there is an association")
        await until(lambda: _relay(server).received, "the first one passed")
        for count in range(2, 5):
            clock.advance(4.0)
            await turns(20)
            if direction == "sent":
                local.send(b"ping")
                await until(lambda count=count: len(_relay(server).received) == count, "it passed")  # type: ignore[misc]
            else:
                server.inject(server.sessions[0], encode_header(udp_target) + b"pong", from_elsewhere=False)
                await until(lambda count=count: local.collect() == count, "it passed")  # type: ignore[misc]
        assert shown(forward).connections == Connections(open=1, total=1, failed=0)
    forward.close()
    await servers.closed()


class DeafBatch(PlainBatch):
    """Delivers nothing to programs."""

    def send(self, sock: socket.socket, indices: range, **options: Any) -> int:
        return 0 if options.get("peer") else super().send(sock, indices, **options)


@pytest.mark.parametrize("batch", [DeafBatch])
async def test_what_the_program_does_not_take_is_counted(
    engine: Engine, server: FakeServer, udp_target: Endpoint
) -> None:
    """Its datagrams are dropped on the last few centimetres."""
    servers = Servers(engine, server.address)
    forward = forward_to(engine, servers.route, udp_target)
    with program(forward) as local:
        local.send(b"ping")
        await until(lambda: shown(forward).dropped, "it is dropped")
        assert shown(forward).dropped == 1
        assert shown(forward).bytes == Bytes(sent=4, received=4)
    forward.close()
    await servers.closed()


async def test_many_local_ports_fill_no_table(
    engine: Engine, server: FakeServer, udp_target: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A spray from 5,000 ports: the tables stay bounded, and a flow in use is not evicted."""
    servers = Servers(engine, server.address, limits=Limits(associations=20))
    forward = forward_to(engine, servers.route, udp_target)
    with program(forward) as local:
        await local.echo(b"ping")
        for number in range(5_000):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
                other.bind((f"127.0.{number // 200}.{1 + number % 200}", 0))
                other.sendto(b"spray", local.address)
            if number % 50 == 0:
                await turns(1)
                await local.echo(bytes([number // 50]))
        assert shown(forward).connections.open <= 20
        assert len(forward._listeners[0].sessions) <= 20
        assert servers["office"].udp.broker.associations <= 20
        assert problem_of(forward) == "udp-flows-exhausted"
        assert shown(forward).dropped > 4_000
        assert len(server.sessions) <= 20
        await local.echo(b"pong")
    forward.close()
    await servers.closed()


# what is not carried


@pytest.mark.parametrize(
    "script",
    [
        UdpScript(reserved=b"\0\1"),
        UdpScript(fragment=1),
        UdpScript(header_address=address_octets("192.0.2.1", 9)),
        UdpScript(fault=UdpFault.TRUNCATED),
    ],
)
async def test_what_comes_from_elsewhere_is_dropped_and_counted(
    engine: Engine, server: FakeServer, udp_target: Endpoint, script: UdpScript
) -> None:
    """The program hears nothing of it."""
    server.script = Script(udp=script)

    servers = Servers(engine, server.address)
    forward = forward_to(engine, servers.route, udp_target)
    with program(forward) as local:
        server.script = Script()
        await local.echo(b"a server that names the remote")
        end_association(server)
        await until(lambda: shown(forward).connections.open == 0, "the flow has ended")
        server.script = Script(udp=script)
        local.send(b"one", b"two")
        await until(lambda: shown(forward).dropped == 2, "both are dropped")
        assert local.collect() == 1
        assert shown(forward).bytes == Bytes(sent=36, received=30)
    forward.close()
    await servers.closed()


@pytest.mark.parametrize(
    ("script", "code"),
    [
        (Script(reply=7), "udp-unsupported"),
        (Script(at=Stage.REPLY, act=Act.CLOSE), "udp-unsupported"),
        (Script(bound=address_octets("127.0.0.1", 0)), "udp-relay-invalid"),
    ],
)
async def test_a_server_without_udp_is_shown(
    engine: Engine, server: FakeServer, udp_target: Endpoint, script: Script, code: str
) -> None:
    """In the server's rung and as the forward's problem, with a remedy, instead of hanging."""
    server.script = script

    servers = Servers(engine, server.address)
    forward = forward_to(engine, servers.route, udp_target)
    other = forward_to(engine, servers.route, udp_target)
    with program(forward) as local:
        local.send(b"ping")
        await until(lambda: shown(forward).connections.failed, "it failed")
        for shows in (forward, other):
            problem = shown(shows).problem
            assert problem is not None
            assert problem.code == code
            assert problem.remedy
        assert servers["office"].snapshot().udp == "none"
        assert local.collect() == 0
    forward.close()
    other.close()
    await servers.closed()


async def test_a_relay_that_is_not_where_the_server_says(
    engine: Engine, server: FakeServer, udp_target: Endpoint
) -> None:
    """It is looked for at the server's own address, and nothing is lost meanwhile."""
    server.script = Script(bound_host="127.0.0.3")

    servers = Servers(engine, server.address)
    forward = forward_to(engine, servers.route, udp_target)
    with program(forward) as local:
        await local.echo(b"ping")
        assert problem_of(forward) is None
        assert servers["office"].snapshot().udp == "associate"
    forward.close()
    await servers.closed()


async def test_udp_switched_off_is_shown_from_the_start(
    engine: Engine, server: FakeServer, udp_target: Endpoint
) -> None:
    """No association is ever tried; datagrams are dropped and counted, and the remedy says what to change."""
    servers = Servers(engine, server.address, udp="off")
    forward = forward_to(engine, servers.route, udp_target)
    problem = shown(forward).problem
    assert problem is not None
    assert problem.remedy == 'set udp = "auto" in [server.office]'
    with program(forward) as local:
        local.send(b"one", b"two")
        await until(lambda: shown(forward).dropped == 2, "dropped")
    assert problem_of(forward) == "udp-off"
    assert shown(forward).connections == Connections()
    assert server.sessions == []
    assert servers["office"].snapshot().udp == "none"
    forward.close()
    await servers.closed()


async def test_a_server_that_is_down_and_returns(
    engine: Engine,
    server: FakeServer,
    udp_target: Endpoint,
    caplog: pytest.LogCaptureFixture,
    clock: FakeClock,
) -> None:
    """Its problem is shown, and logged once; when it has returned the same program is served again."""
    caplog.set_level(logging.INFO)
    server.stop()

    servers = Servers(engine, server.address)
    forward = forward_to(engine, servers.route, udp_target)
    with program(forward) as local:
        for _ in range(5):
            local.send(b"lost")
            await until(lambda: problem_of(forward) == "server-unreachable", "the problem is shown")
            await turns()
            clock.advance(1.25)
        assert servers["office"].snapshot().udp == "unknown"
        assert caplog.text.count("! forward game: ") == 1
        server.start()
        await local.echo(b"ping")
        assert problem_of(forward) is None
    forward.close()
    await servers.closed()


async def test_a_password_that_is_not_there_yet_blackholes_nobody(
    engine: Engine, server: FakeServer, udp_target: Endpoint, clock: FakeClock
) -> None:
    """Datagrams are dropped while the keyring is locked; once it is not, those of the same program pass."""
    servers = Servers(engine, server.address)
    login = servers["office"].way.login
    login.settle(CredentialsError.of("needs-unlock", server="office", reason="is locked"))
    forward = forward_to(engine, servers.route, udp_target)
    with program(forward) as local:
        local.send(b"one")
        await until(lambda: problem_of(forward) == "needs-unlock", "the problem is shown")
        assert shown(forward).connections == Connections()
        login.settle(None)
        clock.advance(1.25)
        await local.echo(b"ping")
        assert problem_of(forward) is None
    forward.close()
    await servers.closed()


async def test_the_second_server_is_taken_when_the_first_is_down(
    engine: Engine, server: FakeServer, udp_target: Endpoint
) -> None:
    """From the next datagram on."""
    servers = Servers(engine, NOBODY, server.address)
    forward = forward_to(engine, servers.route, udp_target)
    with program(forward) as local:
        local.send(b"lost")
        await until(lambda: problem_of(forward) == "server-unreachable", "the first is down")
        await local.echo(b"ping")
        assert problem_of(forward) is None
        assert shown(forward).server == "home"
    forward.close()
    await servers.closed()


# switching


async def test_closing_ends_flows_and_frees_the_port(
    engine: Engine, server: FakeServer, udp_target: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Off, then on again on the same port, for the same program."""
    monkeypatch.setattr(broker, "LINGER_S", 0.0)
    servers = Servers(engine, server.address)
    forward = forward_to(engine, servers.route, udp_target)
    with program(forward) as local, program(forward) as waiting:
        await local.echo(b"ping")
        server.script = Script(at=Stage.REPLY, act=Act.STALL)
        waiting.send(b"waits")
        await until(lambda: shown(forward).connections.open == 2, "both")
        forward.close()
        assert shown(forward).connections.open == 0
        await until(lambda: all(session.finished for session in server.sessions), "the server saw the ends")
        server.script = Script()
        again = forward_to(engine, servers.route, udp_target, listen=(Endpoint(*local.address),))
        await local.echo(b"pong")
    again.close()
    forward.close()
    await servers.closed()


async def test_what_waits_for_an_association_that_fails_is_not_sent(
    engine: Engine, server: FakeServer, udp_target: Endpoint
) -> None:
    """It counts as dropped."""
    server.script = Script(at=Stage.REPLY, act=Act.STALL)

    servers = Servers(engine, server.address)
    forward = forward_to(engine, servers.route, udp_target)
    with program(forward) as local:
        local.send(b"one", b"two", b"three")
        await until(lambda: server.sessions and server.sessions[0].segments, "they wait")
        assert shown(forward).bytes == Bytes(sent=0, received=0)
        await servers.closed()
        assert shown(forward).bytes == Bytes(sent=0, received=0)
        assert shown(forward).dropped == 3
    forward.close()


async def test_what_cannot_be_watched_is_not_listened_on(
    engine: Engine, server: FakeServer, udp_target: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The forward is open as a whole or not at all; nothing of it is left open."""
    servers = Servers(engine, server.address)
    watch, watched = engine.poller._watch, list[socket.socket]()

    def full(sock: socket.socket) -> None:
        watched.append(sock)
        if len(watched) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        watch(sock)

    monkeypatch.setattr(engine.poller, "_watch", full)
    with pytest.raises(ListenError, match="no more sockets can be watched"):
        forward_to(engine, servers.route, udp_target, udp_target, udp_target, listen=(ANY_PORT,) * 3)
    assert [sock.fileno() for sock in watched] == [-1, -1]
    assert engine.poller.watched == 0
    await servers.closed()


async def test_a_forward_that_is_closed_has_no_problem(engine: Engine, udp_target: Endpoint) -> None:
    """What failed while it was open is not shown of one that is off, nor when it is on again."""
    servers = Servers(engine, NOBODY)
    forward = forward_to(engine, servers.route, udp_target)
    with program(forward) as local:
        local.send(b"ping")
        await until(lambda: problem_of(forward) == "server-unreachable", "it is shown")
    forward.close()
    assert problem_of(forward) is None
    await servers.closed()


async def test_flows_move_to_a_server_that_was_replaced(
    engine: Engine, server: FakeServer, udp_target: Endpoint
) -> None:
    """The old one ends its associations; the next datagram goes by the new one."""
    with FakeServer() as other:
        servers = Servers(engine, server.address)
        forward = forward_to(engine, servers.route, udp_target)
        with program(forward) as local:
            await local.echo(b"ping")
            await servers.closed()
            assert shown(forward).connections.open == 0
            servers.update(Servers(engine, other.address))
            await local.echo(b"pong")
        assert (len(server.sessions), len(other.sessions)) == (1, 1)
        forward.close()
        await servers.closed()


async def test_a_session_without_flow_takes_nothing(
    engine: Engine, server: FakeServer, udp_target: Endpoint
) -> None:
    """One whose flow has just been lost counts what it is given as dropped."""
    servers = Servers(engine, server.address)
    forward = forward_to(engine, servers.route, udp_target)
    with program(forward) as local:
        await local.echo(b"ping")
        (session,) = forward._listeners[0].sessions.values()
        session.lost(None)
        count: Any = session.send(engine.batch, range(1))
        assert count == 0
    forward.close()
    await servers.closed()
