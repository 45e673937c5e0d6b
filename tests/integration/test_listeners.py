"""Where forwards may listen, who may connect, and which server they take."""

import os
import socket
import subprocess

import pytest

from fakes.socks5_server import FakeServer
from fakes.socks5_wire import address_octets
from fakes.waiting import wait_until
from integration.conftest import skip_without
from integration.daemon import Daemon, section, tcp, udp
from integration.local import LocalUdp, connect, echoes, exactly
from integration.servers.process import LOOPBACK, free_port, which
from integration.servers.socks import NOBODY
from integration.servers.targets import Targets


def test_a_server_on_ipv6(targets: Targets, daemon: Daemon) -> None:
    """TCP and UDP through it; the association is asked for with IPv6 zeros; names stay names."""
    with FakeServer(host="::1") as server:
        server.names["echo.internal"] = (LOOPBACK, 0)
        tcp_port, udp_port = free_port(), free_port()
        daemon.configure(
            daemon.server(f"[::1]:{server.port}"),
            tcp("echo", tcp_port, targets.echo_port, host="echo.internal"),
            udp("echoes", udp_port, targets.udp_port, host="echo.internal"),
        )
        daemon.start()
        assert echoes(tcp_port)
        with LocalUdp(udp_port) as local:
            assert local.echo(b"hello") == b"hello"
        assert server.sessions[-1].segments[-1] == b"\5\3\0" + address_octets("::", 0)


def test_listening_on_ipv6_and_on_a_path(targets: Targets, daemon: Daemon) -> None:
    """One echo each way."""
    with FakeServer() as server:
        port, path = free_port(), daemon.folder / "echo.sock"
        target = f"{LOOPBACK}:{targets.echo_port}"
        daemon.configure(
            daemon.server(f"{LOOPBACK}:{server.port}"),
            section("tcp.six", listen=f"[::1]:{port}", to=target),
            section("tcp.path", listen=f"unix:{path}", to=target),
        )
        daemon.start()
        with socket.create_connection(("::1", port), timeout=5) as six:
            six.sendall(b"six")
            assert exactly(six, 3) == b"six"
        assert path.stat().st_mode & 0o077 == 0, "the path is for its owner"
        with socket.socket(socket.AF_UNIX) as local:
            local.settimeout(5)
            local.connect(str(path))
            local.sendall(b"path")
            assert exactly(local, 4) == b"path"


def test_only_me(targets: Targets, daemon: Daemon) -> None:
    """Another user of this machine gets RST, we get through."""
    skip_without("nc", "setpriv")
    if os.geteuid() != 0:
        pytest.skip("only root can be another user")
    with FakeServer() as server:
        port, open_port = free_port(), free_port()
        daemon.configure(
            daemon.server(f"{LOOPBACK}:{server.port}"),
            tcp("mine", port, targets.late_port, only_me=True),
            tcp("open", open_port, targets.late_port),
        )
        daemon.start()

        def as_another(to: int) -> bytes:
            other = [which("setpriv"), f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
            words = [*other, which("nc"), "-N", LOOPBACK, str(to)]
            return subprocess.run(words, input=b"hello", capture_output=True, check=False, timeout=20).stdout

        assert as_another(open_port)
        assert not as_another(port)
        with connect(port) as sock:
            sock.sendall(b"hello")
            sock.shutdown(socket.SHUT_WR)
            assert exactly(sock, 5)
        assert daemon.status().forwards["mine"].connections.failed == 1


def test_the_next_server_when_the_first_is_down(targets: Targets, daemon: Daemon) -> None:
    """No connection fails where one of the servers is up; the first is taken again when it is back."""
    with FakeServer() as office, FakeServer() as home:
        port, udp_port = free_port(), free_port()
        servers = ["office", "home"]
        daemon.configure(
            section("server.office", address=f"{LOOPBACK}:{office.port}", udp_probe="off"),
            section("server.home", address=f"{LOOPBACK}:{home.port}", udp_probe="off"),
            tcp("echo", port, targets.echo_port, server=servers),
            udp("echoes", udp_port, targets.udp_port, server=servers, idle="1s"),
        )
        daemon.start()
        daemon.wait_for(lambda status: status.servers["office"].state == "up")
        assert echoes(port)
        assert office.sessions[-1].command == 1
        office.stop()
        assert echoes(port)
        assert echoes(port)
        status = daemon.wait_for(lambda status: status.forwards["echo"].server == "home")
        assert status.forwards["echo"].connections.failed == 0
        with LocalUdp(udp_port) as local:
            wait_until(local.echoes, seconds=10, what="echoes come by the other server")
        assert home.sessions[-1].command == 3
        office.start()
        daemon.wait_for(lambda status: status.servers["office"].state == "up")
        assert echoes(port)
        assert office.sessions[-1].command == 1
