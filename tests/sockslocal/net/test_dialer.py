import contextlib
import errno
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from fakes.engine import POLLERS, turns, until, way_to
from fakes.picky_server import picky_server
from fakes.probe_target import probe_target
from fakes.raw_server import exactly, raw_server, reset, send_with_fin, until_end
from fakes.socks5_server import Act, FakeServer, Script, Stage
from fakes.socks5_wire import address_octets
from sockslocal.address import Endpoint
from sockslocal.errors import CredentialsError
from sockslocal.net import connecting, deadlines, dialer
from sockslocal.net.dialer import Dial, DialError
from sockslocal.net.engine import Engine
from sockslocal.net.login import Answer
from sockslocal.net.poller import PEER_FIN, READABLE
from sockslocal.net.sockets import Socket
from sockslocal.net.way import Way
from sockslocal.secret import Secret
from sockslocal.socks5 import messages as codec
from sockslocal.socks5.client import Credentials, Pipelining
from sockslocal.socks5.messages import Command, Request

ANA = (b"ana", b"hunter2")
CREDENTIALS = Credentials("ana", Secret("hunter2"))
TARGET = Endpoint("db.internal", 5432)
GREETING, LOGIN_GREETING = b"\5\1\0", b"\5\1\2"
LOGIN = b"\1\3ana\7hunter2"
REQUEST = Request(Command.CONNECT, TARGET)
CONNECT = b"\5\1\0" + address_octets(*TARGET)
GRANTED = b"\5\0\0\1\0\0\0\0\0\0"


class Outcome:
    """What a dial came to."""

    def __init__(self) -> None:
        self.done: list[Dial] = []
        self.errors: list[DialError] = []

    @property
    def over(self) -> bool:
        return bool(self.done or self.errors)

    @property
    def dial(self) -> Dial:
        """The dial, which succeeded."""
        assert not self.errors, self.errors[0].problem
        (dial,) = self.done
        return dial

    @property
    def error(self) -> DialError:
        """Why it failed."""
        assert not self.done
        (error,) = self.errors
        return error


@pytest.fixture(autouse=True)
def _look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deadlines are looked at more often, to have the tests wait less."""
    monkeypatch.setattr(deadlines, "PERIOD_S", 0.01)


@pytest.fixture
def target() -> Iterator[socket.socket]:
    """A listening socket to be connected to by the server."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        yield listener


@pytest.fixture
def server(target: socket.socket) -> Iterator[FakeServer]:
    """A server without login, for which TARGET is `target`."""
    with FakeServer() as running:
        running.names[TARGET.host] = target.getsockname()
        yield running


@pytest.fixture
def strict(target: socket.socket) -> Iterator[FakeServer]:
    """The same with a login."""
    with FakeServer(credentials=ANA) as running:
        running.names[TARGET.host] = target.getsockname()
        yield running


def begin(engine: Engine, way: Way, request: Request | None = REQUEST) -> tuple[Dial, Outcome]:
    """A dial under way."""
    outcome = Outcome()
    dial = Dial(engine, way, request, outcome.done.append, outcome.errors.append)
    dial.start()
    return dial, outcome


async def dialled(engine: Engine, way: Way, **options: Any) -> Outcome:
    """What a dial came to; a socket it brought is closed."""
    _, outcome = begin(engine, way, **options)
    await until(lambda: outcome.over, "the dial has ended")
    for dial in outcome.done:
        engine.poller.close(dial.sock)
    await turns()
    return outcome


async def failure(engine: Engine, way: Way) -> DialError:
    """Why a dial fails."""
    return (await dialled(engine, way)).error


# the good way


@pytest.mark.parametrize("poller", POLLERS)
async def test_the_way_without_a_login(engine: Engine, server: FakeServer, target: socket.socket) -> None:
    """Greeting and request leave as one segment each; then the socket is the tunnel."""
    _, outcome = begin(engine, way_to(server.address))
    await until(lambda: outcome.over, "done")
    dial = outcome.dial
    far, _ = target.accept()
    with far:
        dial.sock.send(b"ping")
        assert far.recv(100) == b"ping"
        assert (dial.leftover, dial.bound) == (b"", Endpoint("0.0.0.0", 0))
        assert dial.address == (socket.AF_INET, server.address)
        assert dial.started <= dial.logged_in <= engine.clock()
    engine.poller.close(dial.sock)
    (session,) = server.sessions
    assert session.segments == [GREETING, CONNECT]


