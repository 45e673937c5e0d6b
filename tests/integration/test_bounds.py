"""What others may do to the daemon's memory and descriptors is bounded."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from fakes.socks5_server import FakeServer
from fakes.waiting import wait_until
from integration.conftest import skip_without
from integration.daemon import Daemon, tcp, udp
from integration.local import LocalUdp, connect, echoes, exactly
from integration.servers.process import LOOPBACK, free_port
from integration.servers.socks import PASSWORD, SocksServer
from integration.servers.targets import Targets
from integration.servers.web import WebServer

SPRAYED_FROM = "127.9.9.7"
"""An address of this test alone: a late answer is not to reach another one."""

GIGABYTE = 1_000_000_000
ALLOWED_GROWTH = 8_000_000
PROGRAMS = 300
DESCRIPTORS = 512


@pytest.fixture
def web(tmp_path: Path) -> Iterator[WebServer]:
    """A gigabyte that takes no space on the disk."""
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.truncate(GIGABYTE)
    with WebServer(path) as server:
        yield server


def test_a_program_that_does_not_read(
    daemon: Daemon, dante: SocksServer, web: WebServer, targets: Targets
) -> None:
    """The gigabyte stays with the server: memory does not grow, and others are served."""
    port, echo_port = free_port(), free_port()
    daemon.configure(
        daemon.server(dante.address, username=dante.username, password=PASSWORD),
        tcp("web", port, web.port),
        tcp("echo", echo_port, targets.echo_port),
    )
    daemon.start()
    assert echoes(echo_port)
    before = daemon.status().daemon.rss_bytes
    seen = [0, 0, 0]
    with ExitStack() as stack:
        for _ in range(4):
            sock = stack.enter_context(connect(port))
            sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert exactly(sock, 1000)

        def has_come_to_rest() -> bool:
            seen.append(daemon.status().forwards["web"].bytes.received)
            assert echoes(echo_port)
            return len(set(seen[-10:])) == 1

        wait_until(has_come_to_rest, seconds=20, what="nothing more is taken from the server")
        assert seen[-1] < GIGABYTE // 4
        assert daemon.status().daemon.rss_bytes < before + ALLOWED_GROWTH


def test_many_programs_that_send_datagrams(daemon: Daemon, targets: Targets) -> None:
    """Flows are capped; one in use is not ended for new ones; when they are idle, all is free again."""
    skip_without("prlimit")
    port = free_port()
    with FakeServer() as server, ExitStack() as stack:
        daemon.configure(
            daemon.server(f"{LOOPBACK}:{server.port}"), udp("echoes", port, targets.udp_port, idle="2s")
        )
        daemon.start(prefix=["prlimit", f"--nofile={DESCRIPTORS}:{DESCRIPTORS}"])
        first = stack.enter_context(LocalUdp(port))
        assert first.echo(b"first") == b"first"
        sprayed = [stack.enter_context(socket.socket(type=socket.SOCK_DGRAM)) for _ in range(PROGRAMS)]
        for sock in sprayed:
            sock.bind((SPRAYED_FROM, 0))
            sock.sendto(b"spray", (LOOPBACK, port))
        assert first.echo(b"still there") == b"still there"
        status = daemon.status()
        assert status.udp.flows <= DESCRIPTORS // 8
        assert status.forwards["echoes"].dropped >= PROGRAMS - DESCRIPTORS // 8
        daemon.wait_for(lambda status: status.udp.flows == 0)
        assert first.echo(b"and again") == b"and again"
