"""Every kind of upstream before Dante and unbound; and what is told of one that is not as it should be."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from fakes.certificates import NAME, Authority
from integration.conftest import skip_without
from integration.daemon import Daemon, dns
from integration.local import dig
from integration.servers.process import LOOPBACK, free_port
from integration.servers.socks import PASSWORD, SocksServer
from integration.servers.unbound import BIG_TXT, Unbound

SCHEMES = ["udp", "tcp", "tls", "https"]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Who vouches for the upstreams."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def unbound(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Unbound]:
    """A name server by all four."""
    skip_without(*Unbound.programs, "dig")
    with Unbound(tmp_path_factory.mktemp("unbound"), certificate=authority.issue(NAME, LOOPBACK)) as server:
        yield server


def upstream(unbound: Unbound, scheme: str) -> str:
    """How it is written."""
    return {
        "udp": f"udp://{unbound.address}",
        "tcp": f"tcp://{unbound.address}",
        "tls": f"tls://{unbound.tls_address}#{NAME}",
        "https": f"https://{unbound.https_address}/dns-query",
    }[scheme]


def query(daemon: Daemon, name: str) -> dict[str, Any]:
    """What `dns query` says."""
    found: dict[str, Any] = json.loads(daemon.cli("dns", "query", "--json", name).stdout)
    return found


@pytest.mark.parametrize("scheme", SCHEMES)
def test_answers_are_those_of_the_server(
    dante: SocksServer, unbound: Unbound, daemon: Daemon, authority: Authority, scheme: str
) -> None:
    """Addresses, aliases, what is large, what does not exist; and the path by which they came is shown."""
    port = free_port()
    daemon.configure(
        daemon.server(dante.address, username=dante.username, password=PASSWORD),
        dns(port, upstream(unbound, scheme), ca=str(authority.ca)),
    )
    daemon.start()
    assert dig(port, "www.example").records == ["192.0.2.80"]
    assert dig(port, "alias.example", "AAAA").records == ["www.example.", "2001:db8::80"]
    assert dig(port, "absent.example").code == "NXDOMAIN"
    assert dig(port, "www.example", "MX", "+noauthority").records == []
    (record,) = dig(port, "big.example", "TXT", "+tcp").records
    assert record.replace('"', "").split() == BIG_TXT
    assert query(daemon, "ns.example")["path"] == scheme
