"""Starting twice, and ending: in order, out of patience, and at once."""

import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator

import pytest

from fakes.socks5_server import FakeServer
from fakes.waiting import wait_until
from integration.daemon import Daemon, tcp
from integration.local import connect, echoes, exactly, until_end
from integration.servers.process import LOOPBACK, accepts, free_port
from integration.servers.targets import Targets
from sockslocal.control.client import Client

SOONER_THAN_GRACE_S = 4.5


@pytest.fixture
def port(daemon: Daemon, targets: Targets) -> Iterator[int]:
    """The forward of a running daemon to an echo."""
    with FakeServer() as server:
        port = free_port()
        daemon.configure(daemon.server(f"{LOOPBACK}:{server.port}"), tcp("echo", port, targets.echo_port))
        daemon.start()
        assert echoes(port)
        yield port


def test_a_second_daemon_says_who_runs(daemon: Daemon, port: int) -> None:
    """Neither `run` nor `start` disturbs the first; both name its process."""
    done = daemon.cli("run")
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert str(daemon.pid) in done.stderr
    assert "help: " in done.stderr
    started = daemon.cli("start")
    assert str(daemon.pid) in started.stdout + started.stderr
    assert echoes(port)
    assert daemon.status().daemon.pid == daemon.pid


def test_start_waits_for_one_that_is_stopping(daemon: Daemon, port: int) -> None:
    """The status says so meanwhile; when its last connection has ended, the next daemon runs."""
    old = daemon.pid
    with connect(port) as sock:
        sock.sendall(b"before")
        assert exactly(sock, 6) == b"before"
        Client(daemon.paths).call("stop", grace=60.0)
        daemon.wait_for(lambda status: status.daemon.state == "stopping")
        assert "It is stopping: 1 connection is open" in daemon.cli("status").stdout
        with subprocess.Popen(
            daemon.command("start"),
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **daemon.environment},
        ) as starting:
            assert starting.stderr is not None
            assert starting.stderr.readline().startswith(f"process {old} is stopping: waiting")
            sock.shutdown(socket.SHUT_WR)
            assert until_end(sock) == b""
            told = starting.stderr.read()
    try:
        assert starting.returncode == 0, told
        assert daemon.status().daemon.pid != old
        assert echoes(port)
    finally:
        assert daemon.cli("stop", "--grace", "0").returncode == 0


def test_a_killed_daemon_leaves_nothing_in_the_way(daemon: Daemon, port: int) -> None:
    """After `kill -9` the next one starts, on the same port and the same control socket."""
    daemon.process.kill()
    assert daemon.cli("status").returncode == 3
    daemon.start()
    assert echoes(port)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_is_open_may_finish(daemon: Daemon, port: int, number: signal.Signals) -> None:
    """After the signal nothing new is accepted, what is open goes on; when it is done, the daemon is."""
    with connect(port) as sock:
        sock.sendall(b"before")
        assert exactly(sock, 6) == b"before"
        daemon.process.signal(number)
        wait_until(lambda: not accepts(port), seconds=SOONER_THAN_GRACE_S, what="the listener is closed")
        sock.sendall(b"after")
        sock.shutdown(socket.SHUT_WR)
        assert until_end(sock) == b"after"
    assert daemon.process.wait(SOONER_THAN_GRACE_S) == 0


def test_patience_ends(daemon: Daemon, port: int) -> None:
    """What does not end by itself within the grace is ended, and a program sees that it was."""
    with connect(port) as sock:
        sock.sendall(b"before")
        assert exactly(sock, 6) == b"before"
        assert daemon.cli("stop", "--grace", "0.5s").returncode == 0
        with pytest.raises(ConnectionResetError):
            exactly(sock, 1)
    assert daemon.process.wait(SOONER_THAN_GRACE_S) == 0


def test_a_second_signal_ends_at_once(daemon: Daemon, port: int) -> None:
    """No waiting for what is open."""
    with connect(port) as sock:
        sock.sendall(b"before")
        assert exactly(sock, 6) == b"before"
        daemon.process.signal(signal.SIGTERM)
        wait_until(lambda: not accepts(port), seconds=SOONER_THAN_GRACE_S, what="the listener is closed")
        daemon.process.signal(signal.SIGTERM)
        with pytest.raises(ConnectionResetError):
            exactly(sock, 1)
        assert daemon.process.wait(SOONER_THAN_GRACE_S) == 0


def test_stalled_and_idle_connections_do_not_hold_it(daemon: Daemon, port: int) -> None:
    """Not even one whose program reads nothing while the echo keeps sending."""
    with connect(port) as stalled, connect(port) as idle:
        idle.sendall(b"idle")
        assert exactly(idle, 4) == b"idle"
        stalled.setblocking(False)
        wait_until(lambda: not _takes(stalled), seconds=10, what="all buffers are full")
        assert daemon.cli("stop", "--grace", "0.5s").returncode == 0
        assert daemon.process.wait(SOONER_THAN_GRACE_S) == 0


def _takes(sock: socket.socket) -> bool:
    try:
        sock.send(bytes(1 << 20))
    except BlockingIOError:
        return False
    return True


def test_status_is_json(daemon: Daemon, port: int) -> None:
    """`status --json` has the keys that scripts rely on."""
    done = daemon.cli("status", "--json")
    assert done.returncode == 0
    shown = json.loads(done.stdout)
    assert shown["version"] == 1
    assert shown["daemon"]["pid"] == daemon.pid
    assert shown["tunnel"] == {"on": True}
    forward = shown["forwards"]["echo"]
    assert (forward["kind"], forward["listen"], forward["state"]) == (
        "tcp",
        f"{LOOPBACK}:{port}",
        "listening",
    )
    assert set(forward["connections"]) == {"open", "total", "failed"}
    assert set(forward["bytes"]) == {"sent", "received"}
    assert set(shown["udp"]) == {"associations", "flows"}


def test_off_and_on(daemon: Daemon, port: int) -> None:
    """Off closes the listener and ends its connections, also over a restart; on brings it back."""
    with connect(port) as sock:
        sock.sendall(b"before")
        assert exactly(sock, 6) == b"before"
        assert daemon.cli("off", "echo").returncode == 0
        with pytest.raises(ConnectionResetError):
            exactly(sock, 1)
    assert not accepts(port)
    assert daemon.cli("stop").returncode == 0
    assert daemon.process.wait(SOONER_THAN_GRACE_S) == 0
    daemon.start()
    assert daemon.status().forwards["echo"].state == "off"
    assert daemon.cli("on", "echo").returncode == 0
    assert echoes(port)
