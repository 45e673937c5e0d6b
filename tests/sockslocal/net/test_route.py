import asyncio
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fakes.engine import POLLERS, Told, turns, until
from fakes.flows import FakeReceiver
from fakes.raw_server import exactly, raw_server, until_end
from fakes.servers import NOBODY, Servers
from fakes.socks5_server import Act, FakeServer, Script, Stage
from sockslocal.address import Endpoint
from sockslocal.errors import ServerError
from sockslocal.net import route as module
from sockslocal.net.engine import Engine
from sockslocal.net.route import Route
from sockslocal.socks5.datagram import encode_header

TARGET = Endpoint("db.internal", 5432)

pytestmark = pytest.mark.usefixtures("sweep_often")


@pytest.fixture
def first() -> Iterator[FakeServer]:
    """A server without login."""
    with FakeServer() as running:
        yield running


@pytest.fixture
def second() -> Iterator[FakeServer]:
    """Another one."""
    with FakeServer() as running:
        yield running


async def crossed(engine: Engine, route: Route, target: Endpoint = TARGET) -> str:
    """The server by which a connection came about, or the problem's code."""
    done, failed = Told(), Told()
    route.connect(target, done, failed)
    await until(lambda: done.calls or failed.calls, "told")
    await turns()
    assert len(done.calls) + len(failed.calls) == 1
    if failed.calls:
        return str(failed.last.problem.code)
    engine.poller.close(done.last.sock)
    return str(done.last.way.name)


# connections


async def test_the_first_server_is_taken(
    engine: Engine, first: FakeServer, second: FakeServer, tcp_target: Endpoint
) -> None:
    """The second one hears nothing."""
    servers = Servers(engine, first.address, second.address)
    assert await crossed(engine, servers.route, tcp_target) == "office"
    assert servers.route.name == "office"
    assert (len(first.sessions), len(second.sessions)) == (1, 0)
    await servers.closed()


async def test_the_second_is_taken_when_the_first_is_down(
    engine: Engine, second: FakeServer, tcp_target: Endpoint
) -> None:
    """For the connection that finds out, and from then on without trying the first one again."""
    servers = Servers(engine, NOBODY, second.address)
    assert await crossed(engine, servers.route, tcp_target) == "home"
    assert servers["office"].state == "down"
    assert servers.route.name == "home"
    assert await crossed(engine, servers.route, tcp_target) == "home"
    await servers.closed()


