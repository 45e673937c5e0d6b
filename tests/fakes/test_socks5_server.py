import socket
from collections.abc import Iterator

import pytest

from fakes.socks5_server import Act, FakeServer, Script, Stage, UdpFault, UdpScript
from fakes.socks5_wire import address_octets, parse_address
from fakes.waiting import wait_until

ANA = (b"ana", b"secret")
LOGIN = b"\1\3ana\6secret"


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


def connect(server: FakeServer) -> socket.socket:
    """A connection to the fake, no byte sent."""
    return socket.create_connection(server.address, timeout=5)


def exactly(sock: socket.socket, count: int) -> bytes:
    """`count` octets, or fewer where the connection ends before."""
    data = b""
    while len(data) < count and (more := sock.recv(count - len(data))):
        data += more
    return data


def logged_in(server: FakeServer) -> socket.socket:
    """A connection that may send its request."""
    sock = connect(server)
    sock.sendall(b"\5\1\2")
    assert exactly(sock, 2) == b"\5\2"
    sock.sendall(LOGIN)
    assert exactly(sock, 2) == b"\1\0"
    return sock


def request(sock: socket.socket, host: str, port: int, command: int = 1) -> bytes:
    """The reply to a request, of the length it has with an IPv4 address."""
    sock.sendall(bytes([5, command, 0]) + address_octets(host, port))
    return exactly(sock, 10)


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


def associated(server: FakeServer) -> tuple[socket.socket, socket.socket]:
    """A control connection and a UDP socket connected to its relay."""
    control = logged_in(server)
    reply = request(control, "0.0.0.0", 0, command=3)
    assert reply[1] == 0
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.settimeout(5)
    udp.connect(parse_address(reply[3:])[0])
    return control, udp


def test_the_relay_under_another_name(server: FakeServer) -> None:
    """The reply names the host that the script says, and the relay's own port."""
    server.script = Script(bound_host="")
    with logged_in(server) as sock:
        sock.sendall(b"\5\3\0" + address_octets("0.0.0.0", 0))
        assert exactly(sock, 7)[:5] == b"\5\0\0\3\0"


def is_refused(udp: socket.socket) -> bool:
    """Whether the relay's port was found closed."""
    try:
        udp.send(b"again")
    except ConnectionRefusedError:
        return True
    return False


@pytest.fixture
def echo() -> Iterator[socket.socket]:
    """A UDP socket that a test answers from."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(5)
        sock.bind(("127.0.0.1", 0))
        yield sock


def send_and_echo(udp: socket.socket, echo: socket.socket, payload: bytes) -> bytes:
    """Send `payload` through the relay and back; returns the header that `echo` is named by."""
    header = address_octets(*echo.getsockname())
    udp.send(b"\0\0\0" + header + payload)
    received, source = echo.recvfrom(100)
    assert received == payload
    echo.sendto(received, source)
    return header


def test_datagrams_pass_both_ways(server: FakeServer, echo: socket.socket) -> None:
    """Even an empty one, with the true source in the header."""
    control, udp = associated(server)
    with control, udp:
        for payload in (b"ping", b""):
            header = send_and_echo(udp, echo, payload)
            assert udp.recv(100) == b"\0\0\0" + header + payload
        relay = server.sessions[0].relay
        assert relay is not None
        assert relay.received == [(echo.getsockname(), b"ping"), (echo.getsockname(), b"")]


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (UdpScript(fragment=1), b"\0\0\1{header}ping"),
        (UdpScript(reserved=b"\1\2"), b"\1\2\0{header}ping"),
        (UdpScript(header_address=address_octets("x.test", 7)), b"\0\0\0\3\6x.test\0\7ping"),
        (UdpScript(fault=UdpFault.TRUNCATED), b"\0\0\0\1\x7f"),
    ],
)
def test_headers_as_scripted(
    server: FakeServer, echo: socket.socket, script: UdpScript, expected: bytes
) -> None:
    """FRAG, RSV, another address, or a cut."""
    server.script = Script(udp=script)
    control, udp = associated(server)
    with control, udp:
        header = send_and_echo(udp, echo, b"ping")
        assert udp.recv(100) == expected.replace(b"{header}", header)


@pytest.mark.parametrize("fault", [UdpFault.OTHER_PORT, UdpFault.OTHER_ADDRESS, UdpFault.DROP])
def test_datagrams_from_elsewhere_miss_a_connected_socket(
    server: FakeServer, echo: socket.socket, fault: UdpFault
) -> None:
    """A client that has connected its socket to the relay sees none of them."""
    server.script = Script(udp=UdpScript(fault=fault))
    control, udp = associated(server)
    with control, udp:
        send_and_echo(udp, echo, b"ping")
        udp.settimeout(0.05)
        with pytest.raises(TimeoutError):
            udp.recv(100)


def test_injected_datagrams(server: FakeServer, echo: socket.socket) -> None:
    """A test sends what it likes, from the relay's port or from another."""
    control, udp = associated(server)
    with control, udp:
        send_and_echo(udp, echo, b"ping")
        udp.recv(100)
        server.inject(server.sessions[0], b"forged", from_elsewhere=True)
        server.inject(server.sessions[0], b"real", from_elsewhere=False)
        assert udp.recv(100) == b"real"


def test_a_first_datagram_may_close_the_control_connection(server: FakeServer, echo: socket.socket) -> None:
    """EOF on the control connection, and the relay's port is closed with it."""
    server.script = Script(udp=UdpScript(fault=UdpFault.CONTROL_CLOSED))
    control, udp = associated(server)
    with control, udp:
        udp.send(b"\0\0\0" + address_octets(*echo.getsockname()) + b"ping")
        assert control.recv(1) == b""
        wait_until(lambda: is_refused(udp), seconds=5, what="the relay's port is closed")


def test_a_dead_relay_leaves_the_control_connection(server: FakeServer, echo: socket.socket) -> None:
    """As Dante's does after a poisonous datagram."""
    server.script = Script(udp=UdpScript(fault=UdpFault.RELAY_DEAD))
    control, udp = associated(server)
    with control, udp:
        udp.send(b"\0\0\0" + address_octets(*echo.getsockname()) + b"ping")
        wait_until(lambda: is_refused(udp), seconds=5, what="the relay's port is closed")
        control.settimeout(0.05)
        with pytest.raises(TimeoutError):
            control.recv(1)
