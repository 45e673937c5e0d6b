"""Names while the server is away: an answer at once that says so, and good ones the moment it is back."""

import subprocess

import pytest

from fakes.socks5_server import FakeServer
from fakes.waiting import wait_until
from integration.conftest import skip_without
from integration.daemon import Daemon, dns
from integration.local import dig
from integration.servers.process import LOOPBACK, free_port, which
from integration.servers.unbound import Unbound

RETURN_S = 2.0


@pytest.mark.serial
@pytest.mark.parametrize("scheme", ["udp", "tcp"])
def test_servfail_and_back(unbound: Unbound, daemon: Daemon, scheme: str) -> None:
    """SERVFAIL, never an answer by another way; what is in the cache is served all the same."""
    skip_without("dig")
    with FakeServer() as server:
        port = free_port()
        daemon.configure(
            daemon.server(f"{LOOPBACK}:{server.port}"), dns(port, f"{scheme}://{unbound.address}")
        )
        daemon.start()
        assert dig(port, "www.example").records == ["192.0.2.80"]
        server.stop()
        for options in ((), ("+tcp",)):
            assert dig(port, "ns.example", "A", *options).code == "SERVFAIL"
        assert dig(port, "www.example").records == ["192.0.2.80"]
        server.start()
        wait_until(
            lambda: dig(port, "alias.example").code == "NOERROR", seconds=RETURN_S, what="good answers again"
        )
        status = daemon.status().dns
        assert status is not None
        assert status.failed >= 2


def test_stale_and_back(unbound: Unbound, daemon: Daemon) -> None:
    """What has ended serves on with a TTL of 30 s, and is fresh again as soon as the server is back."""
    skip_without("dig")
    with FakeServer() as server:
        port = free_port()
        daemon.configure(daemon.server(f"{LOOPBACK}:{server.port}"), dns(port, f"tcp://{unbound.address}"))
        daemon.start()
        assert ttl(port) == 1
        server.stop()
        wait_until(lambda: ttl(port) == 30, seconds=10.0, what="the stale answer")
        for options in ((), ("+tcp",)):
            assert dig(port, "short.example", "A", *options).records == ["192.0.2.1"]
        server.start()
        wait_until(lambda: ttl(port) == 1, seconds=RETURN_S + 1, what="a fresh answer")


def test_answers_outlive_the_daemon(unbound: Unbound, daemon: Daemon) -> None:
    """With keep they are there after a restart, though the server is not; after a flush they are not."""
    skip_without("dig")
    with FakeServer() as server:
        port = free_port()
        daemon.configure(
            daemon.server(f"{LOOPBACK}:{server.port}"),
            dns(port, f"tcp://{unbound.address}", keep=True, stale="0s"),
        )
        daemon.start()
        assert dig(port, "www.example").records == ["192.0.2.80"]
        daemon.process.stop()
        assert daemon.paths.answers.stat().st_mode & 0o777 == 0o600
        server.stop()
        daemon.start()
        wait_until(
            lambda: dig(port, "www.example").records == ["192.0.2.80"], seconds=5.0, what="the kept answer"
        )
        assert daemon.cli("dns", "flush").returncode == 0
        assert not daemon.paths.answers.exists()
        assert dig(port, "www.example").code == "SERVFAIL"


def ttl(port: int) -> int:
    """Seconds that the record of short.example is said to have left."""
    options = ("+noall", "+answer", "+noedns")
    words = [which("dig"), f"@{LOOPBACK}", "-p", str(port), "+tries=1", "+time=8", *options, "short.example"]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=30)
    return int(done.stdout.split()[1])
