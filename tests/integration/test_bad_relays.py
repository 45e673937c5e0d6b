"""UDP through servers that name odd relays, forge, cut and lose: none of it arrives, and flows come back."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import psutil
import pytest

from fakes.socks5_relay import Relay
from fakes.socks5_server import Act, FakeServer, Script, Stage, UdpFault, UdpScript
from fakes.socks5_wire import address_octets
from fakes.waiting import wait_until
from integration.daemon import SERVER, Daemon, tcp, temporary_daemon, udp
from integration.local import PATIENCE_S, LocalUdp, echoes
from integration.servers.process import LOOPBACK, free_port
from integration.servers.targets import Targets
from sockslocal.status import Forward

ZEROS = address_octets("0.0.0.0", 0)


@dataclass(frozen=True, slots=True)
class Tunnel:
    """A daemon before a fake server, and the ports of its forwards to echoes."""

    daemon: Daemon
    server: FakeServer
    udp: int
    tcp: int
    target: int

    def forward(self) -> Forward:
        return self.daemon.status().forwards["echoes"]

    def relays(self) -> list[Relay]:
        """The server's side of all associations."""
        return [session.relay for session in self.server.sessions if session.relay]

    def problem(self) -> str:
        """The code of the UDP forward's problem."""
        problem = self.forward().problem
        return problem.code if problem else ""


@pytest.fixture
def tunnel(targets: Targets) -> Iterator[Tunnel]:
    """A daemon with a forward of either kind."""
    with FakeServer() as server, temporary_daemon() as daemon:
        udp_port, tcp_port = free_port(), free_port()
        daemon.configure(
            daemon.server(f"{LOOPBACK}:{server.port}"),
            udp("echoes", udp_port, targets.udp_port),
            tcp("echo", tcp_port, targets.echo_port),
        )
        daemon.start()
        daemon.wait_for(lambda status: status.servers[SERVER].state == "up")
        yield Tunnel(daemon, server, udp_port, tcp_port, targets.udp_port)


def test_the_request_names_nothing(tunnel: Tunnel) -> None:
    """UDP ASSOCIATE asks with zeros, as some servers take nothing else; the datagram has a plain header."""
    with LocalUdp(tunnel.udp) as local:
        assert local.echo(b"hello") == b"hello"
    session = tunnel.server.sessions[-1]
    assert session.segments == [b"\5\1\0", b"\5\3\0" + ZEROS]
    assert session.relay is not None
    assert session.relay.received == [((LOOPBACK, tunnel.target), b"hello")]
    assert session.relay.malformed == []


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "", "10.0.0.1", "169.254.0.1", "224.0.0.1", "proxy.internal"]
)
def test_relays_that_cannot_be_meant(tunnel: Tunnel, host: str) -> None:
    """What only the server could reach, or nobody should: its own address is used, so echoes come back."""
    tunnel.server.script = Script(bound_host=host)
    with LocalUdp(tunnel.udp) as local:
        assert local.echo(b"hello") == b"hello"
        remotes = {used.raddr.ip for used in psutil.net_connections("udp") if used.raddr}
        assert host not in remotes


def test_a_relay_without_port(tunnel: Tunnel) -> None:
    """It cannot be used, and that is said."""
    tunnel.server.script = Script(bound=ZEROS)
    with LocalUdp(tunnel.udp) as local:
        local.sock.send(b"hello")
        wait_until(lambda: tunnel.problem() == "udp-relay-invalid", seconds=5, what="the problem")
    assert echoes(tunnel.tcp)


@pytest.mark.parametrize(
    "script",
    [
        Script(reply=7),
        Script(reply=2),
        Script(at=Stage.REPLY, act=Act.CLOSE),
        Script(at=Stage.RELAY, act=Act.CLOSE),
    ],
    ids=["not supported", "not allowed", "closes instead of answering", "closes at once"],
)
def test_no_udp_is_told(tunnel: Tunnel, script: Script) -> None:
    """With what to do instead; TCP goes on; and when the server has UDP after all, it is used."""
    tunnel.server.script = script
    with LocalUdp(tunnel.udp) as local:
        local.sock.send(b"hello")
        wait_until(lambda: tunnel.problem() == "udp-unsupported", seconds=5, what="the problem")
        status = tunnel.daemon.status()
        problem = status.forwards["echoes"].problem
        assert problem is not None
        assert problem.remedy
        assert status.servers[SERVER].udp == "none"
        assert status.servers[SERVER].state == "up"
        tunnel.server.script = Script()
        assert echoes(tunnel.tcp)
        wait_until(local.echoes, seconds=10, what="echoes come back")
    assert tunnel.problem() == ""
    assert tunnel.daemon.status().servers[SERVER].udp == "associate"


