"""Every kind of upstream before Dante and unbound; and what is told of one that is not as it should be."""

import asyncio
import json
import socket
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self, TypeVar

import pytest

from fakes.certificates import NAME, Authority
from fakes.encrypted_dns import MEDIA_TYPE, Act, HttpsDns, TlsDns
from fakes.loop_thread import LoopThread
from fakes.socks5_server import FakeServer, Named, Script, UdpScript
from fakes.waiting import wait_until
from integration.conftest import skip_without
from integration.daemon import Daemon, dns
from integration.local import dig
from integration.servers.process import LOOPBACK, free_port
from integration.servers.socks import PASSWORD, SocksServer
from integration.servers.unbound import BIG_TXT, Unbound
from integration.traced import Trace
from sockslocal.problems import Problem
from sockslocal.resolver.ask_udp import RENEW_QUERIES

RETURN_S = 2.0
"""Seconds after which names are answered again."""

SCHEMES = ["udp", "tcp", "tls", "https"]


class Denier:
    """A name server by UDP that knows no name, and notes from which ports it was asked."""

    def __init__(self) -> None:
        self.ports: list[int] = []
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.sock.bind((LOOPBACK, 0))

    async def __aenter__(self) -> Self:
        self.sock.setblocking(False)
        asyncio.get_running_loop().add_reader(self.sock, self._answer)
        return self

    async def __aexit__(self, *_: object) -> None:
        asyncio.get_running_loop().remove_reader(self.sock)
        self.sock.close()

    def _answer(self) -> None:
        message, source = self.sock.recvfrom(4096)
        self.ports.append(source[1])
        self.sock.sendto(message[:2] + b"\x81\x83" + message[4:], source)


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


S = TypeVar("S", TlsDns, HttpsDns, Denier)


@contextmanager
def serving(server: S) -> Iterator[S]:
    """A fake, in a thread of its own."""
    with LoopThread() as thread:
        thread.call(server.__aenter__())
        try:
            yield server
        finally:
            thread.call(server.__aexit__(None, None, None))


def start(daemon: Daemon, dante: SocksServer, authority: Authority, *upstreams: str) -> int:
    """The resolver with these upstreams, and its port."""
    port = free_port()
    daemon.configure(
        daemon.server(dante.address, username=dante.username, password=PASSWORD),
        dns(port, *upstreams, ca=str(authority.ca)),
    )
    daemon.start()
    return port


def query(daemon: Daemon, name: str) -> dict[str, Any]:
    """What `dns query` says."""
    found: dict[str, Any] = json.loads(daemon.cli("dns", "query", "--json", name).stdout)
    return found


@pytest.mark.parametrize("scheme", SCHEMES)
def test_answers_are_those_of_the_server(
    dante: SocksServer, unbound: Unbound, daemon: Daemon, authority: Authority, scheme: str
) -> None:
    """Addresses, aliases, what is large, what does not exist; and the path by which they came is shown."""
    port = start(daemon, dante, authority, unbound.upstream(scheme))
    assert dig(port, "www.example").records == ["192.0.2.80"]
    assert dig(port, "alias.example", "AAAA").records == ["www.example.", "2001:db8::80"]
    assert dig(port, "absent.example").code == "NXDOMAIN"
    assert dig(port, "www.example", "MX", "+noauthority").records == []
    (record,) = dig(port, "big.example", "TXT", "+tcp").records
    assert record.replace('"', "").split() == BIG_TXT
    assert query(daemon, "ns.example")["path"] == scheme


def problem(daemon: Daemon) -> Problem:
    """What `status` says of the resolver."""
    status = daemon.status().dns
    assert status is not None
    assert status.problem is not None
    return status.problem


@pytest.mark.parametrize(
    ("names", "days", "reason", "remedy"),
    [
        (["other.test"], 2, f"its certificate is not for {NAME}", "to the name that the certificate is for"),
        ([NAME], -1, "its certificate has expired", "have the certificate renewed"),
    ],
)
def test_a_certificate_that_is_wrong(
    dante: SocksServer,
    daemon: Daemon,
    authority: Authority,
    *,
    names: list[str],
    days: int,
    reason: str,
    remedy: str,
) -> None:
    """SERVFAIL, one sentence in the status, and nothing is asked without TLS (checklist 63)."""
    with serving(TlsDns(authority.issue(*names, days=days))) as server:
        port = start(daemon, dante, authority, f"tls://{server.endpoint}#{NAME}")
        assert dig(port, "www.example").code == "SERVFAIL"
        found = problem(daemon)
        assert (found.code, reason in found.text, remedy in found.remedy) == ("dns-no-upstream", True, True)
        assert server.asked == []


def test_an_authority_that_nobody_knows(
    dante: SocksServer, unbound: Unbound, daemon: Daemon, tmp_path: Path
) -> None:
    """Another one vouches for the server."""
    port = start(daemon, dante, Authority(tmp_path), unbound.upstream("tls"), unbound.upstream("https"))
    assert dig(port, "www.example").code == "SERVFAIL"
    assert problem(daemon).text.count("vouches for its certificate") == 2


