"""A server that is down, deaf, slow, confused or hostile: local connections fail at once, and all is said."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from fakes.socks5_server import Act, FakeServer, Script, Stage
from fakes.socks5_wire import address_octets
from fakes.waiting import wait_until
from integration.daemon import SERVER, Daemon, tcp, temporary_daemon
from integration.local import connect, echoes, exactly, is_reset
from integration.servers.process import LOOPBACK, free_port
from integration.servers.targets import Targets
from sockslocal.status import Server

USERNAME, PASSWORD = "ana", "secret"
LOGIN = b"\1\3ana\6secret"
GREETING = b"\5\1\2"

SSH_BANNER = b"SSH-2.0-OpenSSH_9.2p1\r\n"
HTTP_ANSWER = b"HTTP/1.0 501 Tor is not an HTTP Proxy\r\nContent-Type: text/html\r\n\r\n"
TLS_ALERT = b"\x15\x03\x03\x00\x02\x02\x0a"


@dataclass(frozen=True, slots=True)
class Tunnel:
    """A daemon before a fake server, and the port of its forward to an echo."""

    daemon: Daemon
    server: FakeServer
    port: int
    target: int

    def state(self) -> tuple[str, str]:
        """The state of the server, and the code of its problem."""
        server = self.daemon.status().servers[SERVER]
        return server.state, server.problem.code if server.problem else ""

    def reaches(self, state: str) -> Server:
        """The server once its state is `state`; one that is down is `connecting` while it is tried again."""
        status = self.daemon.wait_for(lambda status: status.servers[SERVER].state == state)
        return status.servers[SERVER]

    def forward_problem(self) -> str:
        """The code of the forward's problem."""
        problem = self.daemon.status().forwards["echo"].problem
        return problem.code if problem else ""


@pytest.fixture(scope="module")
def shared(targets: Targets) -> Iterator[Tunnel]:
    """One daemon for all faults: each must leave it as good as new."""
    with (
        FakeServer(credentials=(USERNAME.encode(), PASSWORD.encode())) as server,
        temporary_daemon() as daemon,
    ):
        server.names["echo.internal"] = (LOOPBACK, 0)
        port = free_port()
        daemon.configure(
            daemon.server(f"{LOOPBACK}:{server.port}", username=USERNAME, password=PASSWORD),
            tcp("echo", port, targets.echo_port, host="echo.internal"),
        )
        daemon.start()
        yield Tunnel(daemon, server, port, targets.echo_port)


@pytest.fixture
def tunnel(shared: Tunnel) -> Iterator[Tunnel]:
    """The shared daemon, and a server that is well again after the test."""
    assert echoes(shared.port)
    shared.server.sessions.clear()
    yield shared
    shared.server.script = Script()


FAULTS = {
    "closes when connected": (Script(at=Stage.ACCEPT, act=Act.CLOSE), "server-closed"),
    "closes after the greeting": (Script(at=Stage.METHOD, act=Act.CLOSE), "server-closed"),
    "closes after the login": (Script(at=Stage.LOGIN, act=Act.CLOSE), "server-closed"),
    "resets when connected": (Script(at=Stage.ACCEPT, act=Act.RESET), "server-closed"),
    "resets after the greeting": (Script(at=Stage.METHOD, act=Act.RESET), "server-closed"),
    "resets after the login": (Script(at=Stage.LOGIN, act=Act.RESET), "server-closed"),
    "accepts no method": (Script(method=0xFF), "server-no-method"),
    "chooses a method not offered": (Script(method=1), "server-wrong-method"),
    "wants no login": (Script(method=0), "server-wrong-method"),
    "is an SSH server": (Script(at=Stage.ACCEPT, act=Act.SAY, text=SSH_BANNER), "server-not-socks5"),
    "is a web server": (Script(at=Stage.METHOD, act=Act.SAY, text=HTTP_ANSWER), "server-not-socks5"),
    "is a TLS server": (Script(at=Stage.METHOD, act=Act.SAY, text=TLS_ALERT), "server-not-socks5"),
    "is a SOCKS4 server": (
        Script(at=Stage.METHOD, act=Act.SAY, text=b"\0\x5b\0\0\0\0\0\0"),
        "server-not-socks5",
    ),
    "answers the login with garbage": (
        Script(at=Stage.LOGIN, act=Act.SAY, text=b"\xde\xad"),
        "server-not-socks5",
    ),
    "answers the request with garbage": (
        Script(at=Stage.REPLY, act=Act.SAY, text=b"\xde\xad\xbe\xef\0\0\0\0\0\0"),
        "server-not-socks5",
    ),
}


