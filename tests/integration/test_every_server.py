"""Each of Debian's SOCKS5 servers with a TCP forward, a UDP forward and DNS over `tcp://`."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from fakes.waiting import wait_until
from integration.conftest import skip_without
from integration.daemon import SERVER, Daemon, dns, tcp, temporary_daemon, udp
from integration.local import LocalUdp, dig, echoes, random_bytes
from integration.servers.dante import Dante
from integration.servers.microsocks import Microsocks
from integration.servers.openssh import OpenSsh
from integration.servers.process import LOOPBACK, free_port
from integration.servers.shadowsocks import Shadowsocks
from integration.servers.socks import PASSWORD, SocksServer
from integration.servers.targets import Targets
from integration.servers.unbound import Unbound
from integration.servers.v2ray import V2Ray
from sockslocal.net.profile import Profile
from sockslocal.net.profiles import ProfileStore

BORNE = {Dante: "FULL", Microsocks: "NONE", OpenSsh: "FULL", Shadowsocks: "FULL", V2Ray: "FULL"}
"""How much of a handshake each takes at once."""


@dataclass(frozen=True, slots=True)
class Tunnel:
    """A daemon, and the ports of its forwards."""

    daemon: Daemon
    tcp: int
    udp: int
    dns: int


@pytest.fixture(scope="module")
def tunnel(socks: SocksServer, targets: Targets, unbound: Unbound) -> Iterator[Tunnel]:
    """A daemon before each server in turn."""
    with temporary_daemon() as daemon:
        tunnel = Tunnel(daemon, free_port(), free_port(), free_port())
        daemon.configure(
            daemon.server(socks.address, username=socks.username, password=PASSWORD),
            tcp("echo", tunnel.tcp, targets.echo_port, host="localhost"),
            udp("echoes", tunnel.udp, targets.udp_port),
            dns(tunnel.dns, f"tcp://{unbound.address}"),
        )
        daemon.start()
        yield tunnel


def test_tcp(tunnel: Tunnel) -> None:
    """A megabyte goes there and comes back, while the server is said to be up."""
    assert echoes(tunnel.tcp, random_bytes(1_000_000))
    server = tunnel.daemon.status().servers[SERVER]
    assert (server.state, server.problem) == ("up", None)
    assert server.latency_ms is not None


def test_dns_by_tcp(tunnel: Tunnel) -> None:
    """Dig is answered over UDP and over TCP."""
    skip_without("dig")
    assert dig(tunnel.dns, "www.example").records == ["192.0.2.80"]
    assert dig(tunnel.dns, "www.example", "AAAA", "+tcp").records == ["2001:db8::80"]


def test_udp(tunnel: Tunnel, socks: SocksServer) -> None:
    """Echoes come back; where the server relays none, the forward says so and what to do instead."""
    with LocalUdp(tunnel.udp) as local:
        if socks.relays_udp:
            assert local.echo(b"hello") == b"hello"
            status = tunnel.daemon.status()
            assert status.servers[SERVER].udp == "associate"
            assert status.forwards["echoes"].problem is None
            return
        local.sock.send(b"hello")
        status = tunnel.daemon.wait_for(lambda status: status.forwards["echoes"].problem is not None)
        problem = status.forwards["echoes"].problem
        assert problem is not None
        assert problem.code == "udp-unsupported"
        assert "tcp" in problem.remedy.lower()
        assert status.servers[SERVER].udp == "none"
        assert echoes(tunnel.tcp), "the server is as good for TCP as before"


@pytest.fixture
def learning(socks: SocksServer, targets: Targets) -> Iterator[Tunnel]:
    """A daemon that finds out what the server bears."""
    with temporary_daemon() as daemon:
        tunnel = Tunnel(daemon, free_port(), free_port(), 0)
        probe = f"{LOOPBACK}:{targets.echo_port}"
        daemon.configure(
            daemon.server(socks.address, username=socks.username, password=PASSWORD, udp_probe=probe),
            tcp("echo", tunnel.tcp, targets.echo_port),
            udp("echoes", tunnel.udp, targets.udp_port),
        )
        daemon.start()
        yield tunnel


def profile_of(daemon: Daemon) -> Profile:
    """What is kept of the one server."""
    profiles = ProfileStore(daemon.paths.profiles)
    return next(iter(profiles._profiles.values()), Profile())


def test_as_much_of_a_handshake_as_the_server_bears(learning: Tunnel, socks: SocksServer) -> None:
    """It is found out at the first connection, without harm to it, and the next ones go by it."""
    assert echoes(learning.tcp)
    wait_until(lambda: profile_of(learning.daemon).pipelined is not None, seconds=15, what="it is known")
    assert profile_of(learning.daemon).pipelining.name == BORNE[type(socks)]
    for _ in range(20):
        assert echoes(learning.tcp)
    if socks.relays_udp:
        with LocalUdp(learning.udp) as local:
            assert local.echo(b"hello") == b"hello"
    assert profile_of(learning.daemon).pipelining.name == BORNE[type(socks)], "it was never in doubt"
