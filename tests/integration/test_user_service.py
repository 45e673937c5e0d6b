"""sockslocal under the real systemd, of a user and of the system, hardened as its unit says."""

import contextlib
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator

import pytest
from dns.exception import DNSException
from dns.message import Message, make_query
from dns.query import tcp as ask_by_tcp
from dns.query import udp as ask

from fakes.booted_machine import BootedMachine, why_not
from fakes.networks import connected
from fakes.socks5_server import FakeServer
from fakes.targets import tcp_echo, udp_echo
from fakes.waiting import wait_until
from integration.daemon import dns, section, tcp, udp
from integration.servers.process import LOOPBACK, free_port
from integration.user_service import UserService, booted

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not())

RULES = '[dns.rules]\n"dev.test" = "192.0.2.7"\n'


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BootedMachine]:
    """Booted once; each test stops what it has started."""
    with booted(tmp_path_factory.mktemp("m")) as running:
        if not UserService(running).can_be_run():
            pytest.skip("this Python, or what it is to run, is where only root may look")
        yield running


@pytest.fixture
def service(machine: BootedMachine) -> Iterator[UserService]:
    """The user's unit, installed."""
    made = UserService(machine)
    made.install()
    yield made
    made.manager("stop", "sockslocal-dns.socket", "sockslocal.service", check=False)
    made.manager("reset-failed", check=False)


def server(port: int, **more: object) -> str:
    """The table of the server."""
    return section("server.office", address=f"{LOOPBACK}:{port}", udp_probe="off", **more)


def with_server(service: UserService, test: Callable[[FakeServer, int, int], None]) -> None:
    """Run `test` beside the daemon, with a server, and a TCP and a UDP echo behind it."""

    def main() -> None:
        with (
            FakeServer(credentials=(b"ana", b"hunter2")) as fake,
            tcp_echo() as streams,
            udp_echo() as datagrams,
        ):
            test(fake, streams[1], datagrams[1])

    service.beside(main)


TALK = """
import socket, sys
with socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=20) as sock:
    for _ in range(40):
        sock.sendall(bytes(100_000))
        left = 100_000
        while left:
            left -= len(sock.recv(left))
print("echoed")
"""


def test_all_kinds_of_traffic_pass_the_filter(service: UserService) -> None:
    """Connections by splice, datagrams in batches, the kernel's word whose a connection is, and a child."""
    ports = [free_port() for _ in range(3)]

    def test(fake: FakeServer, streams: int, datagrams: int) -> None:
        service.configure(
            server(fake.port, username="ana", password_from="command:echo hunter2"),
            tcp("db", ports[0], streams, only_me=True),
            udp("game", ports[1], datagrams),
            dns(ports[2], "tcp://192.0.2.1"),
            RULES,
        )
        service.manager("start", "sockslocal.service")
        assert service.property("StatusText").startswith("2 of 2 forwards up, resolver up")
        service.wait_for("StatusText", "2 of 2 forwards up, resolver up")
        assert service.command(sys.executable, "-c", TALK, str(ports[0])) == "echoed\n"
        with pytest.raises(ConnectionResetError), connected((LOOPBACK, ports[0])) as others:
            others.recv(1)
        with connected((LOOPBACK, ports[1]), socket.SOCK_DGRAM) as program:
            for _ in range(100):
                program.send(b"ping")
            assert program.recv(10) == b"ping"
        assert "192.0.2.7" in str(ask(QUERY, LOOPBACK, port=ports[2], timeout=10))
        assert service.property("NRestarts") == "0"

    with_server(service, test)


def test_it_is_reloaded(service: UserService) -> None:
    """And the unit goes on; a configuration that is no good changes nothing."""
    first, second = free_port(), free_port()
    service.configure(server(1), tcp("db", first, 1))
    service.manager("start", "sockslocal.service")
    service.configure(server(1), tcp("web", second, 1))
    service.manager("reload", "sockslocal.service")
    wait_until(lambda: "web" in service.status()["forwards"], seconds=20, what="it is applied")
    service.wait_for("ActiveState", "active")
    service.configure("nonsense")
    service.manager("reload", "sockslocal.service")
    service.wait_for("ActiveState", "active")
    assert list(service.status()["forwards"]) == ["web"]