@pytest.mark.parametrize(
    "udp_script",
    [
        UdpScript(fault=UdpFault.OTHER_PORT),
        UdpScript(fault=UdpFault.OTHER_ADDRESS),
        UdpScript(fault=UdpFault.TRUNCATED),
        UdpScript(fragment=1),
    ],
    ids=["another port", "another address", "cut", "fragment"],
)
def test_what_is_not_the_answer_does_not_arrive(tunnel: Tunnel, udp_script: UdpScript) -> None:
    """From elsewhere than the relay, or broken: the program gets none of it."""
    tunnel.server.script = Script(udp=udp_script)
    with LocalUdp(tunnel.udp) as local:
        local.sock.send(b"first")
        wait_until(lambda: any(relay.answered for relay in tunnel.relays()), seconds=10, what="an answer")
        (session,) = [session for session in tunnel.server.sessions if session.relay]
        header = b"\0\0\0" + address_octets(LOOPBACK, tunnel.target)
        tunnel.server.inject(session, header + b"the true answer", from_elsewhere=False)
        local.sock.settimeout(PATIENCE_S)
        assert local.sock.recv(100) == b"the true answer"
        if udp_script.fault not in {UdpFault.OTHER_PORT, UdpFault.OTHER_ADDRESS}:  # the kernel drops those
            assert tunnel.forward().dropped == 1


def test_two_programs_never_get_each_others_datagrams(tunnel: Tunnel) -> None:
    """Each sender has its own way back, also one that comes after another has gone."""
    with LocalUdp(tunnel.udp) as first:
        assert first.echo(b"one") == b"one"
        with LocalUdp(tunnel.udp) as second:
            for turn in range(5):
                assert second.echo(b"two %d" % turn) == b"two %d" % turn
                assert first.echo(b"one %d" % turn) == b"one %d" % turn


def test_a_new_association_after_the_old_one_ended(tunnel: Tunnel) -> None:
    """The server ends it by closing the control connection; the same local socket goes on."""
    with LocalUdp(tunnel.udp) as local:
        assert local.echo(b"before") == b"before"
        tunnel.server.stop()
        tunnel.daemon.wait_for(lambda status: status.udp.associations == 0)
        tunnel.server.start()
        wait_until(local.echoes, seconds=10, what="echoes come back")


def test_a_dead_relay_is_replaced(tunnel: Tunnel) -> None:
    """Its control connection is open still, as with Dante: the closed port tells."""
    tunnel.server.script = Script(udp=UdpScript(fault=UdpFault.RELAY_DEAD))
    with LocalUdp(tunnel.udp) as local:
        local.sock.send(b"poison")
        wait_until(lambda: any(relay.received for relay in tunnel.relays()), seconds=10, what="the poison")
        tunnel.server.script = Script()
        wait_until(local.echoes, seconds=10, what="echoes come back")


def test_a_server_that_always_closes_is_not_stormed(tunnel: Tunnel) -> None:
    """However many datagrams come, and none is lost uncounted: it is asked about once a second, then less."""
    began = time.monotonic()
    tunnel.server.script = Script(at=Stage.RELAY, act=Act.CLOSE)
    with LocalUdp(tunnel.udp) as local:
        local.sock.send(b"first")
        wait_until(lambda: tunnel.problem() == "udp-unsupported", seconds=5, what="the problem")
        for _ in range(200):
            local.sock.send(b"again")
        tunnel.daemon.wait_for(lambda status: status.forwards["echoes"].dropped >= 200)
        asked = [session for session in tunnel.server.sessions if session.command == 3]
        assert 1 <= len(asked) <= 2 + time.monotonic() - began
