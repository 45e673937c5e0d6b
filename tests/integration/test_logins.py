"""A login that the server does not accept."""

import signal

from fakes.socks5_server import FakeServer
from integration.daemon import SERVER, Daemon, tcp
from integration.local import echoes, is_reset
from integration.servers.process import LOOPBACK, free_port
from integration.servers.targets import Targets
from sockslocal.control.client import Client

USERNAME, PASSWORD = "ana", "right"


def test_a_wrong_password(targets: Targets, daemon: Daemon) -> None:
    """It is told as such and not repeated at once; when it is right, all works with nothing restarted."""
    with FakeServer(credentials=(USERNAME.encode(), PASSWORD.encode())) as server:
        port, address = free_port(), f"{LOOPBACK}:{server.port}"
        daemon.configure(
            daemon.server(address, username=USERNAME, password="wrong"), tcp("echo", port, targets.echo_port)
        )
        daemon.start()
        status = daemon.wait_for(lambda status: status.servers[SERVER].state == "auth-failed")
        problem = status.servers[SERVER].problem
        assert problem is not None
        assert problem.code == "auth-failed"
        assert "gives the right password" in problem.remedy
        for _ in range(10):
            assert is_reset(port)
        tried = [session for session in server.sessions if session.login]
        assert len(tried) <= 2, "an account may be locked after a few failures"

        daemon.server(address, username=USERNAME, password=PASSWORD)  # the file that holds it
        Client(daemon.paths).call("credentials.changed", server=SERVER)
        daemon.wait_for(lambda status: status.servers[SERVER].state == "up")
        assert echoes(port)


def test_a_password_that_comes_late(targets: Targets, daemon: Daemon) -> None:
    """While it is missing the daemon is up and says so; told to look again, it connects."""
    with FakeServer(credentials=(USERNAME.encode(), PASSWORD.encode())) as server:
        port = free_port()
        daemon.configure(
            daemon.server(f"{LOOPBACK}:{server.port}", username=USERNAME, password=PASSWORD),
            tcp("echo", port, targets.echo_port),
        )
        password = daemon.folder / "password"
        kept = password.rename(daemon.folder / "not yet")
        daemon.start()
        status = daemon.wait_for(lambda status: status.servers[SERVER].problem is not None)
        assert status.servers[SERVER].state == "auth-failed"
        assert is_reset(port)
        assert not server.sessions, "without a password there is nothing to say to the server"
        kept.rename(password)
        daemon.process.signal(signal.SIGHUP)
        daemon.wait_for(lambda status: status.servers[SERVER].state == "up")
        assert echoes(port)


def test_a_login_that_is_not_wanted(targets: Targets, daemon: Daemon) -> None:
    """Without a user name none is offered, and a server that wants one is told as such."""
    with FakeServer(credentials=(USERNAME.encode(), PASSWORD.encode())) as server:
        port = free_port()
        daemon.configure(daemon.server(f"{LOOPBACK}:{server.port}"), tcp("echo", port, targets.echo_port))
        daemon.start()
        assert is_reset(port)
        problem = daemon.status().servers[SERVER].problem
        assert problem is not None
        assert problem.code == "server-no-method"
        assert "username" in problem.remedy
        assert {octets for session in server.sessions for octets in session.segments} == {b"\5\1\0"}