@pytest.mark.parametrize(("script", "code"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_told_and_does_not_last(tunnel: Tunnel, script: Script, code: str) -> None:
    """RST for the local program, state and remedy in the status, and the next connection after that works."""
    tunnel.server.script = script
    assert is_reset(tunnel.port)
    server = tunnel.reaches("down")
    assert server.problem is not None
    assert server.problem.code == code
    assert server.problem.remedy
    tunnel.server.script = Script()
    assert echoes(tunnel.port)
    assert tunnel.state() == ("up", "")


REFUSALS = {
    "general failure": Script(reply=1),
    "not allowed": Script(reply=2),
    "host unreachable": Script(reply=4),
    "refused": Script(reply=5),
    "a code of Tor's": Script(reply=0xF0),
    "an unassigned code": Script(reply=0x5A),
    "no address after the code": Script(at=Stage.REPLY, act=Act.SAY, text=b"\5\1"),
    "an address of no type": Script(reply=5, bound=b"\0"),
    "closes instead of answering": Script(at=Stage.REPLY, act=Act.CLOSE),
    "resets instead of answering": Script(at=Stage.REPLY, act=Act.RESET),
}


@pytest.mark.parametrize("script", REFUSALS.values(), ids=REFUSALS)
def test_a_refusal_is_the_forwards_problem(tunnel: Tunnel, script: Script) -> None:
    """RST for the local program; the server is up all the same, and the forward says what is wrong."""
    tunnel.server.script = script
    assert is_reset(tunnel.port)
    assert tunnel.state() == ("up", "")
    assert tunnel.forward_problem() == "target-refused"
    tunnel.server.script = Script()
    assert echoes(tunnel.port)
    assert tunnel.forward_problem() == ""


@pytest.mark.parametrize("spoken", [b"", b"are you there?"])
def test_success_and_then_nothing_is_told(tunnel: Tunnel, spoken: bytes) -> None:
    """What a server does that reports success before it connects: counted as a failure of the target.

    It is a reset for a program that has not spoken; one that has may have been meant to get no answer.
    """
    tunnel.server.script = Script(at=Stage.RELAY, act=Act.CLOSE)
    if spoken:
        assert not echoes(tunnel.port, spoken)
    else:
        with pytest.raises(ConnectionResetError), connect(tunnel.port) as sock:  # by then it may be reset
            exactly(sock, 1)
    wait_until(lambda: tunnel.forward_problem() == "target-closed", seconds=5, what="the forward's problem")
    assert tunnel.state() == ("up", "")


def test_success_and_then_a_reset_is_a_reset(tunnel: Tunnel) -> None:
    """Passed on as it came; the server is as good as before."""
    tunnel.server.script = Script(at=Stage.RELAY, act=Act.RESET)
    assert is_reset(tunnel.port)
    assert tunnel.state() == ("up", "")


def test_a_reset_in_mid_transfer_is_a_reset(tunnel: Tunnel) -> None:
    """A program must not take half an answer for a whole one."""
    tunnel.server.script = Script(at=Stage.RELAY, act=Act.RESET, after=3)
    with connect(tunnel.port) as sock:
        sock.sendall(b"echo")
        with pytest.raises(ConnectionResetError):
            exactly(sock, 10)


BOUND = {
    "a name": address_octets("proxy.internal", 1080),
    "an empty name": address_octets("", 1080),
    "IPv6": address_octets("2001:db8::1", 1080),
    "multicast": address_octets("224.0.0.1", 1080),
    "port 0": address_octets("0.0.0.0", 0),
    "its own port": address_octets(LOOPBACK, 22),
}


@pytest.mark.parametrize("bound", BOUND.values(), ids=BOUND)
def test_the_address_in_the_reply_means_nothing(tunnel: Tunnel, bound: bytes) -> None:
    """CONNECT's BND is parsed and ignored, whatever it is."""
    tunnel.server.script = Script(bound=bound)
    assert echoes(tunnel.port)


@pytest.mark.parametrize("stage", [Stage.METHOD, Stage.LOGIN, Stage.REPLY])
def test_answers_in_pieces_are_understood(tunnel: Tunnel, stage: Stage) -> None:
    """Each octet in a segment of its own."""
    tunnel.server.script = Script(at=stage, act=Act.DRIP, interval=0)
    assert echoes(tunnel.port)


def test_each_message_is_one_segment(tunnel: Tunnel) -> None:
    """Greeting, login and request are sent whole, each when the one before is answered; the name as it is."""
    assert echoes(tunnel.port)
    (session,) = [session for session in tunnel.server.sessions if session.command]
    assert session.segments == [GREETING, LOGIN, b"\5\1\0" + address_octets("echo.internal", tunnel.target)]


@pytest.mark.parametrize("method", [0, 1, 0x80, 0xFF])
def test_no_password_without_being_asked(tunnel: Tunnel, method: int) -> None:
    """Credentials leave only where the server chose user and password."""
    tunnel.server.script = Script(method=method)
    assert is_reset(tunnel.port)
    assert {octets for session in tunnel.server.sessions for octets in session.segments} == {GREETING}


def test_a_server_that_is_down(tunnel: Tunnel) -> None:
    """Refused is told as such; the moment it listens again, connections work."""
    tunnel.server.stop()
    assert is_reset(tunnel.port)
    problem = tunnel.reaches("down").problem
    assert problem is not None
    assert problem.code == "server-unreachable"
    tunnel.server.start()
    assert echoes(tunnel.port)
    assert tunnel.state() == ("up", "")


def test_a_server_that_returns_is_noticed(tunnel: Tunnel) -> None:
    """Without any local connection, the state becomes right by itself."""
    tunnel.server.stop()
    assert is_reset(tunnel.port)
    tunnel.server.start()
    tunnel.reaches("up")
