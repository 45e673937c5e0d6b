import socket
from collections.abc import Iterator

import pytest

from fakes.raw_server import exactly
from fakes.socks5_plain import ANA, LOGIN, connect, logged_in, request
from fakes.socks5_server import Act, FakeServer, Script, Stage
from fakes.socks5_wire import address_octets
from fakes.waiting import wait_until


@pytest.fixture
def server() -> Iterator[FakeServer]:
    """A fake that wants a login."""
    with FakeServer(credentials=ANA) as running:
        yield running


@pytest.fixture
def target() -> Iterator[socket.socket]:
    """A listening socket to be connected to."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5)
        yield listener


def test_a_well_behaved_connection_relays_both_ways(server: FakeServer, target: socket.socket) -> None:
    """Login, CONNECT, octets there and back, each half closed on its own, and all of it on record."""
    with logged_in(server) as sock:
        assert request(sock, *target.getsockname()) == b"\5\0\0\1\0\0\0\0\0\0"
        far, _ = target.accept()
        with far:
            sock.sendall(b"there")
            sock.shutdown(socket.SHUT_WR)
            assert far.recv(100) == b"there"
            assert far.recv(100) == b""
            far.sendall(b"and back")
        assert exactly(sock, 100) == b"and back"
    (session,) = server.sessions
    assert session.segments == [b"\5\1\2", LOGIN, b"\5\1\0" + address_octets(*target.getsockname())]
    assert session.login == ANA
    assert session.target == target.getsockname()


def test_a_wrong_password_is_rejected(server: FakeServer) -> None:
    """The status is 1 and the connection ends."""
    with connect(server) as sock:
        sock.sendall(b"\5\1\2")
        assert exactly(sock, 2) == b"\5\2"
        sock.sendall(b"\1\3ana\5wrong")
        assert exactly(sock, 100) == b"\1\1"


def test_no_common_method(server: FakeServer) -> None:
    """A client that offers no login gets FF."""
    with connect(server) as sock:
        sock.sendall(b"\5\1\0")
        assert exactly(sock, 2) == b"\5\xff"


def test_names_lead_where_the_test_says(server: FakeServer, target: socket.socket) -> None:
    """A name is resolved by the server, port 0 in the table meaning the port asked for."""
    server.names["db.internal"] = ("127.0.0.1", 0)
    with logged_in(server) as sock:
        sock.sendall(b"\5\1\0" + address_octets("db.internal", target.getsockname()[1]))
        assert exactly(sock, 10)[1] == 0


def test_a_refused_target(server: FakeServer) -> None:
    """REP 5 for a target that refuses."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        with logged_in(server) as sock:
            assert request(sock, *closed.getsockname())[1] == 5


RIGHT = {Stage.METHOD: b"\5\2", Stage.LOGIN: b"\1\0", Stage.REPLY: b"\5\0\0\1\0\0\0\0\0\0"}


def walk_to(stage: Stage, server: FakeServer, target: socket.socket) -> bytes:
    """All that comes when a client gets as far as `stage`, right answers before it left out."""
    messages = [b"\5\1\2", LOGIN, b"\5\1\0" + address_octets(*target.getsockname())]
    with connect(server) as sock:
        for message, (at, answer) in zip(messages, RIGHT.items(), strict=True):
            if stage is Stage.ACCEPT:
                break
            sock.sendall(message)
            if stage is at:
                break
            assert exactly(sock, len(answer)) == answer
        return exactly(sock, 17)


@pytest.mark.parametrize("stage", list(Stage))
def test_faults_strike_at_their_stage(server: FakeServer, target: socket.socket, stage: Stage) -> None:
    """Stages before are answered right; at the stage there is FIN, RST or the text."""
    server.script = Script(at=stage, act=Act.CLOSE)
    assert walk_to(stage, server, target) == b""
    server.script = Script(at=stage, act=Act.SAY, text=b"HTTP/1.0 400 no\r\n")
    assert walk_to(stage, server, target) == b"HTTP/1.0 400 no\r\n"
    server.script = Script(at=stage, act=Act.RESET)
    with pytest.raises(ConnectionResetError):
        walk_to(stage, server, target)


def test_a_script_for_one_connection(server: FakeServer) -> None:
    """What is queued serves one connection; the next gets the standing script."""
    server.scripts.append(Script(method=0x42))
    for expected in (b"\5\x42", b"\5\2"):
        with connect(server) as sock:
            sock.sendall(b"\5\1\2")
            assert exactly(sock, 2) == expected


def test_a_stall_holds_the_connection(server: FakeServer) -> None:
    """Nothing is answered and nothing closed."""
    server.script = Script(at=Stage.METHOD, act=Act.STALL)
    with connect(server) as sock:
        sock.sendall(b"\5\1\2")
        wait_until(lambda: bool(server.sessions and server.sessions[0].methods), seconds=5, what="greeting")
        sock.settimeout(0.05)
        with pytest.raises(TimeoutError):
            sock.recv(1)
        assert not server.sessions[0].finished


def test_dripped_answers_are_whole(server: FakeServer) -> None:
    """One octet a segment, and all of them."""
    server.script = Script(at=Stage.METHOD, act=Act.DRIP, interval=0)
    with logged_in(server):
        pass


def test_only_so_much_is_relayed(server: FakeServer, target: socket.socket) -> None:
    """After `after` octets the relay ends as the script says."""
    server.script = Script(at=Stage.RELAY, act=Act.RESET, after=5)
    with logged_in(server) as sock:
        request(sock, *target.getsockname())
        far, _ = target.accept()
        with far:
            far.sendall(b"0123456789")
            assert exactly(sock, 5) == b"01234"
            with pytest.raises(ConnectionResetError):
                sock.recv(1)


def test_stop_resets_and_start_returns(server: FakeServer) -> None:
    """Open connections get RST, new ones are refused until it listens again on the same port."""
    with logged_in(server) as sock:
        server.stop()
        with pytest.raises(ConnectionResetError):
            sock.recv(1)
    with pytest.raises(ConnectionRefusedError):
        connect(server)
    server.start()
    logged_in(server).close()


def test_cases_decide_from_the_request_on(server: FakeServer, target: socket.socket) -> None:
    """A command has a script of its own, and a host has one that counts more; the login is as ever."""
    server.cases[3] = Script(reply=7)
    server.cases["denied.test"] = Script(reply=2)
    for host, command, code in (("0.0.0.0", 3, 7), ("denied.test", 1, 2), ("denied.test", 3, 2)):
        with logged_in(server) as sock:
            assert request(sock, host, 0, command=command)[1] == code
    with logged_in(server) as sock:
        assert request(sock, *target.getsockname())[1] == 0


def test_success_may_come_early(server: FakeServer) -> None:
    """Before the target refuses; the connection ends then."""
    server.script = Script(early=True)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        with logged_in(server) as sock:
            assert request(sock, *closed.getsockname())[1] == 0
            assert sock.recv(1) == b""


def test_an_early_success_relays(server: FakeServer, target: socket.socket) -> None:
    """Where the target does not refuse."""
    server.script = Script(early=True)
    with logged_in(server) as sock:
        assert request(sock, *target.getsockname())[1] == 0
        far, _ = target.accept()
        with far:
            sock.sendall(b"there")
            assert far.recv(100) == b"there"