@pytest.mark.parametrize("poller", POLLERS)
async def test_the_way_with_a_login(engine: Engine, strict: FakeServer) -> None:
    """Only the login is offered, and each message is one segment."""
    assert (await dialled(engine, way_to(strict.address, CREDENTIALS))).dial
    (session,) = strict.sessions
    assert session.segments == [LOGIN_GREETING, LOGIN, CONNECT]


@pytest.mark.parametrize("credentials", [None, CREDENTIALS])
async def test_a_dial_without_request_ends_after_the_login(
    engine: Engine, server: FakeServer, strict: FakeServer, credentials: Credentials | None
) -> None:
    """It shows that the server answers and accepts the login, and asks for nothing."""
    asked = strict if credentials else server

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


# what lies behind the reply


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


# refusals and other answers


@pytest.mark.parametrize("reply", [1, 2, 3, 4, 5, 6, 7, 8, 0xF0, 0xFF])
async def test_a_refused_request_is_not_the_servers_failure(
    engine: Engine, server: FakeServer, reply: int
) -> None:
    """The problem names the target, and the server counts as one that answers."""
    server.script = Script(reply=reply)
    error = await failure(engine, way_to(server.address))
    assert error.problem.code == "target-refused"
    assert str(TARGET) in error.problem.text
    assert error.server_answers
    assert error.rejected is None


async def test_a_server_that_does_not_close_after_a_refusal(engine: Engine) -> None:
    """Its connection is closed here (RFC 1928 §6 leaves it 10 seconds; some never do)."""
    ended = threading.Event()

    def refuse(sock: socket.socket) -> None:
        exactly(sock, 3)
        sock.sendall(b"\5\0")
        exactly(sock, len(CONNECT))
        sock.sendall(b"\5\5\0\1" + bytes(6))
        with contextlib.suppress(ConnectionResetError):
            assert until_end(sock) == b""
        ended.set()

    with raw_server(refuse) as address:
        error = await failure(engine, way_to(address))
        assert error.problem.code == "target-refused"
        await until(ended.is_set, "the connection has ended")


@pytest.mark.parametrize("method", [0, 1, 3, 0x80, 0xFF])
async def test_credentials_are_sent_only_to_who_asks_for_them(
    engine: Engine, strict: FakeServer, method: int
) -> None:
    """With a login configured, a server that chooses anything but user name and password gets none."""
    strict.script = Script(method=method)
    error = await failure(engine, way_to(strict.address, CREDENTIALS))
    assert error.problem.code == ("server-no-method" if method == 0xFF else "server-wrong-method")
    assert not error.server_answers
    assert strict.sessions[0].segments == [LOGIN_GREETING]


async def test_no_credentials_to_send(engine: Engine, strict: FakeServer) -> None:
    """A server that wants a login where none is configured: the remedy tells how to configure one."""
    error = await failure(engine, way_to(strict.address))
    assert error.problem.code == "server-no-method"
    assert "sockslocal login office" in error.problem.remedy


async def test_a_rejected_login_names_the_credentials(engine: Engine, strict: FakeServer) -> None:
    """So that whoever keeps them knows which; the error shows no part of them."""
    wrong = Credentials("ana", Secret("wrong-one"))
    error = await failure(engine, way_to(strict.address, wrong))
    assert error.problem.code == "auth-failed"
    assert error.rejected is wrong
    assert "wrong-one" not in f"{error!r} {error} {error.problem} {vars(error)!r}"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "HTTP server"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "SSH server"),
        (b"\x15\x03\x01\x00\x02\x02\x46", "TLS server"),
        (b"\xde\xad\xbe\xef" * 1000, "begins with 222"),
    ],
)
async def test_another_protocol_is_named(engine: Engine, server: FakeServer, text: bytes, says: str) -> None:
    """What answers is not SOCKS5, and the problem says what it is."""
    server.script = Script(at=Stage.METHOD, act=Act.SAY, text=text)
    error = await failure(engine, way_to(server.address))
    assert error.problem.code == "server-not-socks5"
    assert says in error.problem.text
    assert not error.server_answers


@pytest.mark.parametrize(
    ("stage", "text"),
    [
        (Stage.LOGIN, b"\7\0"),
        (Stage.REPLY, b"\4\0\0\1\0\0\0\0\0\0"),
        (Stage.REPLY, b"\5\0\0\7\0\0\0\0\0\0"),
        (Stage.METHOD, b"\5\2\1\0more than was asked for"),
    ],
)
async def test_garbage_at_a_later_stage(
    engine: Engine, strict: FakeServer, stage: Stage, text: bytes
) -> None:
    """Each is one clear error, and the connection is closed."""
    strict.script = Script(at=stage, act=Act.SAY, text=text)
    assert (await failure(engine, way_to(strict.address, CREDENTIALS))).problem.code == "server-not-socks5"


