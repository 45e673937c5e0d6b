"""The daemon after it was stopped for a while, and in a network that has become another one."""

import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from dns.message import make_query
from dns.query import udp as ask

from fakes import networks
from fakes.networks import HERE, HERE_LATER, THERE, Network, connected
from fakes.socks5_server import FakeServer
from fakes.targets import tcp_echo, udp_echo
from fakes.waiting import wait_until
from integration.daemon import Daemon, dns, tcp, udp
from integration.servers.process import LOOPBACK, free_port

pytestmark = pytest.mark.skipif(bool(networks.why_not()), reason=networks.why_not())

# As it is, but that it counts less time as lost, so that the tests need not lose more.
PROGRAM = """
import sys
from sockslocal.supervisor import interruptions
interruptions.TICK_S, interruptions.LAPSE_S = 0.2, 0.6
from sockslocal.__main__ import main
sys.exit(main())
"""
STOPPED_S = 1.5
SOON_S = 8.0
"""Long after what it takes, and long before what a system takes by itself to find connections dead."""


class Attentive(Daemon):
    """One that notices sooner."""

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-c", PROGRAM, *words]


class Home:
    """The user's machine, with a daemon that leads to the server's."""

    def __init__(self, network: Network, daemon: Daemon, ports: dict[str, int]) -> None:
        self.network = network
        self.daemon = daemon
        self.ports = ports
        self._names = 0

    def connect(self) -> socket.socket:
        """A connection to the echo, which works."""
        sock = self.network.call(lambda: connected((LOOPBACK, self.ports["tcp"])))
        self.echoes(sock)
        return sock

    def program(self) -> socket.socket:
        """A program that sends datagrams to the echo."""
        return self.network.call(lambda: connected((LOOPBACK, self.ports["udp"]), socket.SOCK_DGRAM))

    def echoes(self, sock: socket.socket) -> None:
        """The connection works."""
        sock.sendall(b"ping")
        assert sock.recv(4) == b"ping"

    def connects(self) -> bool:
        """Whether a new connection works."""
        try:
            self.connect().close()
        except (OSError, AssertionError):
            return False
        return True

    def resolves(self) -> bool:
        """Whether a name that was not asked for before is found, at the first attempt."""
        self._names += 1
        query = make_query(f"name-{self._names}.example", "A")
        reply = self.network.call(lambda: ask(query, LOOPBACK, port=self.ports["dns"], timeout=10))
        return "192.0.2.55" in str(reply)

    def pause(self) -> None:
        """Stop the daemon for a while, as sleep does."""
        self.daemon.process.signal(signal.SIGSTOP)
        time.sleep(STOPPED_S)
        self.daemon.process.signal(signal.SIGCONT)

    def give_ports(self, first: int, last: int) -> None:
        """What is opened from now on has a port of these."""
        self.network.run("sysctl", "-qw", f"net.ipv4.ip_local_port_range={first} {last}")


def datagram_echoes(program: socket.socket) -> bool:
    """Whether a datagram comes back soon."""
    program.settimeout(0.3)
    try:
        program.send(b"ping")
        return program.recv(100) == b"ping"
    except OSError:
        return False


def works(home: Home, program: socket.socket) -> None:
    """All kinds of traffic pass, soon."""
    assert home.resolves(), "the first query is answered"
    wait_until(home.connects, seconds=SOON_S, what="new connections work")
    wait_until(lambda: datagram_echoes(program), seconds=SOON_S, what="datagrams pass")


@contextmanager
def at_home(there: Network, here: Network, scheme: str) -> Iterator[Home]:
    """To be entered in the network `there`."""
    ports = {kind: free_port() for kind in ("tcp", "udp", "dns", "names")}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sl")))
        daemon = stack.enter_context(Attentive(folder))
        server = stack.enter_context(FakeServer(host=THERE))
        echo, echoes, probe = (stack.enter_context(made()) for made in (tcp_echo, udp_echo, udp_echo))
        stack.enter_context(names(ports["names"]))
        daemon.configure(
            daemon.server(f"{THERE}:{server.port}", udp_probe=f"{LOOPBACK}:{probe[1]}"),
            tcp("echo", ports["tcp"], echo[1]),
            udp("echoes", ports["udp"], echoes[1]),
            dns(ports["dns"], f"{scheme}://{LOOPBACK}:{ports['names']}"),
        )
        daemon.start(prefix=here.prefix)
        yield Home(here, daemon, ports)


@contextmanager
def names(port: int) -> Iterator[None]:
    """A DNS server on that port of loopback."""
    command = [sys.executable, "-m", "fakes.dns_program", str(port)]
    environment = {"PYTHONPATH": str(Path(__file__).parents[1])}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline()
            yield
        finally:
            process.kill()


def away(test: Callable[[Network, Home], None], scheme: str = "tcp") -> None:
    """Run `test` there, with a home here."""
    with networks.networks() as (there, here):

        def main() -> None:
            with at_home(there, here, scheme) as home:
                test(there, home)

        there.call(main)


@pytest.mark.parametrize("scheme", ["tcp", "udp"])
def test_what_died_during_a_pause_is_made_anew(scheme: str) -> None:
    """Whatever was open is dead without a word, as after a night behind a router that forgets."""

    def test(there: Network, home: Home) -> None:
        home.give_ports(40_000, 41_999)
        with home.program() as program:
            works(home, program)
            home.give_ports(50_000, 51_999)
            there.drop_from_ports(40_000, 41_999)
            home.pause()
            works(home, program)
        assert "passed unnoticed" in home.daemon.log()

    away(test, scheme)


def test_what_lives_after_a_pause_is_kept() -> None:
    """Connections go on, and datagrams by the association that they had."""

    def test(_there: Network, home: Home) -> None:
        with home.connect() as connection, home.program() as program:
            works(home, program)
            before = home.daemon.status().udp.associations
            home.pause()
            wait_until(lambda: "passed unnoticed" in home.daemon.log(), seconds=10, what="it is noticed")
            home.echoes(connection)
            works(home, program)
            home.echoes(connection)
            assert home.daemon.status().udp.associations == before

    away(test)


@pytest.mark.parametrize("scheme", ["tcp", "udp"])
def test_another_address_is_gone_over_to(scheme: str) -> None:
    """What spoke from the old one is told so at once; everything new works, by the new one."""

    def test(_there: Network, home: Home) -> None:
        with home.connect() as connection, home.program() as program:
            works(home, program)
            home.network.run("ip", "address", "delete", f"{HERE}/24", "dev", "cable")
            home.network.run("ip", "address", "add", f"{HERE_LATER}/24", "dev", "cable")
            connection.settimeout(SOON_S)
            with pytest.raises(ConnectionResetError):
                connection.recv(1)
            works(home, program)
        assert "the addresses of this machine are others" in home.daemon.log()

    away(test, scheme)


def test_a_network_that_comes_back_is_used_at_once() -> None:
    """However long it was away: nobody waits for the next attempt of those that had become rare."""

    def test(_there: Network, home: Home) -> None:
        with home.program() as program:
            works(home, program)
            home.network.run("ip", "link", "set", "cable", "down")
            home.daemon.wait_for(lambda status: status.servers["office"].state != "up", seconds=40)
            home.network.run("ip", "link", "set", "cable", "up")
            home.daemon.wait_for(lambda status: status.servers["office"].state == "up", seconds=SOON_S)
            works(home, program)

    away(test)
