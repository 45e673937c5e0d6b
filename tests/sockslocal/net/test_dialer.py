import errno
import socket
import threading

import pytest

from fakes.dialling import (
    CONNECT,
    CREDENTIALS,
    GRANTED,
    GREETING,
    LOGIN,
    LOGIN_GREETING,
    REQUEST,
    begin,
    dialled,
    failure,
)
from fakes.engine import POLLERS, turns, until, way_to
from fakes.raw_server import exactly, raw_server, send_with_fin, until_end
from fakes.sockets import reset
from fakes.socks5_server import Act, FakeServer, Script, Stage
from sockslocal.address import Endpoint
from sockslocal.errors import CredentialsError
from sockslocal.net import dialer
from sockslocal.net.dialer import Dial, DialError
from sockslocal.net.engine import Engine
from sockslocal.net.poller import PEER_FIN, READABLE
from sockslocal.socks5.client import Credentials
from sockslocal.socks5.messages import Command, Request

pytestmark = pytest.mark.usefixtures("look_often")


@pytest.mark.parametrize("poller", POLLERS)
async def test_the_way_without_a_login(engine: Engine, easy: FakeServer, listener: socket.socket) -> None:
    """Greeting and request leave as one segment each; then the socket is the tunnel."""
    _, outcome = begin(engine, way_to(easy.address))
    await until(lambda: outcome.over, "done")
    dial = outcome.dial
    far, _ = listener.accept()
    with far:
        dial.sock.send(b"ping")
        assert far.recv(100) == b"ping"
        assert (dial.leftover, dial.bound) == (b"", Endpoint("0.0.0.0", 0))
        assert dial.address == (socket.AF_INET, easy.address)
        assert dial.started <= dial.logged_in <= engine.clock()
    engine.poller.close(dial.sock)
    (session,) = easy.sessions
    assert session.segments == [GREETING, CONNECT]


@pytest.mark.parametrize("poller", POLLERS)
async def test_the_way_with_a_login(engine: Engine, strict: FakeServer) -> None:
    """Only the login is offered, and each message is one segment."""
    assert (await dialled(engine, way_to(strict.address, CREDENTIALS))).dial
    (session,) = strict.sessions
    assert session.segments == [LOGIN_GREETING, LOGIN, CONNECT]


@pytest.mark.parametrize("credentials", [None, CREDENTIALS])
async def test_a_dial_without_request_ends_after_the_login(
    engine: Engine, easy: FakeServer, strict: FakeServer, credentials: Credentials | None
) -> None:
    """It shows that the server answers and accepts the login, and asks for nothing."""
    asked = strict if credentials else easy

    assert (await dialled(engine, way_to(asked.address, credentials), request=None)).dial
    (session,) = asked.sessions
    assert session.segments == ([LOGIN_GREETING, LOGIN] if credentials else [GREETING])


@pytest.mark.parametrize("poller", POLLERS)
@pytest.mark.parametrize("stage", [Stage.METHOD, Stage.LOGIN, Stage.REPLY])
async def test_answers_may_come_octet_by_octet(engine: Engine, strict: FakeServer, stage: Stage) -> None:
    """Segments mean nothing, as long as they come in time."""
    strict.script = Script(at=stage, act=Act.DRIP, interval=0.001)

    assert (await dialled(engine, way_to(strict.address, CREDENTIALS))).dial


@pytest.mark.parametrize(
    ("host", "zeros"), [("127.0.0.1", b"\1\0\0\0\0\0\0"), ("::1", b"\4" + bytes(16) + b"\0\0")]
)
async def test_an_association_is_asked_for_in_the_family_of_the_connection(
    engine: Engine, host: str, zeros: bytes
) -> None:
    """Zeros of the other family are refused by some servers."""
    with FakeServer(host=host) as server:
        request = Request(Command.UDP_ASSOCIATE, Endpoint("0.0.0.0", 0))
        assert (await dialled(engine, way_to(server.address), request=request)).dial
        assert server.sessions[0].segments[-1] == b"\5\3\0" + zeros


@pytest.mark.parametrize("poller", POLLERS)
async def test_a_readiness_without_octets_is_waited_out(engine: Engine, strict: FakeServer) -> None:
    """A poller may call once too often."""
    strict.script = Script(at=Stage.REPLY, act=Act.DRIP, interval=0.001)

    dial, outcome = begin(engine, way_to(strict.address, CREDENTIALS))
    await until(lambda: dial._sock is not None, "connected")
    while not outcome.over:
        engine.poller._handlers[dial.sock.fileno()](READABLE)
        await turns(1)
    engine.poller.close(outcome.dial.sock)


