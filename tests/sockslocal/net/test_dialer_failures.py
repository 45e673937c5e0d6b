import contextlib
import errno
import socket
import threading

import pytest

from fakes.dialling import CONNECT, CREDENTIALS, LOGIN_GREETING, TARGET, failure
from fakes.engine import POLLERS, until, way_to
from fakes.raw_server import exactly, raw_server, until_end
from fakes.sockets import blackhole
from fakes.socks5_server import Act, FakeServer, Script, Stage
from sockslocal.net import connecting, dialer
from sockslocal.net.engine import Engine
from sockslocal.net.sockets import Socket
from sockslocal.secret import Secret
from sockslocal.socks5 import messages as codec
from sockslocal.socks5.client import Credentials

pytestmark = pytest.mark.usefixtures("look_often")


@pytest.mark.parametrize("reply", [1, 2, 3, 4, 5, 6, 7, 8, 0xF0, 0xFF])
async def test_a_refused_request_is_not_the_servers_failure(
    engine: Engine, easy: FakeServer, reply: int
) -> None:
    """The problem names the target, and the server counts as one that answers."""
    easy.script = Script(reply=reply)
    error = await failure(engine, way_to(easy.address))
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
async def test_another_protocol_is_named(engine: Engine, easy: FakeServer, text: bytes, says: str) -> None:
    """What answers is not SOCKS5, and the problem says what it is."""
    easy.script = Script(at=Stage.METHOD, act=Act.SAY, text=text)
    error = await failure(engine, way_to(easy.address))
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
    with blackhole() as address:
        error = await failure(engine, way_to(address, connect_timeout=0.05))
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
