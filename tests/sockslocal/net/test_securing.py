"""Dials by way of TLS, up to the first octet that is relayed."""

import errno
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fakes.certificates import NAME, Authority
from fakes.engine import POLLERS, turns, until, way_to
from fakes.raw_server import Play, raw_server, until_end
from fakes.sockets import reset
from fakes.socks5_server import FakeServer
from fakes.targets import tcp_echo
from fakes.tls_front import TlsFront
from sockslocal.address import Endpoint
from sockslocal.config.model import TlsConfig
from sockslocal.net import deadlines, dialer, securing
from sockslocal.net.connecting import Connecting
from sockslocal.net.dialer import Dial, DialError
from sockslocal.net.engine import Engine
from sockslocal.net.poller import Poller
from sockslocal.net.sockets import Socket
from sockslocal.net.tls import Tls, TlsSocket
from sockslocal.net.way import Way
from sockslocal.secret import Secret
from sockslocal.socks5.client import Credentials
from sockslocal.socks5.messages import Command, Request

CREDENTIALS = Credentials("ana", Secret("hunter2"))
TARGET = Endpoint("echo.test", 7)
CONNECT = Request(Command.CONNECT, TARGET)


@pytest.fixture(autouse=True)
def _look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deadlines are looked at more often, to have the tests wait less."""
    monkeypatch.setattr(deadlines, "PERIOD_S", 0.01)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Who vouches for the certificates of this module."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def server() -> Iterator[FakeServer]:
    """A server with a login, behind which TARGET echoes."""
    with tcp_echo() as echo, FakeServer(credentials=(b"ana", b"hunter2")) as running:
        running.names[TARGET.host] = echo
        yield running


@pytest.fixture
def front(server: FakeServer, authority: Authority) -> Iterator[TlsFront]:
    """TLS in front of it."""
    with TlsFront(server.address, authority.issue()) as running:
        yield running


def secure_way(address: tuple[str, int], ca: Path, name: str = NAME) -> Way:
    """The way to a server that has to be `name` by the word of `ca`."""
    return way_to(address, CREDENTIALS, tls=Tls(TlsConfig(name, ca)))


async def dialled(engine: Engine, way: Way, request: Request | None = CONNECT) -> Dial | DialError:
    """What a dial comes to."""
    outcome: list[Dial | DialError] = []
    Dial(engine, way, request, outcome.append, outcome.append).start()
    await until(lambda: outcome, "the dial has ended")
    return outcome[0]


async def done(engine: Engine, way: Way, request: Request | None = CONNECT) -> Dial:
    """A dial that succeeds."""
    dial = await dialled(engine, way, request)
    assert isinstance(dial, Dial), dial.problem
    return dial


async def failure(engine: Engine, way: Way) -> tuple[str, str]:
    """Why a dial fails: what the user reads, and what mends it."""
    error = await dialled(engine, way)
    await turns()
    assert isinstance(error, DialError)
    assert not error.server_answers
    assert error.problem.code == "server-tls"
    return error.problem.text.partition(": ")[2], error.problem.remedy


@pytest.mark.parametrize("poller", POLLERS)
async def test_the_way_through_tls(engine: Engine, front: TlsFront, authority: Authority) -> None:
    """Login and request pass inside TLS, and then the connection does."""
    dial = await done(engine, secure_way(front.address, authority.ca))
    assert isinstance(dial.sock, TlsSocket)
    assert dial.sock.send(b"hello") == 5
    received: list[bytes] = []

    def ready(_events: int) -> None:
        try:
            received.append(dial.sock.recv(1000))
        except BlockingIOError:
            engine.poller.wait_readable(dial.sock)

    engine.poller.replace(dial.sock, ready)
    ready(0)
    await until(lambda: received, "the echo")
    assert received == [b"hello"]
    engine.poller.close(dial.sock)
    assert front.handshakes == [("TLSv1.3", False)]


@pytest.mark.parametrize("poller", POLLERS)
@pytest.mark.parametrize("piece", [1, 100])
async def test_a_front_that_sends_in_pieces(
    engine: Engine, front: TlsFront, authority: Authority, piece: int
) -> None:
    """However TLS's own messages are cut, the handshake goes on with the next piece."""
    front.piece = piece
    dial = await done(engine, secure_way(front.address, authority.ca))
    engine.poller.close(dial.sock)


async def test_a_server_that_puts_each_octet_into_a_record(
    engine: Engine, authority: Authority, server: FakeServer
) -> None:
    """All that came is read, for no edge tells of what was decrypted and not read."""
    answer = b"\5\2\1\0\5\0\0\1\0\0\0\0\0\0"

    def speak(sock: ssl.SSLSocket) -> None:
        sock.recv(100)
        _send_as_records(sock, answer[:2])
        sock.recv(100)
        _send_as_records(sock, answer[2:4])
        sock.recv(100)
        _send_as_records(sock, answer[4:] + b"trail")
        until_end(sock)

    with raw_server(inside_tls(authority, speak)) as address:
        dial = await done(engine, secure_way(address, authority.ca))
        received = dial.leftover
        while len(received) < 5:
            received += dial.sock.recv(100)
        assert received == b"trail"
        engine.poller.close(dial.sock)