@pytest.mark.parametrize("poller", POLLERS)
async def test_what_comes_with_the_reply_is_left_for_the_tunnel(engine: Engine) -> None:
    """Octets of a target that speaks first, in the same segment."""

    def play(sock: socket.socket) -> None:
        exactly(sock, 3)
        sock.sendall(b"\5\0")
        exactly(sock, len(CONNECT))
        sock.sendall(GRANTED + b"220 hello")
        until_end(sock)

    with raw_server(play) as address:
        outcome = await dialled(engine, way_to(address))
        assert outcome.dial.leftover == b"220 hello"
        assert not outcome.dial.edges & READABLE


async def test_a_read_that_filled_its_buffer_may_have_left_something(engine: Engine) -> None:
    """Then the edge is handed on, for no other will come."""

    def play(sock: socket.socket) -> None:
        exactly(sock, 3)
        sock.sendall(b"\5\0")
        exactly(sock, len(CONNECT))
        sock.sendall(GRANTED + bytes(100_000))
        until_end(sock)

    with raw_server(play) as address:
        edges: list[int] = []

        def done(dial: Dial) -> None:
            edges.append(dial.edges)
            assert len(dial.leftover) == 4096 - len(GRANTED)
            engine.poller.close(dial.sock)

        Dial(engine, way_to(address), REQUEST, done, lambda _: None).start()
        await until(lambda: edges, "done")
        assert edges[0] & READABLE


@pytest.mark.parametrize("poller", POLLERS)
async def test_a_fin_with_the_reply_is_not_lost(engine: Engine) -> None:
    """The dial is done, and its receiver learns of the end: told with the edges, or by waiting to read."""

    def play(sock: socket.socket) -> None:
        exactly(sock, 3)
        sock.sendall(b"\5\0")
        exactly(sock, len(CONNECT))
        send_with_fin(sock, GRANTED + b"bye")
        until_end(sock)

    with raw_server(play) as address:
        _, outcome = begin(engine, way_to(address))
        await until(lambda: outcome.over, "done")
        sock = outcome.dial.sock
        assert outcome.dial.leftover == b"bye"
        events: list[int] = [outcome.dial.edges]
        engine.poller.replace(sock, events.append)
        engine.poller.wait_readable(sock)
        await until(lambda: any(bits & READABLE for bits in events), "the end is told")
        assert sock.recv(1) == b""
        engine.poller.close(sock)


@pytest.mark.parametrize("poller", POLLERS)
@pytest.mark.parametrize("last", ["method", "status"])
async def test_a_fin_with_an_earlier_message_is_a_closed_connection(engine: Engine, last: str) -> None:
    """The message is understood, the next one sent, and then the end seen, with no further edge to tell."""

    def play(sock: socket.socket) -> None:
        exactly(sock, 3)
        if last == "method":
            send_with_fin(sock, b"\5\2")
        else:
            sock.sendall(b"\5\2")
            exactly(sock, len(LOGIN))
            send_with_fin(sock, b"\1\0")
        until_end(sock)

    with raw_server(play) as address:
        error = await failure(engine, way_to(address, CREDENTIALS))
    if last == "method":
        assert error.problem.code == "server-closed"
        assert "during the login" in error.problem.text or "authentication" in error.problem.text
    else:
        assert error.problem.code == "target-refused"
        assert error.server_answers