async def test_the_first_is_taken_again_when_it_has_returned(
    engine: Engine,
    first: FakeServer,
    second: FakeServer,
    tcp_target: Endpoint,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is looked for by itself, without a connection having to fail."""
    monkeypatch.setattr("sockslocal.net.server.FIRST_RETRY_S", 0.02)
    first.stop()

    servers = Servers(engine, first.address, second.address)
    assert await crossed(engine, servers.route, tcp_target) == "home"
    first.start()
    await until(lambda: servers["office"].state == "up", "it is back")
    assert await crossed(engine, servers.route, tcp_target) == "office"
    await servers.closed()


@pytest.mark.parametrize(
    "script",
    [
        Script(at=Stage.METHOD, act=Act.CLOSE),
        Script(at=Stage.METHOD, act=Act.RESET),
        Script(at=Stage.METHOD, act=Act.SAY, text=b"HTTP/1.1 400 Bad Request\r\n\r\n"),
        Script(method=0xFF),
    ],
)
async def test_one_that_does_not_work_is_as_good_as_down(
    engine: Engine, first: FakeServer, second: FakeServer, tcp_target: Endpoint, script: Script
) -> None:
    """Whatever keeps it from answering the request."""
    first.script = script

    servers = Servers(engine, first.address, second.address)
    assert await crossed(engine, servers.route, tcp_target) == "home"
    await servers.closed()


@pytest.mark.parametrize("script", [Script(reply=5), Script(at=Stage.REPLY, act=Act.CLOSE)])
async def test_a_refused_target_is_not_asked_for_elsewhere(
    engine: Engine, first: FakeServer, second: FakeServer, script: Script
) -> None:
    """The server has spoken."""
    first.script = script

    servers = Servers(engine, first.address, second.address)
    assert await crossed(engine, servers.route) == "target-refused"
    assert second.sessions == []
    await servers.closed()


async def test_the_last_error_is_told_when_none_works(engine: Engine) -> None:
    """One call, after all were tried; one that is down is tried too, as the last."""
    servers = Servers(engine, NOBODY, NOBODY)
    for _ in range(2):
        assert await crossed(engine, servers.route) == "server-unreachable"
    assert servers.route.name == "office"
    await servers.closed()


async def test_without_a_server_the_tunnel_is_off(engine: Engine) -> None:
    """Names are looked up at each use; where none is there, that is told at once."""
    route = Route({}, ("office",))
    assert route.name == "office"
    assert route.udp_problem is None
    assert await crossed(engine, route) == "tunnel-off"
    with pytest.raises(ServerError) as caught:
        route.open(TARGET, FakeReceiver(), 60.0)
    assert caught.value.problem.code == "tunnel-off"


async def test_a_server_may_be_replaced(
    engine: Engine, first: FakeServer, second: FakeServer, tcp_target: Endpoint
) -> None:
    """The route finds the one that has its name now."""
    servers = Servers(engine, first.address)
    route = servers.route
    assert await crossed(engine, route, tcp_target) == "office"
    await servers.closed()
    servers.update(Servers(engine, second.address))
    assert await crossed(engine, route, tcp_target) == "office"
    assert (len(first.sessions), len(second.sessions)) == (1, 1)
    await servers.closed()


async def test_a_cancelled_crossing_is_silent(engine: Engine, first: FakeServer, second: FakeServer) -> None:
    """Neither outcome is told, and no other server is tried."""
    first.script = Script(at=Stage.METHOD, act=Act.STALL)

    servers = Servers(engine, first.address, second.address)
    told = Told()
    crossing = servers.route.connect(TARGET, told, told)
    await until(lambda: first.sessions, "under way")
    crossing.cancel()
    crossing.cancel()
    await until(lambda: first.sessions[0].finished, "the server saw the end")
    assert told.calls == []
    assert second.sessions == []
    await servers.closed()
    over = Route({}, ("office",)).connect(TARGET, told, told)
    over.cancel()
    assert len(told.calls) == 1


# streams


@pytest.mark.parametrize("poller", POLLERS)
async def test_a_stream(engine: Engine, first: FakeServer, tcp_target: Endpoint) -> None:
    """Octets both ways and the end, as asyncio has them."""
    servers = Servers(engine, first.address)
    reader, writer = await servers.route.open_stream(tcp_target)
    sock = writer.get_extra_info("socket")
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    writer.write(b"x" * 300_000)
    writer.write_eof()
    assert len(await reader.read(-1)) == 300_000
    writer.close()
    await writer.wait_closed()
    await servers.closed()


async def test_what_came_with_the_reply_is_read_first(engine: Engine) -> None:
    """It is the target's, who spoke first."""

    def play(sock: socket.socket) -> None:
        exactly(sock, 3)
        sock.sendall(b"\5\0")
        exactly(sock, 7 + len(TARGET.host))
        sock.sendall(b"\5\0\0\1\0\0\0\0\0\0" + b"220 hel")
        exactly(sock, 1)
        sock.sendall(b"lo")
        sock.shutdown(socket.SHUT_WR)
        until_end(sock)

    with raw_server(play) as address:
        servers = Servers(engine, address)
        reader, writer = await servers.route.open_stream(TARGET)
        writer.write(b"!")
        assert await reader.read(-1) == b"220 hello"
        writer.close()
        await writer.wait_closed()
        await servers.closed()


async def test_a_stream_that_cannot_be_had(engine: Engine, first: FakeServer) -> None:
    """The reason is raised."""
    first.script = Script(reply=5)

    servers = Servers(engine, first.address)
    with pytest.raises(ServerError) as caught:
        await servers.route.open_stream(TARGET)
    assert caught.value.problem.code == "target-refused"
    await servers.closed()


async def test_a_cancelled_stream_is_not_dialled_on(engine: Engine, first: FakeServer) -> None:
    """The server sees the end at once."""
    first.script = Script(at=Stage.REPLY, act=Act.STALL)

    servers = Servers(engine, first.address)
    opening = asyncio.create_task(servers.route.open_stream(TARGET))
    await until(lambda: first.sessions and len(first.sessions[0].segments) == 2, "under way")
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    await until(lambda: first.sessions[0].finished, "the server saw the end")
    await servers.closed()


@pytest.mark.parametrize("outcome", ["dialled", "refused"])
async def test_cancelling_may_cross_with_the_outcome(
    engine: Engine, first: FakeServer, tcp_target: Endpoint, outcome: str
) -> None:
    """A connection that came about in the moment of the cancellation is closed, and no error is lost."""
    first.script = Script(reply=None if outcome == "dialled" else 5)

    servers = Servers(engine, first.address)
    route = servers.route
    connect, crossings = route.connect, Told()

    def cancel_first(target: Endpoint, done: Callable[[Any], None], failed: Callable[[Any], None]) -> Any:
        def then(tell: Callable[[Any], None]) -> Callable[[Any], None]:
            def both(value: Any) -> None:
                opening.cancel()
                tell(value)
                crossings(value)

            return both

        return connect(target, then(done), then(failed))

    route.connect = cancel_first  # type: ignore[method-assign]
    opening = asyncio.create_task(route.open_stream(tcp_target))
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert len(crossings.calls) == 1
    await until(lambda: first.sessions[0].finished, "the server saw the end")
    await servers.closed()


# flows


async def test_a_flow_of_payloads(engine: Engine, first: FakeServer, udp_target: Endpoint) -> None:
    """They come one by one, and after closing none; sending then does nothing."""
    servers = Servers(engine, first.address)
    payloads, losses = Told(), Told()
    flow = servers.route.open_flow(udp_target, payloads, losses)
    for payload in (b"one", b"two"):
        flow.send(payload)
    await until(lambda: len(payloads.calls) == 2, "the echoes")
    assert payloads.calls == [b"one", b"two"]
    flow.close()
    flow.close()
    flow.send(b"three")
    assert losses.calls == []
    await servers.closed()


async def test_nothing_is_received_after_closing(
    engine: Engine, first: FakeServer, udp_target: Endpoint
) -> None:
    """Not even what lay in the same batch."""
    servers = Servers(engine, first.address)
    payloads = Told()

    def close_at_once(payload: bytes) -> None:
        payloads(payload)
        flow.close()

    flow = servers.route.open_flow(udp_target, close_at_once, Told())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.setblocking(False)
        for _ in range(2):
            listener.sendto(encode_header(udp_target) + b"payload", listener.getsockname())
        count = engine.batch.receive(listener)
        flow.dropped(1)
        flow.received(engine.batch, range(count), len(encode_header(udp_target)))
    assert payloads.calls == [b"payload"]
    await servers.closed()


FORGER = "127.0.0.9"


@pytest.mark.parametrize(
    ("remote", "sources"),
    [
        (
            Endpoint("127.0.0.1", 53),
            [Endpoint("127.0.0.1", 54), Endpoint(FORGER, 53), Endpoint("dns.test", 53)],
        ),
        (Endpoint("dns.test", 53), [Endpoint(FORGER, 54), Endpoint("dns.test", 54)]),
    ],
)
async def test_only_the_remote_is_heard(
    engine: Engine, first: FakeServer, remote: Endpoint, sources: list[Endpoint]
) -> None:
    """Not even a server that names somebody else each time is believed; a name may have any address."""
    first.names["dns.test"] = ("127.0.0.1", 0)
    servers = Servers(engine, first.address)
    payloads = Told()
    flow = servers.route.open_flow(remote, payloads, Told())
    flow.send(b"where are you?")
    await until(lambda: first.passages and first.passages[0].received, "the association")
    (session,) = first.sessions
    for source in sources * 2:
        first.inject(session, encode_header(source) + b"forged", from_elsewhere=False)
    for source in (remote, remote._replace(host="127.0.0.1")):
        first.inject(session, encode_header(source) + b"true", from_elsewhere=False)
    await until(lambda: len(payloads.calls) >= 2, "the answers")
    assert payloads.calls == [b"true"] * 2
    flow.close()
    await servers.closed()


async def test_the_end_of_a_flow_is_told(
    engine: Engine, first: FakeServer, udp_target: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With an error also where nothing was wrong: who waits for an answer must hear that there is none."""
    monkeypatch.setattr(module, "IDLE_S", 0.0)

    servers = Servers(engine, first.address)
    losses = Told()
    flow = servers.route.open_flow(udp_target, Told(), losses)
    await until(lambda: losses.calls, "idle")
    assert losses.last.problem.code == "udp-association-ended"
    flow.send(b"into the void")
    monkeypatch.setattr(module, "IDLE_S", 60.0)
    first.script = Script(reply=7)
    servers.route.open_flow(udp_target, Told(), losses)
    await until(lambda: len(losses.calls) == 2, "refused")
    assert losses.last.problem.code == "udp-unsupported"
    with pytest.raises(ServerError):
        servers.route.open_flow(udp_target, Told(), losses)
    assert len(losses.calls) == 2
    await servers.closed()


async def test_a_flow_goes_where_it_can_be_had(
    engine: Engine, first: FakeServer, second: FakeServer, udp_target: Endpoint
) -> None:
    """A server that relays no datagrams is passed over for one that does, as long as there is one."""
    first.script = Script(reply=7)

    servers = Servers(engine, first.address, second.address)
    lost = FakeReceiver()
    servers.route.open(udp_target, lost, 60.0)
    await until(lambda: lost.losses, "refused by the first")
    assert servers.route.udp_problem is None
    receiver = FakeReceiver()
    flow = servers.route.open(udp_target, receiver, 60.0)
    flow.send_payload(b"ping")
    await until(lambda: receiver.payloads, "the echo, by the second")
    assert servers.route.udp_problem is None
    await servers.closed()


async def test_why_no_server_relays_datagrams(
    engine: Engine, first: FakeServer, second: FakeServer, udp_target: Endpoint
) -> None:
    """It is known before anybody wants a flow where the configuration says so."""
    servers = Servers(engine, first.address, second.address, udp="off")
    problem = servers.route.udp_problem
    assert problem is not None
    assert problem.code == "udp-off"
    assert "office" in problem.text
    with pytest.raises(ServerError) as caught:
        servers.route.open(udp_target, FakeReceiver(), 60.0)
    assert caught.value.problem.code == "udp-off"
    assert first.sessions == second.sessions == []
    await servers.closed()
