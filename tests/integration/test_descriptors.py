"""A daemon that may have 64 descriptors, and more connections than that."""

from contextlib import ExitStack

import pytest

from fakes.waiting import wait_until
from integration.conftest import skip_without
from integration.daemon import HIDDEN, SERVER, Daemon, tcp
from integration.local import connect, echoes, exactly
from integration.servers.process import free_port
from integration.servers.socks import PASSWORD, SocksServer
from integration.servers.targets import Targets
from sockslocal.net.pipes import KEPT

LIMIT = 64
CONNECTIONS = 100


@pytest.mark.serial
def test_exhausted(daemon: Daemon, dante: SocksServer, targets: Targets) -> None:
    """Accepting pauses; what is open lives; the daemon answers; one line is logged; then all is as it was."""
    skip_without("prlimit")
    port = free_port()
    daemon.configure(
        daemon.server(dante.address, username=dante.username, password=PASSWORD),
        tcp("echo", port, targets.echo_port),
    )
    daemon.start(prefix=["prlimit", f"--nofile={LIMIT}:{LIMIT}"])
    daemon.wait_for(lambda status: status.servers[SERVER].state == "up")
    assert echoes(port)
    baseline = daemon.descriptors()

    with ExitStack() as stack:
        first = stack.enter_context(connect(port))
        first.sendall(b"first")
        assert exactly(first, 5) == b"first"
        held = [stack.enter_context(connect(port)) for _ in range(CONNECTIONS)]
        wait_until(lambda: "new connections wait" in daemon.log(), seconds=10, what="the line in the log")
        assert daemon.status().forwards["echo"].connections.total < CONNECTIONS
        for turn in range(3):
            first.sendall(b"turn %d" % turn)
            assert exactly(first, 6) == b"turn %d" % turn
        for sock in held[: CONNECTIONS // 2]:
            sock.close()
        last = held[CONNECTIONS // 2]
        last.sendall(b"its turn came")
        assert exactly(last, 13) == b"its turn came"

    assert echoes(port)
    daemon.wait_for(lambda status: status.forwards["echo"].connections.open == 0)
    assert daemon.log().count("new connections wait") == 1
    assert "Traceback" not in daemon.log()
    if baseline is None:
        pytest.skip(HIDDEN)
    most = len(baseline) + 2 * KEPT
    wait_until(lambda: len(daemon.descriptors() or []) <= most, seconds=3, what="descriptors are free")
