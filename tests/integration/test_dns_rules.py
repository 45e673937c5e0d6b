"""Rules, files and special names in the real daemon: who hears of which name."""

from pathlib import Path

import pytest

from fakes.waiting import wait_until
from integration.conftest import skip_without
from integration.daemon import Daemon, dns, section
from integration.local import dig
from integration.servers.process import LOOPBACK, free_port
from integration.servers.socks import PASSWORD, SocksServer
from integration.servers.unbound import Unbound
from integration.traced import Trace

LAN = """\
$ORIGIN lan.
@      3600 SOA   ns root 1 7200 900 1209600 60
@      3600 NS    ns
ns     3600 A     192.168.1.53
nas     300 A     192.168.1.80
"""


@pytest.fixture
def lan(tmp_path: Path) -> Unbound:
    """A name server of the own network, not yet running."""
    skip_without(*Unbound.programs, "dig")
    return Unbound(tmp_path, {"lan.": LAN})


def configure(daemon: Daemon, dante: SocksServer, listen: str, lan: Unbound) -> None:
    """`lan` past the server, some names fixed or blocked, all others through it."""
    rules = {'"lan"': f"direct:{lan.address}", '"ads.example"': "block", '"dev.test"': "127.0.0.9"}
    daemon.configure(
        daemon.server(dante.address, username=dante.username, password=PASSWORD),
        listen,
        section("dns.rules", **rules),
    )


def test_each_name_goes_where_it_should_and_nothing_else_leaves(
    dante: SocksServer, unbound: Unbound, daemon: Daemon, lan: Unbound, tmp_path: Path
) -> None:
    """Every connection the daemon makes, as strace sees it, is to the server, or to the one of the rule."""
    trace, port = Trace(tmp_path), free_port()
    configure(daemon, dante, dns(port, unbound.upstream("tcp")), lan)
    with lan:
        daemon.start(prefix=trace.prefix)
        assert dig(port, "www.example").records == ["192.0.2.80"]
        assert dig(port, "nas.lan").records == ["192.168.1.80"]
        assert dig(port, "nas.lan", "A", "+tcp").records == ["192.168.1.80"]
        assert dig(port, "dev.test").records == ["127.0.0.9"]
        for name in ("x.ads.example", "x.onion", "x.local", "x.test", "printer.home.arpa"):
            assert dig(port, name).code == "NXDOMAIN"
        assert dig(port, "1.1.168.192.in-addr.arpa", "PTR").code == "NXDOMAIN"
        assert dig(port, "localhost").records == ["127.0.0.1"]
        daemon.cli("stop")
    assert trace.connected == {(LOOPBACK, dante.port), (LOOPBACK, lan.port)}
    assert {host for host, _ in trace.sent} == {LOOPBACK}
    assert not {53, unbound.port, lan.port} & {number for _, number in trace.sent}


def test_files_are_read_and_read_again(
    dante: SocksServer, unbound: Unbound, daemon: Daemon, tmp_path: Path
) -> None:
    """Without a word to the daemon; a file that is gone is told, and what it said stays."""
    skip_without("dig")
    port, hosts, blocks = free_port(), tmp_path / "hosts", tmp_path / "ads"
    hosts.write_text("192.0.2.99 printer.example\n")
    blocks.write_text("||www.example^\nnot a line of a list\n")
    daemon.configure(
        daemon.server(dante.address, username=dante.username, password=PASSWORD),
        dns(port, unbound.upstream("tcp"), hosts=str(hosts), block_lists=[str(blocks)], blocked="null"),
    )
    daemon.start()
    wait_until(lambda: dig(port, "www.example").records == ["0.0.0.0"], seconds=20, what="it is blocked")
    assert dig(port, "printer.example").records == ["192.0.2.99"]
    assert f'"{blocks}": lines not understood: 1, the first is line 2' in daemon.log()
    blocks.write_text("ns.example\n")
    wait_until(lambda: dig(port, "www.example").records == ["192.0.2.80"], seconds=20, what="it is free")
    wait_until(lambda: dig(port, "ns.example").records == ["0.0.0.0"], seconds=20, what="it is blocked")
    blocks.unlink()
    daemon.wait_for(
        lambda status: (
            status.dns is not None
            and status.dns.problem is not None
            and status.dns.problem.code == "dns-file-unreadable"
        )
    )
    assert dig(port, "ns.example").records == ["0.0.0.0"]