def test_no_tls_where_it_should_be(
    dante: SocksServer, unbound: Unbound, daemon: Daemon, authority: Authority
) -> None:
    """A server that speaks plain DNS is not asked that way."""
    port = start(daemon, dante, authority, f"tls://{unbound.address}#{NAME}")
    assert dig(port, "www.example").code == "SERVFAIL"
    assert "it says nothing to a TLS handshake" in problem(daemon).text


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"status": 500}, "it answers with HTTP status 500"),
        ({"headers": {"content-type": "text/html"}}, "it answers with text/html, which is not"),
        ({"acts": deque([Act.GOAWAY] * 4)}, "it ended the connection"),
        ({"acts": deque([Act.SILENCE] * 4)}, "no answer in time"),
    ],
    ids=["error", "web page", "goaway", "silence"],
)
def test_https_that_is_no_dns(
    dante: SocksServer, daemon: Daemon, authority: Authority, change: dict[str, object], reason: str
) -> None:
    """Each is told, and when it is over the next question is answered."""
    with serving(HttpsDns(authority.issue(NAME, LOOPBACK))) as server:
        vars(server).update(change)
        port = start(daemon, dante, authority, f"https://{server.endpoint}/dns-query")
        assert dig(port, "www.example").code == "SERVFAIL"
        assert reason in problem(daemon).text
        server.status, server.headers = 200, {"content-type": MEDIA_TYPE}
        server.acts.clear()
        assert dig(port, "other.example").records == ["192.0.2.1"]
        status = daemon.status().dns
        assert status is not None
        assert status.problem is None


def test_a_slow_upstream_is_raced(
    dante: SocksServer, unbound: Unbound, daemon: Daemon, authority: Authority
) -> None:
    """Another is asked when the first takes long; `dns status` has the latency of each."""
    with serving(HttpsDns(authority.issue(NAME, LOOPBACK))) as server:
        server.acts.extend([Act.SILENCE] * 100)
        slow = f"https://{server.endpoint}/dns-query"
        port = start(daemon, dante, authority, slow, unbound.upstream("tls"))
        assert dig(port, "www.example").records == ["192.0.2.80"]
        assert dig(port, "ns.example").records == ["192.0.2.53"]
        details = json.loads(daemon.cli("dns", "status", "--json").stdout)
        first, second = details["upstreams"]
        assert (first["answered"], second["answered"]) == (0, 2)
        assert first["latency_ms"] > second["latency_ms"]
        assert len(server.asked) == 1


def ask_many(port: int, count: int) -> None:
    """As many names, fifty at a time."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(5)
        client.connect((LOOPBACK, port))
        for first in range(0, count, 50):
            for number in range(first, first + 50):
                name = b"\x06n%05d\x07example\0" % number
                client.send(number.to_bytes(2, "big") + b"\1\0\0\1\0\0\0\0\0\0" + name + b"\0\1\0\1")
            for _ in range(50):
                assert client.recv(4096)[3] & 15 == 3


def test_the_source_port_changes(dante: SocksServer, daemon: Daemon, authority: Authority) -> None:
    """Each flow has an association of its own, and after a while another takes its place (checklist 68)."""
    with serving(Denier()) as server:
        address = f"udp://{LOOPBACK}:{server.sock.getsockname()[1]}"
        ask_many(start(daemon, dante, authority, address), 2 * RENEW_QUERIES)
        counted = Counter(server.ports)
        assert len(counted) >= 2
        assert max(counted.values()) <= 2 * RENEW_QUERIES


@pytest.mark.serial
@pytest.mark.parametrize("scheme", ["tls", "https"])
def test_servfail_and_back(unbound: Unbound, daemon: Daemon, authority: Authority, scheme: str) -> None:
    """Without the SOCKS5 server there is an answer at once that says so, and a good one when it is back."""
    with FakeServer() as server:
        port = free_port()
        daemon.configure(
            daemon.server(f"{LOOPBACK}:{server.port}"),
            dns(port, unbound.upstream(scheme), ca=str(authority.ca), stale="0s"),
        )
        daemon.start()
        assert dig(port, "www.example").records == ["192.0.2.80"]
        server.stop()
        assert dig(port, "ns.example").code == "SERVFAIL"
        server.start()
        wait_until(
            lambda: dig(port, "alias.example").code == "NOERROR", seconds=RETURN_S, what="good answers again"
        )


@pytest.mark.parametrize("scheme", SCHEMES)
def test_nothing_leaves_but_to_the_server(
    unbound: Unbound, daemon: Daemon, authority: Authority, tmp_path: Path, scheme: str
) -> None:
    """Whatever the upstream is called, and whether it lives, is dead, or the server is: as strace sees it.

    Answers leave to the client; all else goes to the SOCKS5 server, and by UDP to its relays. No name is
    looked up, nobody is asked at ports 53, 853 and 443, and no socket of the system's resolver is used.
    """
    trace, port, client = Trace(tmp_path), free_port(), free_port()
    with FakeServer() as server:
        server.script = Script(udp=UdpScript(named=Named.REQUEST))
        daemon.configure(
            daemon.server(f"{LOOPBACK}:{server.port}"),
            dns(port, f"{scheme}://{NAME}{'/dns-query' * (scheme == 'https')}", ca=str(authority.ca)),
        )
        daemon.start(prefix=trace.prefix)

        def code(name: str) -> str:
            return dig(port, name, "A", "-b", f"{LOOPBACK}#{client}").code

        server.names = {NAME: (LOOPBACK, free_port())}
        assert code("www.example") == "SERVFAIL"
        server.names = {NAME: (LOOPBACK, unbound.ports[scheme])}
        wait_until(lambda: code("www.example") == "NOERROR", seconds=30, what="the upstream is found")
        assert code("absent.example") == "NXDOMAIN"
        server.stop()
        assert code("alias.example") == "SERVFAIL"
        assert code("www.example") == "NOERROR"
        relays = {session.relay.address for session in server.sessions if session.relay}
        assert bool(relays) == (scheme == "udp")
        daemon.cli("stop")
        assert (LOOPBACK, server.port) in trace.connected
        assert trace.connected <= {(LOOPBACK, server.port), *relays}
        assert trace.sent == {(LOOPBACK, client)}
        assert trace.unix == set()
