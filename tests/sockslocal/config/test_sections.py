from pathlib import Path

import pytest

from fakes.config import FORWARD, PATH, SERVER, Complaint, complaint_about
from sockslocal.address import Endpoint
from sockslocal.config.load import parse
from sockslocal.config.model import (
    DnsConfig,
    Limits,
    PasswordSource,
    ServerConfig,
    TcpForwardConfig,
    TlsConfig,
    UdpForwardConfig,
    Upstream,
)

TWO = f'{SERVER}[server.home]\naddress = "[2001:db8::1]:1080"\n'
"""Lines 1 to 4."""


def test_server_as_written() -> None:
    """Every key of a server has its place in the record."""
    text = """
        [server.office]
        address = "Proxy.Example.net:1080"
        username = "ana"
        password_from = "file:/pw"
        udp = "off"
        udp_address = "2001:DB8::1"
        udp_probe = "8.8.8.8"
        tls = true
        tls_name = "Socks.example.net"
        tls_ca = "/etc/ssl/ours.pem"
        connect_timeout = "2s"
    """
    assert parse(text, PATH).servers == {
        "office": ServerConfig(
            name="office",
            address=Endpoint("proxy.example.net", 1080),
            username="ana",
            password_from=PasswordSource("file", "/pw"),
            udp="off",
            udp_address="2001:db8::1",
            udp_probe=Endpoint("8.8.8.8", 53),
            tls=TlsConfig("socks.example.net", Path("/etc/ssl/ours.pem")),
            connect_timeout=2.0,
        )
    }


def test_server_by_default() -> None:
    """A server needs an address and nothing else."""
    (server,) = parse(SERVER, PATH).servers.values()
    assert server == ServerConfig(name="office", address=Endpoint("proxy.example.net", 1080))
    assert (server.username, server.password_from, server.udp) == (None, PasswordSource("keyring"), "auto")
    assert (server.udp_address, server.connect_timeout) == (None, 10.0)
    assert (server.udp_probe, server.tls) == (Endpoint("9.9.9.9", 53), None)


@pytest.mark.parametrize("way", ["auto", "associate", "uot", "hev", "gost", "off"])
def test_ways_of_datagrams(way: str) -> None:
    """The user may say how datagrams pass, and that no probe of it is to be sent."""
    (server,) = parse(f'{SERVER}udp = "{way}"\nudp_probe = "off"', PATH).servers.values()
    assert (server.udp, server.udp_probe) == (way, None)


def test_tls_by_default() -> None:
    """The certificate is to be for the host of the address, and vouched for as the system has it."""
    (server,) = parse(f"{SERVER}tls = true", PATH).servers.values()
    assert server.tls == TlsConfig("proxy.example.net", None)


def test_tls_switched_off() -> None:
    """What goes with TLS may stay in the file while it is off."""
    (server,) = parse(f'{SERVER}tls = false\ntls_name = "a"\nudp = "associate"', PATH).servers.values()
    assert server.tls is None


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (
            'tls_name = "a"',
            Complaint(3, '"tls_name" of server "office" is of no use without tls', "write tls = true"),
        ),
        (
            'tls = true\nudp = "associate"',
            Complaint(
                4,
                '"udp" of server "office" is "associate", by which datagrams would pass outside of the TLS',
                'write udp = "auto"',
            ),
        ),
    ],
)
def test_tls_with_what_does_not_go_with_it(text: str, complaint: Complaint) -> None:
    """A key forgotten, and datagrams that nobody would have expected to be in the clear."""
    assert complaint_about(SERVER + text) == complaint


def test_password_source_without_user() -> None:
    """A password for nobody is a user name forgotten."""
    assert complaint_about(f'{SERVER}password_from = "keyring"') == Complaint(
        3, '"password_from" of server "office" is of no use without a username', 'write username = "ana"'
    )


def test_tcp_as_written() -> None:
    """Every key of a TCP forward has its place in the record."""
    text = f"""{TWO}
        [tcp.db]
        listen = ["127.0.0.1:5432", "[::1]:5432"]
        to = "db.internal:5432"
        server = ["home", "office"]
        enabled = false
        only_me = true
    """
    target = Endpoint("db.internal", 5432)
    assert parse(text, PATH).tcp == {
        "db": TcpForwardConfig(
            name="db",
            listen=(Endpoint("127.0.0.1", 5432), Endpoint("::1", 5432)),
            to=(target, target),
            servers=("home", "office"),
            enabled=False,
            only_me=True,
        )
    }


