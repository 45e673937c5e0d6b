"""Servers that are too slow, or never answer: each stage has its deadline, and only that connection waits."""

import socket
from contextlib import ExitStack

from fakes.sockets import blackhole
from fakes.socks5_server import Act, FakeServer, Script, Stage
from integration.daemon import Daemon, section
from integration.local import connect, echoes, exactly
from integration.servers.process import LOOPBACK, free_port
from integration.servers.targets import Targets

CONNECT_TIMEOUT = "1s"
SLOWEST_S = 20.0
"""The deadline of the greeting is 5 s."""

SLOW = {
    "deaf": Script(at=Stage.METHOD),
    "dripping": Script(at=Stage.METHOD, act=Act.DRIP, interval=3600.0),
}
"""What each of them does, at the stage that has the shortest deadline."""


def server_and_forward(name: str, server_port: int, listen: int, target: int) -> str:
    """A server, and a forward through it alone."""
    address = f"{LOOPBACK}:{server_port}"
    return section(
        f"server.{name}", address=address, connect_timeout=CONNECT_TIMEOUT, udp_probe="off"
    ) + section(f"tcp.{name}", listen=f"{LOOPBACK}:{listen}", to=f"{LOOPBACK}:{target}", server=name)


def is_reset_later(sock: socket.socket) -> bool:
    """Whether the connection ends with RST."""
    try:
        sock.recv(1)
    except ConnectionResetError:
        return True
    return False


def test_none_waits_for_ever(targets: Targets, daemon: Daemon) -> None:
    """All end with RST and a problem that names the stage; the good server is quick meanwhile."""
    with ExitStack() as stack:
        _, hole = stack.enter_context(blackhole())
        servers = {name: stack.enter_context(FakeServer()) for name in ("good", *SLOW)}
        addresses = {"hole": hole} | {name: server.port for name, server in servers.items()}
        ports = {name: free_port() for name in addresses}
        for name, script in SLOW.items():
            servers[name].script = script
        daemon.configure(
            *(server_and_forward(name, addresses[name], ports[name], targets.echo_port) for name in addresses)
        )
        daemon.start()
        waiting = {
            name: stack.enter_context(connect(ports[name], seconds=SLOWEST_S)) for name in ("hole", *SLOW)
        }
        assert echoes(ports["good"])
        for name, sock in waiting.items():
            assert is_reset_later(sock), name
        status = daemon.status()
        hole_problem = status.servers["hole"].problem
        assert hole_problem is not None
        assert hole_problem.code == "server-unreachable"
        for name in SLOW:
            problem = status.servers[name].problem or status.forwards[name].problem
            assert problem is not None
            assert problem.code == "server-timeout"
            assert "greeting" in problem.text
            assert problem.remedy
        for name in SLOW:
            servers[name].script = Script()
            assert echoes(ports[name]), f"{name} is well again"


def test_a_slow_stream_is_no_slow_server(targets: Targets, daemon: Daemon) -> None:
    """After the handshake a connection may be as slow as it likes, and others are not held up."""
    with FakeServer() as server:
        port = free_port()
        daemon.configure(server_and_forward("slow", server.port, port, targets.echo_port))
        daemon.start()
        assert echoes(port)
        server.scripts.append(Script(at=Stage.RELAY, act=Act.DRIP, interval=0.2))
        with connect(port) as slow:
            slow.sendall(b"slow")
            assert exactly(slow, 1) == b"s"
            assert echoes(port)
            assert exactly(slow, 3) == b"low"