async def test_a_message_and_its_rest_may_come_with_the_fin(engine: Engine) -> None:
    """Octet by octet, the last with the FIN: nothing of it is lost."""

    def play(sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        exactly(sock, 3)
        sock.sendall(b"\5")
        send_with_fin(sock, b"\0")
        until_end(sock)

    with raw_server(play) as address:
        assert (await failure(engine, way_to(address))).problem.code == "target-refused"


async def test_a_dial_waits_for_the_password(engine: Engine, strict: FakeServer) -> None:
    """It begins when the password is there, and the connect timeout only then."""
    way = way_to(strict.address, connect_timeout=10.0)
    way.login.forget()
    dial, outcome = begin(engine, way)
    await turns()
    assert not strict.sessions
    way.login.settle(CREDENTIALS)
    assert dial.deadline <= engine.clock() + 10.0
    await until(lambda: outcome.over, "done")
    engine.poller.close(outcome.dial.sock)


async def test_a_password_that_cannot_be_had(engine: Engine) -> None:
    """The dial fails at once, with the reason that the keyring gave."""
    locked = CredentialsError.of("needs-unlock", server="office", reason="is locked")
    error = await failure(engine, way_to(("127.0.0.1", 1), locked))
    assert error.problem == locked.problem
    assert not error.server_answers


async def test_a_password_that_does_not_come(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting for it has a deadline too, and is not told as the server's silence."""
    monkeypatch.setattr(dialer, "PASSWORD_S", 0.05)
    way = way_to(("127.0.0.1", 1))
    way.login.forget()
    error = await failure(engine, way)
    assert error.problem.code == "password-awaited"
    assert way.login._waiting == {}


@pytest.mark.parametrize("cancelled", [True, False])
async def test_while_it_waits_a_descriptor_is_promised_to_it(
    engine: Engine, strict: FakeServer, *, cancelled: bool
) -> None:
    """So listeners leave it one; it is opened when the password is there, or not any more."""
    way = way_to(strict.address)
    way.login.forget()
    dial, outcome = begin(engine, way)
    other, _ = begin(engine, way)
    assert engine.budget.promised == 2
    other.cancel()
    assert engine.budget.promised == 1
    if cancelled:
        dial.cancel()
        assert engine.budget.promised == 0
    else:
        way.login.settle(CREDENTIALS)
        assert engine.budget.promised == 0
        await until(lambda: outcome.done, "done")
        engine.poller.close(dial.sock)


@pytest.mark.parametrize("stage", [Stage.ACCEPT, Stage.METHOD, Stage.LOGIN, Stage.REPLY])
async def test_cancelling_resets_the_connection(engine: Engine, strict: FakeServer, stage: Stage) -> None:
    """Nothing is called any more, and the server sees the end at once."""
    strict.script = Script(at=stage, act=Act.STALL)

    dial, outcome = begin(engine, way_to(strict.address, CREDENTIALS))
    messages = [Stage.ACCEPT, Stage.METHOD, Stage.LOGIN, Stage.REPLY].index(stage)
    await until(lambda: strict.sessions and len(strict.sessions[0].segments) == messages, "the stage")
    dial.cancel()
    dial.cancel()
    await until(lambda: strict.sessions[0].finished, "the server saw the end")
    assert not outcome.over


async def test_cancelling_while_the_password_is_awaited(engine: Engine) -> None:
    """It no longer counts among those who wait."""
    way = way_to(("127.0.0.1", 1))
    way.login.forget()
    dial, outcome = begin(engine, way)
    dial.cancel()
    assert way.login._waiting == {}
    assert not outcome.over


async def test_cancelling_while_the_name_is_looked_up(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer is not waited for any more."""
    gate = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: gate.wait(20) and [])

    way = way_to(("proxy.test", 1080))
    dial, outcome = begin(engine, way)
    dial.cancel()
    assert way.addresses._waiting == {}
    gate.set()
    await until(lambda: way.addresses._lookup is None, "the answer")
    assert not outcome.over


async def test_cancelling_while_it_connects(engine: Engine) -> None:
    """All attempts are closed."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        dial, outcome = begin(engine, way_to(listener.getsockname()))
        dial.cancel()
        await turns()
        assert not outcome.over


@pytest.mark.parametrize("waits_for", ["password", "address"])
async def test_one_that_waits_may_cancel_another(
    engine: Engine, waits_for: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who is cancelled by what another one does, while both are told, stays silent."""

    def unknown(*_: object, **__: object) -> list[object]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)

    way = way_to(("proxy.test", 1080))
    if waits_for == "password":
        way.login.forget()
    other: list[Dial] = []
    failed: list[DialError] = []

    def cancel_other(error: DialError) -> None:
        failed.append(error)
        other[0].cancel()

    first = Dial(engine, way, None, lambda _: None, cancel_other)
    second = Dial(engine, way, None, lambda _: None, cancel_other)
    other.append(second)
    first.start()
    second.start()
    if waits_for == "password":
        way.login.settle(CredentialsError.of("needs-unlock", server="office", reason="is locked"))
    await until(lambda: failed, "the first failed")
    await turns()
    assert len(failed) == 1


async def test_a_released_socket_is_in_other_hands(engine: Engine, easy: FakeServer) -> None:
    """The poller forgets it, and it stays open."""
    _, outcome = begin(engine, way_to(easy.address))
    await until(lambda: outcome.over, "done")
    with outcome.dial.release() as sock:
        assert engine.poller._handlers == {}
        outcome.dial.cancel()
        assert sock.getpeername() == easy.address


@pytest.mark.parametrize("code", [errno.ECONNRESET])
async def test_a_reset_after_the_reply_is_the_receivers(engine: Engine, code: int) -> None:
    """The dial is done; the error stays in the socket for who reads next."""

    def play(sock: socket.socket) -> None:
        exactly(sock, 3)
        sock.sendall(b"\5\0")
        exactly(sock, len(CONNECT))
        sock.sendall(GRANTED)
        exactly(sock, 1)
        reset(sock)

    with raw_server(play) as address:
        _, outcome = begin(engine, way_to(address))
        await until(lambda: outcome.over, "done")
        dial = outcome.dial
        dial.sock.send(b"x")
        engine.poller.wait_readable(dial.sock)
        await until(lambda: dial.edges & (READABLE | PEER_FIN), "the edge is kept")
        with pytest.raises(ConnectionResetError) as caught:
            dial.sock.recv(1)
        assert caught.value.errno == code
        engine.poller.close(dial.sock)