def test_one_that_hangs_is_started_again(service: UserService) -> None:
    """By the watchdog; one that is killed, too."""
    service.install("WatchdogSec=2s\n")
    service.configure(server(1))
    service.manager("start", "sockslocal.service")
    for number in (signal.SIGSTOP, signal.SIGKILL):
        before = service.property("MainPID")
        service.manager("kill", f"--signal={number.name}", "sockslocal.service")
        wait_until(
            lambda: service.property("MainPID") not in (before, "0"),  # noqa: B023
            seconds=30,
            what="another one runs",
        )
        service.wait_for("SubState", "running")
    assert "Watchdog timeout" in service.log()


def test_its_end_takes_as_long_as_it_was_told(service: UserService) -> None:
    """`sockslocal stop` with a grace of minutes is not cut short by the manager's patience."""
    port = free_port()
    service.install("TimeoutStopSec=1s\n")

    def test(fake: FakeServer, streams: int, _datagrams: int) -> None:
        service.configure(
            server(fake.port, username="ana", password_from="command:echo hunter2"), tcp("db", port, streams)
        )
        service.manager("start", "sockslocal.service")
        service.wait_for("StatusText", "1 of 1 forwards up")
        with connected((LOOPBACK, port)) as connection:
            connection.sendall(b"ping")
            assert connection.recv(4) == b"ping"
            stop = (*service.as_user, sys.executable, "-m", "sockslocal", "stop", "--grace", "5m")
            with service.machine.program(*stop):
                service.wait_for("SubState", "stop-sigterm")
                time.sleep(3)  # longer than the manager has patience
                connection.sendall(b"pong")
                assert connection.recv(4) == b"pong"
                connection.close()
                service.wait_for("ActiveState", "inactive")
        assert service.property("Result") == "success"

    with_server(service, test)


def test_a_bad_configuration_is_not_tried_again_and_again(service: UserService) -> None:
    """It would be as bad the next time."""
    service.configure("nonsense")
    service.manager("start", "sockslocal.service", check=False)
    assert service.property("ActiveState") == "failed"
    assert (service.property("ExecMainStatus"), service.property("NRestarts")) == ("4", "0")


QUERY = make_query("dev.test", "A")


def answered_at_53(service: UserService, *, tries: int = 1) -> None:
    """The resolver answers there, by both protocols."""
    for way in (ask, ask_by_tcp):
        assert "192.0.2.7" in service.beside(lambda: asked(way, tries))  # noqa: B023


def asked(way: Callable[..., Message], tries: int) -> str:
    """What is answered to the last of so many questions, or to an earlier one."""
    for _ in range(tries - 1):
        with contextlib.suppress(OSError, DNSException):
            return str(way(QUERY, LOOPBACK, timeout=20 / tries))
    return str(way(QUERY, LOOPBACK, timeout=20))


@pytest.mark.parametrize("system", [False, True], ids=["user", "system"])
def test_the_resolver_has_port_53_from_the_manager(machine: BootedMachine, *, system: bool) -> None:
    """The first query starts it; none is refused while it is restarted; its user may not open the port."""
    service = UserService(machine, system=system)
    service.install()
    service.configure(
        server(1), section("dns", listen=f"{LOOPBACK}:53", upstreams=["tcp://192.0.2.1"]), RULES
    )
    limit = "net.ipv4.ip_unprivileged_port_start"
    machine.run("sysctl", "-qw", f"{limit}={1024 if system else 53}")
    service.manager("start", "sockslocal-dns.socket")
    machine.run("sysctl", "-qw", f"{limit}=1024")
    assert service.property("ActiveState") == "inactive"
    answered_at_53(service)
    assert service.property("StatusText").startswith("resolver up")
    with pytest.raises(AssertionError):
        machine.run(*service.as_user, sys.executable, "-c", "import socket; socket.socket().bind(('', 53))")
    service.manager("restart", "--no-block", "sockslocal.service")
    answered_at_53(service, tries=4)  # what was read before it ended has no answer, as is usual with UDP
    service.manager("stop", "sockslocal-dns.socket", "sockslocal.service")


def test_a_user_may_not_open_port_53(service: UserService) -> None:
    """As the unit says; that is told, and nothing else suffers."""
    assert "failed" in service.manager("start", "sockslocal-dns.socket", check=False)
    service.configure(server(1))
    service.manager("start", "sockslocal.service")
