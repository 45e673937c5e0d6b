"""What answers behind the demo's server, asked directly."""

import socket
from concurrent.futures import ThreadPoolExecutor

import dns.message
import dns.query
import pytest

from sockslocal.address import Endpoint
from sockslocal.demo import targets
from sockslocal.demo.network import Transport
from sockslocal.demo.stage import Stage
from sockslocal.demo.targets import DNS_PORT, ECHO, ECHO_PORT, NAMES, PAGE, WEB, WEB_PORT


def connect(stage: Stage, name: str, port: int) -> socket.socket:
    """A TCP connection straight to a target."""
    return socket.create_connection(actual(stage, "tcp", name, port), timeout=10)


def actual(stage: Stage, transport: Transport, name: str, port: int) -> Endpoint:
    """Where a target really listens."""
    return stage.server.network.locate(transport, Endpoint(name, port)).actual


def everything(connection: socket.socket) -> bytes:
    """All that comes until the connection ends, in order or not."""
    received = bytearray()
    try:
        while data := connection.recv(65536):
            received += data
    except ConnectionResetError:
        pass
    return bytes(received)


@pytest.mark.parametrize(
    ("request_line", "status", "body"),
    [
        ("GET / HTTP/1.1", "200 OK", PAGE),
        ("HEAD / HTTP/1.0", "200 OK", ""),
        ("GET /favicon.ico HTTP/1.1", "404 Not Found", "There is only / here.\n"),
    ],
)
def test_the_web_server_has_one_page(stage: Stage, request_line: str, status: str, body: str) -> None:
    """Any other path is not found; HEAD gets no body."""
    with connect(stage, WEB, WEB_PORT) as connection:
        for piece in (request_line, "\r\nHost: www", ".demo.test\r\n\r", "\n"):
            connection.sendall(piece.encode())
        head, _, received = everything(connection).decode().partition("\r\n\r\n")
    assert head.splitlines()[0] == f"HTTP/1.1 {status}"
    assert received == body


def test_an_endless_request_is_cut_off(stage: Stage) -> None:
    """The web server keeps no more of a head than its limit."""
    with connect(stage, WEB, WEB_PORT) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nX: " + b"x" * targets.MAX_REQUEST_OCTETS)
        assert everything(connection) == b""


@pytest.mark.parametrize(("name", "port"), [(WEB, WEB_PORT), (NAMES, DNS_PORT)])
def test_a_silent_client_is_cut_off(monkeypatch: pytest.MonkeyPatch, name: str, port: int) -> None:
    """Who asks for nothing does not stay."""
    monkeypatch.setattr(targets, "IDLE_SECONDS", 0.05)
    with Stage(None) as stage, connect(stage, name, port) as connection:
        assert everything(connection) == b""


def test_dns_over_tcp_answers_in_pieces_and_in_a_row(stage: Stage) -> None:
    """Two questions on one connection, however they are cut, get two answers."""
    queries = [dns.message.make_query(WEB, kind) for kind in ("A", "AAAA")]
    wire = b"".join(len(query.to_wire()).to_bytes(2) + query.to_wire() for query in queries)
    with connect(stage, NAMES, DNS_PORT) as connection:
        for start in range(0, len(wire), 7):
            connection.sendall(wire[start : start + 7])
        for query in queries:
            answer, _ = dns.query.receive_tcp(connection)
            assert query.is_response(answer)


def test_garbage_over_tcp_ends_the_connection(stage: Stage) -> None:
    """What is no question has no answer."""
    with connect(stage, NAMES, DNS_PORT) as connection:
        connection.sendall(b"\x00\x02hi")
        assert everything(connection) == b""


def test_garbage_over_udp_is_ignored(stage: Stage) -> None:
    """The next question is answered."""
    at = actual(stage, "udp", NAMES, DNS_PORT)
    query = dns.message.make_query(WEB, "A")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(10)
        asking.connect(at)
        asking.send(b"garbage")
        asking.send(query.to_wire())
        assert query.is_response(dns.message.from_wire(asking.recv(4096)))


def test_the_echo_waits_for_a_slow_reader(stage: Stage) -> None:
    """Far more than all buffers hold comes back whole to one who first sends and then reads."""
    payload = bytes(range(256)) * (64 << 10)
    with connect(stage, ECHO, ECHO_PORT) as connection, ThreadPoolExecutor(1) as pool:
        sending = pool.submit(connection.sendall, payload)
        received = bytearray()
        while len(received) < len(payload):
            received += connection.recv(1 << 20)
        sending.result()
    assert received == payload


def test_closing_the_stage_ends_what_is_connected() -> None:
    """No connection to a target is left."""
    with Stage(None) as stage:
        connection = connect(stage, ECHO, ECHO_PORT)
        connection.sendall(b"x")
        assert connection.recv(1) == b"x"
    with connection:
        assert everything(connection) == b""
