"""The real servers without sockslocal: where these fail, nothing else in this folder means anything."""

import shutil
import socket
import subprocess
from collections.abc import Iterator

import pytest

from fakes.socks5_wire import address_octets, parse_address
from integration.servers.process import LOOPBACK
from integration.servers.socks import PASSWORD, SocksServer
from integration.servers.targets import Targets
from integration.servers.unbound import Unbound
from integration.servers.web import WebServer


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebServer]:
    """A web server with a small file."""
    path = tmp_path_factory.mktemp("web") / "file"
    path.write_bytes(b"hello")
    with WebServer(path) as server:
        yield server


def exactly(sock: socket.socket, count: int) -> bytes:
    """`count` octets, or fewer where the connection ends before."""
    data = b""
    while len(data) < count and (more := sock.recv(count - len(data))):
        data += more
    return data


def associate(server: SocksServer) -> tuple[socket.socket, bytes]:
    """A control connection, and the reply to a request for an association; empty where it just closes."""
    control = socket.create_connection((LOOPBACK, server.port), timeout=5)
    if server.username is None:
        control.sendall(b"\5\1\0")
        assert exactly(control, 2) == b"\5\0"
    else:
        user, password = server.username.encode(), PASSWORD.encode()
        control.sendall(b"\5\1\2")
        assert exactly(control, 2) == b"\5\2"
        control.sendall(bytes([1, len(user)]) + user + bytes([len(password)]) + password)
        assert exactly(control, 2) == b"\1\0"
    control.sendall(b"\5\3\0\1\0\0\0\0\0\0")
    return control, exactly(control, 10)


def test_the_server_connects(socks: SocksServer, web: WebServer) -> None:
    """Curl fetches a file through it."""
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("curl is not installed")
    login = [] if socks.username is None else ["--proxy-user", f"{socks.username}:{PASSWORD}"]
    url = f"http://localhost:{web.port}/"
    proxy = ["--socks5-hostname", socks.address, *login]
    done = subprocess.run([curl, "-sS", "--max-time", "10", *proxy, url], capture_output=True, check=False)
    assert (done.stdout, done.stderr) == (b"hello", b"")


def test_the_server_relays_datagrams_or_refuses(socks: SocksServer, targets: Targets) -> None:
    """An echo comes back through an association; a server without UDP refuses or closes."""
    control, reply = associate(socks)
    with control, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        if not socks.relays_udp:
            assert reply[1:2] != b"\0"
            return
        udp.settimeout(5)
        udp.connect(parse_address(reply[3:])[0])
        datagram = b"\0\0\0" + address_octets(LOOPBACK, targets.udp_port) + b"echo"
        udp.send(datagram)
        assert udp.recv(100) == datagram


def test_the_name_server_answers(unbound: Unbound) -> None:
    """Dig gets the record it has."""
    dig = shutil.which("dig")
    if dig is None:
        pytest.skip("dig is not installed")
    command = [dig, f"@{LOOPBACK}", "-p", str(unbound.port), "+short", "alias.example"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    assert done.stdout.split() == ["www.example.", "192.0.2.80"]