def _send_as_records(sock: ssl.SSLSocket, data: bytes) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
    for octet in data:
        sock.send(bytes([octet]))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)


def inside_tls(authority: Authority, speak: Callable[[ssl.SSLSocket], None]) -> Play:
    """A play whose second act is inside TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue())

    def play(raw: socket.socket) -> None:
        with context.wrap_socket(raw, server_side=True) as sock:
            speak(sock)

    return play


async def test_what_the_server_refuses(engine: Engine, front: TlsFront, authority: Authority) -> None:
    """Inside TLS it is told as it is without."""
    front_way = secure_way(front.address, authority.ca)
    way = way_to(front.address, Credentials("ana", Secret("wrong")), tls=front_way.tls)
    error = await dialled(engine, way)
    assert isinstance(error, DialError)
    assert error.problem.code == "auth-failed"


async def test_an_end_inside_tls(engine: Engine, authority: Authority) -> None:
    """A server that closes in the middle is told as one, and at once."""

    def speak(sock: ssl.SSLSocket) -> None:
        sock.recv(100)
        sock.send(b"\5")
        sock.unwrap()

    with raw_server(inside_tls(authority, speak)) as address:
        error = await dialled(engine, secure_way(address, authority.ca))
    assert isinstance(error, DialError)
    assert error.problem.code == "server-closed"


async def test_a_cut_inside_tls(engine: Engine, authority: Authority) -> None:
    """Likewise."""

    def speak(sock: ssl.SSLSocket) -> None:
        sock.recv(100)

    with raw_server(inside_tls(authority, speak)) as address:
        error = await dialled(engine, secure_way(address, authority.ca))
    assert isinstance(error, DialError)
    assert error.problem.code == "server-closed"


async def test_sessions_are_resumed(engine: Engine, front: TlsFront, authority: Authority) -> None:
    """The second connection costs no certificates."""
    way = secure_way(front.address, authority.ca)
    for _ in range(2):
        engine.poller.close((await done(engine, way)).sock)
    assert [handshake.resumed for handshake in front.handshakes] == [False, True]


# what is wrong with the certificate


async def test_another_name(engine: Engine, front: TlsFront, authority: Authority) -> None:
    """A certificate for somebody else is refused before anything is said."""
    way = secure_way(front.address, authority.ca, "other.test")
    assert await failure(engine, way) == (
        "its certificate is not for other.test",
        "set tls_name in [server.office] to the name that the certificate is for",
    )


async def test_an_ip_address_as_the_name(engine: Engine, front: TlsFront, authority: Authority) -> None:
    """A certificate may be for an address, and that has to be the right one."""
    engine.poller.close((await done(engine, secure_way(front.address, authority.ca, "127.0.0.1"))).sock)
    reason, _ = await failure(engine, secure_way(front.address, authority.ca, "127.0.0.2"))
    assert reason == "its certificate is not for 127.0.0.2"


async def test_an_unknown_authority(
    engine: Engine, front: TlsFront, server: FakeServer, tmp_path: Path
) -> None:
    """Neither the user nor the system trusts who issued it; and the password was not told to anybody."""
    stranger = Authority(tmp_path)
    reason, remedy = await failure(engine, secure_way(front.address, stranger.ca))
    assert reason == f"nobody in {stranger.ca} vouches for its certificate"
    assert remedy == f"put the certificate of who does into {stranger.ca}"
    way = way_to(front.address, CREDENTIALS, tls=Tls(TlsConfig(NAME)))
    assert await failure(engine, way) == (
        "nobody whom this system trusts vouches for its certificate",
        "set tls_ca in [server.office] to a file with the certificate of who does",
    )
    assert server.sessions == []


async def test_a_file_that_is_put_right(
    engine: Engine, front: TlsFront, authority: Authority, tmp_path: Path
) -> None:
    """The next dial reads it again."""
    path = tmp_path / "theirs.pem"
    way = secure_way(front.address, path)
    assert (await failure(engine, way))[0] == f"{path} cannot be used: No such file or directory"
    other = tmp_path / "other"
    other.mkdir()
    path.write_bytes(Authority(other).ca.read_bytes())
    assert (await failure(engine, way))[0] == f"nobody in {path} vouches for its certificate"
    path.write_bytes(authority.ca.read_bytes())
    engine.poller.close((await done(engine, way)).sock)


async def test_an_expired_certificate(engine: Engine, server: FakeServer, authority: Authority) -> None:
    """Is refused."""
    with TlsFront(server.address, authority.issue(days=-1)) as front:
        assert await failure(engine, secure_way(front.address, authority.ca)) == (
            "its certificate has expired",
            "have the certificate renewed, or set this computer's clock",
        )


# who does not speak TLS


@pytest.mark.parametrize("poller", POLLERS)
@pytest.mark.parametrize(
    ("play", "reason"),
    [
        (lambda sock: sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "it answers with something else"),
        (lambda sock: sock.sendall(b"\5\xff" * 10), "it answers with something else"),
        (lambda sock: sock.recv(10_000), "it closed the connection"),
        (reset, "it closed the connection"),
    ],
    ids=["http", "socks", "closes", "resets"],
)
async def test_no_tls_at_the_port(engine: Engine, authority: Authority, play: Play, reason: str) -> None:
    """Is told as that."""

    def play_and_wait(sock: socket.socket) -> None:
        play(sock)
        if "something" in reason:
            until_end(sock)

    with raw_server(play_and_wait) as address:
        assert await failure(engine, secure_way(address, authority.ca)) == (
            reason,
            "check [server.office] address, and whether the server speaks TLS there",
        )


@pytest.mark.parametrize(("tls", "code"), [(True, "server-tls"), (False, "server-closed")])
async def test_a_reset_at_once(
    engine: Engine, authority: Authority, monkeypatch: pytest.MonkeyPatch, *, tls: bool, code: str
) -> None:
    """One that comes before the connection is seen is told as one that comes later."""

    class Reset(Connecting):
        def start(self, _error: OSError | None = None) -> None:
            self._failed(ConnectionResetError(errno.ECONNRESET, "reset"))

    monkeypatch.setattr(dialer, "Connecting", Reset)
    way = secure_way(("127.0.0.1", 1), authority.ca) if tls else way_to(("127.0.0.1", 1))
    error = await dialled(engine, way)
    assert isinstance(error, DialError)
    assert error.problem.code == code


async def test_silence(engine: Engine, authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """The handshake has a deadline of its own."""
    monkeypatch.setattr(dialer, "HANDSHAKE_S", 0.05)
    with raw_server(until_end) as address:
        reason, _ = await failure(engine, secure_way(address, authority.ca))
    assert reason == "the handshake did not end within 0.05 s"


async def test_old_versions(engine: Engine, front: TlsFront, authority: Authority) -> None:
    """TLS 1.1 is refused."""
    front.context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1 is deprecated"):
        front.context.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="TLSv1_1 is deprecated"):
        front.context.maximum_version = ssl.TLSVersion.TLSv1_1
    assert await failure(engine, secure_way(front.address, authority.ca)) == (
        "it has no version that is safe still",
        "have the server updated",
    )


async def test_a_server_that_wants_a_certificate(
    engine: Engine, front: TlsFront, authority: Authority
) -> None:
    """It tells so only after the handshake, in place of its first answer."""
    front.context.verify_mode = ssl.CERT_REQUIRED
    assert await failure(engine, secure_way(front.address, authority.ca)) == (
        "it wants a certificate of its clients, and sockslocal has none",
        "have the server let in clients without one",
    )


# the end of an attempt, and of what came of one


@pytest.mark.parametrize("open_", [True, False])
async def test_a_connection_that_is_not_needed(
    engine: Engine, front: TlsFront, authority: Authority, *, open_: bool
) -> None:
    """Is ended inside TLS before it is closed, or the server would read a cut; where that can be sent."""
    dial = await done(engine, secure_way(front.address, authority.ca), None)
    if not open_:
        dial.sock.shutdown(socket.SHUT_WR)
    dial.close()
    await until(lambda: front.ends or front.errors, "the server reads the end")
    assert bool(front.errors) is not open_


async def test_cancelling(engine: Engine, authority: Authority) -> None:
    """In the middle of the handshake everything is closed, and nobody told."""
    told: list[object] = []
    with raw_server(until_end) as address:
        dial = Dial(engine, secure_way(address, authority.ca), CONNECT, told.append, told.append)
        dial.start()
        await until(lambda: isinstance(dial._connecting, securing.Securing), "the handshake has begun")
        dial.cancel()
        await turns()
    assert told == []


async def test_a_poller_that_is_full(
    engine: Engine, front: TlsFront, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Is no fault of the server's."""
    register = Poller.register

    def full(self: Poller, sock: Socket, ready: Callable[[int], None]) -> None:
        if isinstance(sock, TlsSocket):
            sock.close()
            raise OSError(errno.ENOSPC, "no space")
        register(self, sock, ready)

    monkeypatch.setattr(Poller, "register", full)
    error = await dialled(engine, secure_way(front.address, authority.ca))
    assert isinstance(error, DialError)
    assert error.problem.code == "descriptors-exhausted"
