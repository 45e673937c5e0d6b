"""`sockslocal server test` through the real daemon, of each of Debian's SOCKS5 servers."""

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from fakes.probe_target import has_ipv6, probe_target
from integration.daemon import SERVER, Daemon
from integration.servers.socks import PASSWORD, SocksServer
from sockslocal.address import Endpoint

ALL: dict[str, object] = {"split": True, "pipelined": True, "optimistic": True}
ASSOCIATION: dict[str, object] = {
    "rung": "associate",
    "relay_rule": "given",
    "names_relay": True,
    "foreign_source": "no",
    "closes_control": False,
    "names_remote": True,
    "probe_answers": True,
}

FACTS: dict[str, dict[str, object]] = {
    "Dante": {"methods": ["password"], "semi_pipelined": True, "ipv6": "unsupported"} | ALL | ASSOCIATION,
    "Microsocks": {
        "methods": ["password"],
        "split": False,
        "semi_pipelined": False,
        "pipelined": False,
        "optimistic": False,
        "ipv6": "yes",
        "rung": "none",
    },
    "OpenSsh": {"methods": ["none"], "semi_pipelined": None, "ipv6": "yes", "rung": "none"} | ALL,
    "V2Ray": {"methods": ["password"], "semi_pipelined": True, "ipv6": "yes"} | ALL | ASSOCIATION,
    "Shadowsocks": {"methods": ["none"], "semi_pipelined": None, "ipv6": "yes"} | ALL | ASSOCIATION,
}
"""What the profile of each has to say."""

LARGEST = {"Dante": (65_000, 65_507), "V2Ray": (2038, 2038), "Shadowsocks": (2000, 2900)}
"""Between which sizes the largest datagram of each is."""

OBSTACLES = {
    "Microsocks": "Datagrams do not pass: the server does not support this command.",
    "OpenSsh": "Datagrams do not pass: it closes the connection when it is asked for an association.",
}


@pytest.fixture(scope="module")
def probe() -> Iterator[Endpoint]:
    """An echo for streams and datagrams."""
    with probe_target() as endpoint:
        yield endpoint


def rows_of(report: dict[str, Any]) -> dict[str, dict[str, str]]:
    """The rows by their names."""
    return {row["name"]: row for row in report["rows"]}


def test_every_server(daemon: Daemon, socks: SocksServer, probe: Endpoint) -> None:
    """The profile is as the server is known to be, and is kept."""
    name = type(socks).__name__
    daemon.configure(
        daemon.server(socks.address, username=socks.username, password=PASSWORD, udp_probe=str(probe))
    )
    daemon.start()
    done = daemon.cli("server", "test", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads(done.stdout)
    profile = report["profile"]
    expected = dict(FACTS[name]) if has_ipv6() else {**FACTS[name], "ipv6": profile["ipv6"]}
    assert {fact: profile[fact] for fact in expected} == expected
    if name in LARGEST:
        low, high = LARGEST[name]
        assert low <= profile["largest_datagram"] <= high
    if name in OBSTACLES:
        assert rows_of(report)["udp"]["meaning"] == OBSTACLES[name]
    kept = json.loads(daemon.paths.profiles.read_bytes())["profiles"]
    assert list(kept.values()) == [profile]
    assert daemon.status().servers[SERVER].udp == ("associate" if name in LARGEST else "unknown")


def test_the_table(daemon: Daemon, dante: SocksServer, probe: Endpoint) -> None:
    """A line for each row, whose last one says it all."""
    daemon.configure(
        daemon.server(dante.address, username=dante.username, password=PASSWORD, udp_probe=str(probe))
    )
    daemon.start()
    done = daemon.cli("server", "test", SERVER)
    lines = done.stdout.splitlines()
    assert done.returncode == 0
    assert lines[0].startswith(f"office, at {dante.address}, tested in ")
    assert lines[-1] == "Connections and datagrams pass."
    assert any("Largest datagram" in line and "any size" in line for line in lines)
    assert PASSWORD not in done.stdout + done.stderr


def test_a_wrong_password(daemon: Daemon, dante: SocksServer, probe: Endpoint) -> None:
    """Is the problem, with its exit code; it is not tried more often than the daemon has to."""
    wrong = daemon.server(dante.address, username="ana", password="wrong", udp_probe=str(probe))
    daemon.configure(wrong)
    daemon.start()
    daemon.wait_for(lambda status: status.servers[SERVER].state == "auth-failed")
    done = daemon.cli("server", "test")
    assert done.returncode == 5
    assert done.stdout == ""
    assert 'rejected the user name or password of "ana"' in done.stderr


def test_a_server_that_swallows_everything(daemon: Daemon) -> None:
    """It connects and says nothing, and that is what is told."""
    with socket.create_server(("127.0.0.1", 0)) as swallower:
        port = swallower.getsockname()[1]
        daemon.configure(daemon.server(f"127.0.0.1:{port}", udp_probe="off"))
        daemon.start()
        done = daemon.cli("server", "test")
    assert done.returncode == 6
    assert f"127.0.0.1:{port}" in done.stderr
