"""Servers inside TLS: all passes as without it, and a certificate that is wrong is told."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fakes.certificates import NAME, Authority
from fakes.socks5_server import FakeServer, Script, StreamFormat
from fakes.tls_front import TlsFront
from integration.conftest import skip_without
from integration.daemon import SERVER, Daemon, dns, tcp, udp
from integration.local import LocalUdp, connect, dig, echoes, is_reset, random_bytes, until_end
from integration.servers.process import free_port
from integration.servers.socks import PASSWORD, SocksServer
from integration.servers.stunnel import PROGRAM, Stunnel
from integration.servers.targets import Targets, late_answer
from integration.servers.unbound import Unbound
from sockslocal.address import Endpoint


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Who vouches for the servers."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def server() -> Iterator[FakeServer]:
    """Has a login, and carries datagrams over TCP."""
    with FakeServer(credentials=(b"ana", PASSWORD.encode())) as running:
        running.script = Script(formats=frozenset({StreamFormat.UOT_V2}))
        yield running


@pytest.fixture
def front(server: FakeServer, authority: Authority) -> Iterator[TlsFront]:
    """The same inside TLS."""
    with TlsFront(server.address, authority.issue()) as running:
        yield running


def office(daemon: Daemon, address: str, ca: Path, name: str = NAME) -> str:
    """The server's table."""
    tls = {"tls": True, "tls_name": name, "tls_ca": str(ca)}
    return daemon.server(address, username="ana", password=PASSWORD, udp_probe="off", **tls)


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_a_real_server_inside_tls(
    dante: SocksServer,
    targets: Targets,
    daemon: Daemon,
    authority: Authority,
    tmp_path: Path,
    *,
    version: str,
) -> None:
    """20 MB go there and come back; the end of a program's direction is heard, and what follows arrives."""
    skip_without(PROGRAM)
    echo, late = free_port(), free_port()
    stunnel = Stunnel(tmp_path, dante.address, authority.issue(), version=version)
    try:
        daemon.configure(
            office(daemon, stunnel.address, authority.ca),
            tcp("echo", echo, targets.echo_port),
            tcp("late", late, targets.late_port),
        )
        daemon.start()
        assert echoes(echo, random_bytes(20_000_000))
        with connect(late) as sock:
            sock.sendall(b"question")
            sock.shutdown(socket.SHUT_WR)
            assert until_end(sock) == late_answer(8)
        assert daemon.status().servers[SERVER].state == "up"
    finally:
        stunnel.process.stop()


def test_many_at_once(targets: Targets, daemon: Daemon, front: TlsFront, authority: Authority) -> None:
    """Each has what is its own, and all but the first resume a session."""
    port = free_port()
    daemon.configure(
        office(daemon, str(Endpoint(*front.address)), authority.ca), tcp("echo", port, targets.echo_port)
    )
    daemon.start()
    assert echoes(port)
    with ThreadPoolExecutor(20) as programs:
        assert all(programs.map(lambda _: echoes(port, random_bytes(100_000)), range(100)))
    assert [handshake.resumed for handshake in front.handshakes[2:]].count(False) == 0
    assert front.errors == []


def test_names_and_datagrams(
    targets: Targets, unbound: Unbound, daemon: Daemon, front: TlsFront, authority: Authority
) -> None:
    """The resolver asks inside TLS; datagrams go by TCP inside it, never beside it."""
    skip_without("dig")
    resolver, echo = free_port(), free_port()
    daemon.configure(
        office(daemon, str(Endpoint(*front.address)), authority.ca),
        dns(resolver, f"tcp://{unbound.address}"),
        udp("echo", echo, targets.udp_port),
    )
    daemon.start()
    assert dig(resolver, "www.example").records == ["192.0.2.80"]
    assert dig(resolver, "www.example", "AAAA").records == ["2001:db8::80"]
    with LocalUdp(echo) as local:
        assert local.echo(b"hello") == b"hello"
    assert daemon.status().servers[SERVER].udp == "uot-v2"


def test_no_way_for_datagrams(
    targets: Targets, daemon: Daemon, server: FakeServer, front: TlsFront, authority: Authority
) -> None:
    """A server that would relay them outside of TLS is not asked to, and the forward says why none pass."""
    server.script = Script()
    port = free_port()
    daemon.configure(
        office(daemon, str(Endpoint(*front.address)), authority.ca), udp("echo", port, targets.udp_port)
    )
    daemon.start()
    with LocalUdp(port) as local:
        local.sock.send(b"hello")
        status = daemon.wait_for(lambda status: status.servers[SERVER].udp == "none")
    assert server.counts.associations.total == 0
    problem = status.forwards["echo"].problem
    assert problem is not None
    assert problem.remedy


def test_a_certificate_that_is_wrong(
    targets: Targets, daemon: Daemon, server: FakeServer, front: TlsFront, authority: Authority
) -> None:
    """Is told by `status` with what mends it; nothing is said to such a server, and once mended all works."""
    port = free_port()
    address = str(Endpoint(*front.address))
    forward = tcp("echo", port, targets.echo_port)
    daemon.configure(office(daemon, address, authority.ca, "other.test"), forward)
    daemon.start()
    assert is_reset(port)
    status = daemon.wait_for(lambda status: status.servers[SERVER].state == "down")
    problem = status.servers[SERVER].problem
    assert problem is not None
    assert problem.code == "server-tls"
    said = daemon.cli("status")
    assert f"no TLS with {address}: its certificate is not for other.test" in said.stdout
    assert f"set tls_name in [server.{SERVER}]" in said.stdout
    assert server.sessions == []
    daemon.configure(office(daemon, address, authority.ca), forward)
    daemon.wait_for(lambda status: status.servers[SERVER].state == "up")
    assert echoes(port)
