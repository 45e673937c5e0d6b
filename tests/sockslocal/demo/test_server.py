"""The embedded server, as clients see it."""

import os
import shutil
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fakes.socks5_dialer import dial
from fakes.waiting import wait_until
from sockslocal.address import Endpoint
from sockslocal.demo import server as demo_server
from sockslocal.demo.stage import Stage
from sockslocal.demo.targets import ECHO, ECHO_PORT, PAGE
from sockslocal.secret import Secret
from sockslocal.socks5 import errors
from sockslocal.socks5.client import Credentials
from sockslocal.socks5.messages import Command

ECHO_SERVICE = Endpoint(ECHO, ECHO_PORT)


def curl(stage: Stage, login: str, url: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """What curl says to `url` through the server; the login stays out of its command line."""
    config = folder / "curl.conf"
    config.write_text(f'socks5-hostname = "{stage.address}"\nproxy-user = "{login}"\n')
    command = ["curl", "-q", "--config", str(config), "--silent", "--show-error", "--max-time", "20", url]
    return subprocess.run(command, capture_output=True, text=True, check=False)


needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


@needs_curl
def test_curl_fetches_the_page_by_its_far_name(stage: Stage, tmp_path: Path) -> None:
    """A name that only the server knows leads to the web page, with user name and password."""
    fetched = curl(stage, "änna:p%40ss:wörd/%2541", "http://www.demo.test/", tmp_path)
    assert (fetched.returncode, fetched.stdout) == (0, PAGE)
    assert stage.server.served == {Command.CONNECT: 1}


@needs_curl
def test_curl_with_a_wrong_password_is_rejected(stage: Stage, tmp_path: Path) -> None:
    """The client ends with its code for a failed proxy handshake, and nothing was granted."""
    fetched = curl(stage, "änna:wrong", "http://www.demo.test/", tmp_path)
    assert fetched.returncode == 97
    assert not stage.server.served


@pytest.mark.parametrize(
    "login",
    [("änna", "p@ss:wörd/%4"), ("anna", "p@ss:wörd/%41"), ("änna", ""), ("", "p@ss:wörd/%41")],
    ids=["password", "user", "no password", "no user"],
)
def test_every_wrong_login_is_rejected(stage: Stage, login: tuple[str, str]) -> None:
    """Both user name and password have to be right."""
    with pytest.raises(errors.AuthenticationRejected):
        dial(stage.address, Command.CONNECT, ECHO_SERVICE, Credentials(login[0], Secret(login[1])))


def test_no_login_is_not_accepted(stage: Stage) -> None:
    """A client that offers no password gets no acceptable method."""
    with pytest.raises(errors.NoAcceptableMethod):
        dial(stage.address, Command.CONNECT, ECHO_SERVICE)


def test_a_server_without_credentials_wants_none() -> None:
    """Without credentials anyone may connect, for tests that need such a server."""
    with Stage(None) as stage:
        connection, _ = dial(stage.address, Command.CONNECT, ECHO_SERVICE)
        connection.close()


@pytest.mark.parametrize(
    ("target", "error"),
    [
        (Endpoint("nobody.demo.test", 80), errors.HostUnreachable),
        (Endpoint("192.0.2.200", 80), errors.HostUnreachable),
        (Endpoint("198.51.100.1", 80), errors.HostUnreachable),
        (Endpoint(ECHO, 8), errors.TargetRefused),
        (Endpoint("127.0.0.1", 1), errors.TargetRefused),
    ],
    ids=str,
)
def test_unreachable_targets_are_refused(
    stage: Stage, credentials: Credentials, target: Endpoint, error: type[errors.RemoteError]
) -> None:
    """Unknown hosts are unreachable, closed ports refuse, and nothing beyond this machine is connected to."""
    with pytest.raises(error):
        dial(stage.address, Command.CONNECT, target, credentials)


def test_a_literal_loopback_address_leads_to_itself(stage: Stage, credentials: Credentials) -> None:
    """A listener of this machine is reached by its own address, and sees the server as its client."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        target = Endpoint(*listener.getsockname())
        connection, bound = dial(stage.address, Command.CONNECT, target, credentials)
        accepted, peer = listener.accept()
        with connection, accepted:
            assert Endpoint(*peer) == bound


def echo_once(stage: Stage, credentials: Credentials, payload: bytes) -> bytes:
    """What comes back for `payload`, up to the end that follows the half-close."""
    connection, _ = dial(stage.address, Command.CONNECT, ECHO_SERVICE, credentials)

    def send() -> None:
        connection.sendall(payload)
        connection.shutdown(socket.SHUT_WR)

    with connection, ThreadPoolExecutor(1) as pool:
        sent = pool.submit(send)
        received = b"".join(iter(lambda: connection.recv(65536), b""))
        sent.result()
    return received


def test_half_close_delivers_everything_before_the_end(stage: Stage, credentials: Credentials) -> None:
    """More than all buffers hold is echoed whole to a client that has already said its end."""
    payload = os.urandom(16 << 20)
    assert echo_once(stage, credentials, payload) == payload


def test_two_hundred_at_once(stage: Stage, credentials: Credentials) -> None:
    """Parallel connections do not mix, and all are forgotten after their end."""
    payloads = [os.urandom(1 + number * 500) for number in range(200)]
    with ThreadPoolExecutor(200) as pool:
        echoes = list(pool.map(lambda payload: echo_once(stage, credentials, payload), payloads))
    assert echoes == payloads
    assert stage.server.served == {Command.CONNECT: 200}
    wait_until(lambda: not stage.server.clients, seconds=5, what="all clients forgotten")


def test_data_sent_ahead_reaches_the_target(stage: Stage, credentials: Credentials) -> None:
    """What a client sends together with its request is the first that the target gets."""
    login = credentials.message
    request = b"\x05\x01\x00\x03" + bytes((len(ECHO),)) + ECHO.encode() + ECHO_PORT.to_bytes(2)
    answers = b"\x05\x02" + b"\x01\x00" + b"\x05\x00\x00\x01\x7f\x00\x00\x01"
    with socket.create_connection(stage.address, timeout=10) as connection:
        connection.sendall(b"\x05\x01\x02" + login + request + b"ahead")
        connection.shutdown(socket.SHUT_WR)
        received = b"".join(iter(lambda: connection.recv(4096), b""))
    assert received.startswith(answers)
    assert received[len(answers) + 2 :] == b"ahead"


def test_garbage_is_closed_without_an_answer(stage: Stage) -> None:
    """What is not SOCKS5 is cut off."""
    with socket.create_connection(stage.address, timeout=10) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
        try:
            received = connection.recv(100)
        except ConnectionResetError:
            received = b""
        assert received == b""


def test_an_unfinished_handshake_is_cut_off(
    monkeypatch: pytest.MonkeyPatch, credentials: Credentials
) -> None:
    """A client that stays silent is closed at the deadline."""
    monkeypatch.setattr(demo_server, "HANDSHAKE_SECONDS", 0.05)
    with Stage(credentials) as stage, socket.create_connection(stage.address, timeout=10) as connection:
        assert connection.recv(1) == b""


def test_more_clients_than_the_limit_are_closed(
    monkeypatch: pytest.MonkeyPatch, stage: Stage, credentials: Credentials
) -> None:
    """Those within the limit go on; as soon as one has ended, the next may come."""
    monkeypatch.setattr(demo_server, "MAX_CLIENTS", 1)
    first, _ = dial(stage.address, Command.CONNECT, ECHO_SERVICE, credentials)
    with first, pytest.raises((errors.ConnectionClosed, ConnectionError)):
        dial(stage.address, Command.CONNECT, ECHO_SERVICE, credentials)
    wait_until(lambda: not stage.server.clients, seconds=5, what="the first client forgotten")
    dial(stage.address, Command.CONNECT, ECHO_SERVICE, credentials)[0].close()


def test_closing_the_server_ends_its_connections(credentials: Credentials) -> None:
    """After the end of the stage neither connections nor the listener are left."""
    with Stage(credentials) as stage:
        connection, _ = dial(stage.address, Command.CONNECT, ECHO_SERVICE, credentials)
    with connection:
        try:
            received = connection.recv(1)
        except ConnectionResetError:
            received = b""
        assert received == b""
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(stage.address, timeout=10)