def test_udp_as_written() -> None:
    """Every key of a UDP forward has its place in the record."""
    text = f"""{TWO}
        [udp.game]
        listen = "localhost:27015"
        to = "203.0.113.9:27015"
        server = "home"
        idle = "90s"
        share = "never"
    """
    assert parse(text, PATH).udp == {
        "game": UdpForwardConfig(
            name="game",
            listen=(Endpoint("127.0.0.1", 27015),),
            to=(Endpoint("203.0.113.9", 27015),),
            servers=("home",),
            enabled=True,
            idle=90.0,
            share="never",
        )
    }


def test_dns_as_written() -> None:
    """Every key of the resolver has its place in the record."""
    text = f"""{TWO}
        [dns]
        listen = "127.0.0.1:5399"
        upstreams = ["udp://9.9.9.9", "tcp://8.8.8.8"]
        server = "home"
        cache = "500 kB"
        stale = "0s"
        prefetch = false
        keep = true
    """
    assert parse(text, PATH).dns == DnsConfig(
        listen=(Endpoint("127.0.0.1", 5399),),
        upstreams=(Upstream("udp", Endpoint("9.9.9.9", 53)), Upstream("tcp", Endpoint("8.8.8.8", 53))),
        servers=("home",),
        enabled=True,
        cache=500_000,
        stale=0,
        prefetch=False,
        keep=True,
    )


def test_limits_as_written() -> None:
    """Each limit has its place in the record; those that are not written are as usual."""
    text = "[limits]\nassociations = 1\nflows_per_association = 2\nflows = 3\nwaiting = 4"
    assert parse(text, PATH).limits == Limits(associations=1, flows_per_association=2, flows=3, waiting=4)
    assert parse("[limits]\nflows = 65536", PATH).limits == Limits(flows=65536)
    assert parse("", PATH).limits == Limits()


def test_first_server_is_the_default() -> None:
    """What names no server goes through the one that the file has first."""
    text = TWO + FORWARD.removeprefix(SERVER) + '[dns]\nlisten = "127.0.0.1:53"\nupstreams = "udp://9.9.9.9"'
    config = parse(text, PATH)
    assert [*config.servers] == ["office", "home"]
    assert config.tcp["db"].servers == ("office",)
    assert config.dns is not None
    assert config.dns.servers == ("office",)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (
            f'{FORWARD}server = "offise"',
            Complaint(
                6,
                'forward "db" goes through server "offise", which is not there; known are "office"',
                "sockslocal forward set db --server office",
            ),
        ),
        (
            f'{FORWARD}server = ["office",\n  "vpn"]',
            Complaint(
                7,
                'forward "db" goes through server "vpn", which is not there; known are "office"',
                "sockslocal server add vpn ADDRESS",
            ),
        ),
        (
            '[udp.u]\nlisten = "127.0.0.1:1"\nto = "a:1"\nserver = "a b"',
            Complaint(
                4,
                'forward "u" goes through server "a b", which is not there; the file has no [server.NAME]',
                "sockslocal server add office ADDRESS",
            ),
        ),
        (
            FORWARD.removeprefix(SERVER),
            Complaint(
                1,
                'forward "db" has no server to go through: the file has no [server.NAME]',
                "sockslocal server add office ADDRESS",
            ),
        ),
        (
            '[dns]\nlisten = "127.0.0.1:53"\nupstreams = "udp://9.9.9.9"',
            Complaint(
                1,
                "[dns] has no server to go through: the file has no [server.NAME]",
                "sockslocal server add office ADDRESS",
            ),
        ),
        (
            f'{SERVER}[dns]\nlisten = "127.0.0.1:53"\nupstreams = "udp://9.9.9.9"\nserver = ["ofice"]',
            Complaint(
                6,
                '[dns] goes through server "ofice", which is not there; known are "office"',
                'write "office" there',
            ),
        ),
    ],
)
def test_missing_server(text: str, complaint: Complaint) -> None:
    """A server that is not there is told with the nearest, or with the command that makes one."""
    assert complaint_about(text) == complaint
