"""`kill -9` of the server while much is going on, again and again."""

import socket
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.waiting import wait_until
from integration.daemon import HIDDEN, Daemon, tcp, udp
from integration.local import LocalUdp, connect, echoes, exactly
from integration.servers.process import free_port
from integration.servers.socks import PASSWORD, SocksServer
from integration.servers.targets import Targets
from integration.servers.web import WebServer
from sockslocal.net.pipes import KEPT

KILLS = 20
TRANSFERS = 8
RETURN_S, QUIET_S = 2.0, 3.0


@pytest.fixture
def web(tmp_path: Path) -> Iterator[WebServer]:
    """A file that takes a while, but no space on the disk."""
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.truncate(1_000_000_000)
    with WebServer(path) as server:
        yield server


def begin_transfer(port: int) -> socket.socket:
    """A download of which some has come and more is on its way."""
    sock = connect(port)
    sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
    assert exactly(sock, 100_000)
    return sock


def drain(sock: socket.socket) -> None:
    """Read until the end, clean or not; fails where none comes."""
    try:
        while sock.recv(1 << 20):
            pass
    except ConnectionResetError:
        pass


def in_use(daemon: Daemon) -> Counter[str]:
    """How many descriptors of each kind are open, without the pipes kept for the next connections."""
    kinds = Counter(name.partition(":")[0] for name in daemon.descriptors() or [])
    kinds["pipe"] = max(0, kinds["pipe"] - 2 * KEPT)
    return kinds


@pytest.mark.serial
def test_all_comes_back(daemon: Daemon, dante: SocksServer, targets: Targets, web: WebServer) -> None:
    """Transfers end; new connections work at once when the server is back; nothing is left behind."""
    echo_port, web_port, udp_port = free_port(), free_port(), free_port()
    daemon.configure(
        daemon.server(dante.address, username=dante.username, password=PASSWORD),
        tcp("echo", echo_port, targets.echo_port),
        tcp("web", web_port, web.port),
        udp("echoes", udp_port, targets.udp_port, idle="1s"),
    )
    daemon.start()
    assert echoes(echo_port)
    for sock in [begin_transfer(web_port) for _ in range(TRANSFERS)]:
        sock.close()
    with LocalUdp(udp_port) as local:
        wait_until(local.echoes, seconds=10, what="datagrams pass")
    daemon.wait_for(lambda status: status.udp.flows == 0 and status.forwards["web"].connections.open == 0)
    baseline = in_use(daemon)

    for _ in range(KILLS):
        transfers = [begin_transfer(web_port) for _ in range(TRANSFERS)]
        with LocalUdp(udp_port) as local:
            local.sock.send(b"a datagram on its way")
        dante.kill()
        for sock in transfers:
            with sock:
                drain(sock)
        dante.start()
        wait_until(lambda: echoes(echo_port), seconds=RETURN_S, what="new connections work")

    with LocalUdp(udp_port) as local:
        wait_until(local.echoes, seconds=10, what="datagrams pass again")
    daemon.wait_for(lambda status: status.udp.flows == 0)
    if not baseline:
        pytest.skip(HIDDEN)
    wait_until(lambda: in_use(daemon) <= baseline, seconds=QUIET_S, what=f"descriptors are {baseline} again")