@pytest.mark.parametrize("poller", POLLERS)
@pytest.mark.parametrize("act", [Act.CLOSE, Act.RESET])
@pytest.mark.parametrize(
    ("stage", "codes"),
    [
        (Stage.ACCEPT, {"server-closed", "server-unreachable"}),
        (Stage.METHOD, {"server-closed"}),
        (Stage.LOGIN, {"server-closed"}),
        (Stage.REPLY, {"target-refused"}),
    ],
)
async def test_a_server_that_hangs_up(
    engine: Engine, strict: FakeServer, stage: Stage, act: Act, codes: set[str]
) -> None:
    """FIN and RST are the same to a user; only in place of the reply it is the target's failure."""
    strict.script = Script(at=stage, act=act)
    error = await failure(engine, way_to(strict.address, CREDENTIALS))
    assert error.problem.code in codes
    assert error.server_answers == (stage is Stage.REPLY)
    assert error.rejected is None


async def test_a_message_that_cannot_be_sent(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection broke between two messages: as if the server had closed it."""
    near, far = socket.socketpair()
    near.setblocking(False)
    near.shutdown(socket.SHUT_WR)

    class Connected(connecting.Connecting):
        def start(self, error: OSError | None = None) -> None:
            self._poller.register(near, lambda _: None)
            self._connected(near, (socket.AF_INET, ("127.0.0.1", 1)), 0)

    monkeypatch.setattr(dialer, "Connecting", Connected)
    assert (await failure(engine, way_to(("127.0.0.1", 1)))).problem.code == "server-closed"
    assert near.fileno() == -1
    far.close()


# pipelining

PIPELINED = [Pipelining.SEMI, Pipelining.FULL]


def hasty_way(address: tuple[str, int], pipelining: Pipelining, answer: Answer = CREDENTIALS) -> Way:
    """A way to a server that was known to bear so much."""
    way = way_to(address, answer)
    way.pipelining = pipelining
    return way


def doubts(way: Way) -> list[None]:
    """Grows with each time that the server's pipelining is doubted, which ends it."""
    found: list[None] = []

    def doubt() -> None:
        way.pipelining = Pipelining.NONE
        found.append(None)

    way.doubted = doubt
    return found


@pytest.mark.parametrize("poller", POLLERS)
@pytest.mark.parametrize(
    ("pipelining", "segments"),
    [
        (Pipelining.SEMI, [LOGIN_GREETING, LOGIN + CONNECT]),
        (Pipelining.FULL, [LOGIN_GREETING + LOGIN + CONNECT]),
    ],
)
async def test_what_the_server_bears_leaves_together(
    engine: Engine, strict: FakeServer, pipelining: Pipelining, segments: list[bytes]
) -> None:
    """The dial is as good as any other."""
    way = hasty_way(strict.address, pipelining)
    doubted = doubts(way)
    outcome = await dialled(engine, way)
    assert strict.sessions[0].segments == segments
    assert outcome.dial.bound
    assert outcome.dial.logged_in >= outcome.dial.started > 0
    assert not doubted


@pytest.mark.parametrize("pipelining", PIPELINED)
async def test_a_server_that_does_not_bear_it_after_all(engine: Engine, pipelining: Pipelining) -> None:
    """Another one may have taken its place: the dial starts over, and nobody who dialled hears of it."""
    with probe_target() as target, picky_server() as address:
        way = hasty_way(address, pipelining)
        doubted = doubts(way)
        outcome = await dialled(engine, way, request=Request(Command.CONNECT, target))
    assert outcome.dial
    assert len(doubted) == 1
    assert engine.budget.promised == 0


@pytest.mark.parametrize("poller", POLLERS)
@pytest.mark.parametrize("play", ["silent", "closes", "resets", "fails", "garbage"])
async def test_a_request_that_is_lost_in_the_handshake(engine: Engine, play: str) -> None:
    """The server reads one message a time, and then waits, or ends it: the dial starts over and succeeds."""

    def serve(sock: socket.socket) -> None:
        if sock.recv(4096) == GREETING:  # nothing behind it
            sock.sendall(b"\5\0")
            sock.recv(4096)
            sock.sendall(GRANTED)
            until_end(sock)
        elif play == "resets":
            reset(sock)
        elif play == "garbage":
            sock.sendall(b"\1\1")
            until_end(sock)
        elif play != "silent":
            sock.sendall(b"\5\0" + (b"\5\1\0\1" + bytes(6) if play == "fails" else b""))
        else:
            until_end(sock)

    with raw_server(serve) as address:
        way = hasty_way(address, Pipelining.FULL, None)
        doubted = doubts(way)
        with patient(dialer, 0.05 if play == "silent" else 10.0):
            outcome = await dialled(engine, way)
        assert outcome.dial
        assert len(doubted) == 1
        assert outcome.dial.logged_in - outcome.dial.started < 1, "what was in vain is not counted"
        assert not (await dialled(engine, way)).errors


@contextmanager
def patient(module: Any, seconds: float) -> Iterator[None]:
    """Each stage may take so long."""
    usual, module.STAGE_S = module.STAGE_S, dict.fromkeys(module.STAGE_S, seconds)
    try:
        yield
    finally:
        module.STAGE_S = usual


async def test_starting_over_has_deadlines_too(
    engine: Engine, strict: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that stays silent is the server's failure."""
    monkeypatch.setattr(dialer, "STAGE_S", dict.fromkeys(dialer.STAGE_S, 0.05))
    strict.script = Script(at=Stage.METHOD, act=Act.STALL)
    error = await failure(engine, hasty_way(strict.address, Pipelining.FULL))
    assert error.problem.code == "server-timeout"
    assert not error.server_answers
    assert len(strict.sessions) == 2


async def test_a_reply_that_does_not_come(
    engine: Engine, strict: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The target may be to blame: the dial fails, and what comes next is not pipelined."""
    monkeypatch.setattr(dialer, "STAGE_S", {**dialer.STAGE_S, codec.Stage.REPLY: 0.05})
    strict.script = Script(at=Stage.REPLY, act=Act.STALL)
    way = hasty_way(strict.address, Pipelining.FULL)
    doubted = doubts(way)
    error = await failure(engine, way)
    assert error.problem.code == "server-timeout"
    assert error.server_answers
    assert len(doubted) == 1


async def test_a_silent_target_among_others_that_are_not(
    engine: Engine, strict: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request that was granted meanwhile shows that the server bears it."""
    monkeypatch.setattr(dialer, "STAGE_S", {**dialer.STAGE_S, codec.Stage.REPLY: 0.5})
    strict.script = Script(at=Stage.REPLY, act=Act.STALL)
    way = hasty_way(strict.address, Pipelining.FULL)
    doubted = doubts(way)
    _, silent = begin(engine, way)
    await until(lambda: strict.sessions, "it has arrived")
    strict.script = Script()
    assert (await dialled(engine, way)).dial
    await until(lambda: silent.over, "nobody waits for ever")
    assert silent.error.problem.code == "server-timeout"
    assert not doubted


@pytest.mark.parametrize("pipelining", PIPELINED)
async def test_a_login_is_rejected_only_when_it_was_sent_by_itself(
    engine: Engine, strict: FakeServer, pipelining: Pipelining
) -> None:
    """A server that was confused by the request may say the same."""
    wrong = Credentials("ana", Secret("wrong"))
    way = hasty_way(strict.address, pipelining, wrong)
    doubted = doubts(way)
    error = await failure(engine, way)
    assert error.rejected is wrong
    assert not doubted, "it comes to the same"
    assert strict.sessions[1].segments == [LOGIN_GREETING, b"\1\3ana\5wrong"]


@pytest.mark.parametrize(
    ("script", "attempts"),
    [(Script(reply=5), 1), (Script(reply=1), 2), (Script(at=Stage.REPLY, act=Act.CLOSE), 2)],
    ids=["refused", "failed", "closed"],
)
async def test_a_refused_request_says_nothing_against_pipelining(
    engine: Engine, strict: FakeServer, script: Script, attempts: int
) -> None:
    """Where the server may have meant something else, it is asked again, and says the same."""
    strict.script = script
    way = hasty_way(strict.address, Pipelining.FULL)
    doubted = doubts(way)
    assert (await failure(engine, way)).server_answers
    assert not doubted
    assert len(strict.sessions) == attempts


async def test_cancelling_what_has_started_over(engine: Engine) -> None:
    """It ends as at the first time, wherever it is."""

    def play(sock: socket.socket) -> None:
        if len(sock.recv(4096)) > len(LOGIN_GREETING):
            sock.sendall(b"HTTP/1.1 400 Bad Request\r\n")
        until_end(sock)

    with raw_server(play) as address:
        dial, outcome = begin(engine, hasty_way(address, Pipelining.FULL))
        await until(lambda: dial._first, "it starts over")
        dial.cancel()
        await turns()
    assert not outcome.over
    assert engine.budget.promised == 0


# deadlines


@pytest.mark.parametrize("poller", POLLERS)
@pytest.mark.parametrize(
    ("at", "stage"),
    [
        (Stage.ACCEPT, codec.Stage.GREETING),
        (Stage.METHOD, codec.Stage.GREETING),
        (Stage.LOGIN, codec.Stage.AUTHENTICATION),
        (Stage.REPLY, codec.Stage.REPLY),
    ],
)
async def test_each_stage_has_a_deadline_of_its_own(
    engine: Engine,
    strict: FakeServer,
    at: Stage,
    stage: codec.Stage,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Silence at a stage ends the dial by that stage's deadline; the others are far away here."""
    monkeypatch.setattr(dialer, "STAGE_S", dict.fromkeys(dialer.STAGE_S, 3600.0) | {stage: 0.05})
    strict.script = Script(at=at, act=Act.STALL)
    error = await failure(engine, way_to(strict.address, CREDENTIALS))
    assert error.problem.code == "server-timeout"
    assert f"did not finish the {stage} within 0.05 s" in error.problem.text
    assert error.server_answers == (stage is codec.Stage.REPLY)


@pytest.mark.parametrize("stage", [Stage.METHOD, Stage.LOGIN, Stage.REPLY])
async def test_a_dripping_server_is_cut_off(
    engine: Engine, strict: FakeServer, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message that has begun has little time, however much its stage has; each octet brings no more."""
    monkeypatch.setattr(dialer, "STAGE_S", dict.fromkeys(dialer.STAGE_S, 3600.0))
    monkeypatch.setattr(dialer, "MESSAGE_S", 0.05)
    strict.script = Script(at=stage, act=Act.DRIP, interval=0.04)
    if stage is not Stage.REPLY:  # two octets, of which the second is late
        strict.script = Script(at=stage, act=Act.DRIP, interval=3600)
    error = await failure(engine, way_to(strict.address, CREDENTIALS))
    assert error.problem.code == "server-timeout"
    assert "within 0.05 s" in error.problem.text


async def test_a_server_that_does_not_answer_the_connect(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SYNs into a full backlog: the connect timeout of the configuration ends it."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        error = await failure(engine, way_to(listener.getsockname(), connect_timeout=0.05))
    assert error.problem.code == "server-unreachable"
    assert "does not answer" in error.problem.text
    assert not error.server_answers


async def test_a_server_that_refuses_the_connect(engine: Engine) -> None:
    """Nobody listens there: told at once, in the system's words."""
    error = await failure(engine, way_to(("127.0.0.1", 1)))
    assert error.problem.code == "server-unreachable"
    assert "connection refused" in error.problem.text


@pytest.mark.parametrize("descriptors", [512])
async def test_exhausted_descriptors_are_not_the_servers_failure(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no socket can be made, the problem is ours and says so."""

    def no_socket(_family: int, _kind: int) -> Socket:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(connecting, "open_socket", no_socket)
    error = await failure(engine, way_to(("127.0.0.1", 1)))
    assert error.problem.code == "descriptors-exhausted"
    assert "512" in error.problem.text


async def test_a_name_without_address(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The problem names it, with the resolver's reason."""

    def unknown(*_: object, **__: object) -> list[object]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    error = await failure(engine, way_to(("proxy.test", 1080)))
    assert error.problem.code == "server-unresolvable"
    assert (
        'the name "proxy.test" of the server could not be looked up: Name or service not known'
        in error.problem.text
    )


async def test_a_resolver_that_does_not_answer(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connect timeout covers looking up the name."""
    gate = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: gate.wait(20) and [])
    error = await failure(engine, way_to(("proxy.test", 1080), connect_timeout=0.05))
    gate.set()
    assert error.problem.code == "server-unresolvable"
    assert "no answer in time" in error.problem.text


# the password


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


# cancelling


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


async def test_a_released_socket_is_in_other_hands(engine: Engine, server: FakeServer) -> None:
    """The poller forgets it, and it stays open."""
    _, outcome = begin(engine, way_to(server.address))
    await until(lambda: outcome.over, "done")
    with outcome.dial.release() as sock:
        assert engine.poller._handlers == {}
        outcome.dial.cancel()
        assert sock.getpeername() == server.address


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
