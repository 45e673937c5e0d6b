from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sockslocal.address import Endpoint
from sockslocal.net.udp_relay_address import Scope, names_one_machine, relay_address, scope_of

PUBLIC, LAN, LOOPBACK, CARRIER = "9.9.9.9", "192.168.1.5", "127.0.0.1", "100.64.3.4"
PUBLIC6, LAN6, LOOPBACK6, LINK6 = "2620:fe::fe", "fd00::5", "::1", "fe80::5%lo"


def chosen(bound: str, server: str) -> str | None:
    """The host to which datagrams go when `server` names `bound`."""
    address = relay_address(Endpoint(bound, 7000), server)
    assert address is None or address.port == 7000
    return address and address.host


@pytest.mark.parametrize("server", [PUBLIC, LAN, LOOPBACK, CARRIER, PUBLIC6, LAN6, LOOPBACK6])
@pytest.mark.parametrize("bound", ["8.8.4.4", "2001:4860:4860::8844", "203.0.113.7", "2001:db8::7"])
def test_a_public_address_is_used(server: str, bound: str) -> None:
    """A public address is believed, of either family (U3); one from the examples of RFCs is as good."""
    assert chosen(bound, server) == bound


@pytest.mark.parametrize("server", [PUBLIC, LAN, LOOPBACK, CARRIER, PUBLIC6, LAN6, LOOPBACK6])
@pytest.mark.parametrize(
    "bound",
    [
        "0.0.0.0",
        "0.0.0.1",
        "::",
        "169.254.1.1",
        "fe80::1",
        "224.0.0.1",
        "239.1.2.3",
        "255.255.255.255",
        "240.0.0.1",
        "ff02::1",
        "ff0e::1",
    ],
)
def test_what_names_no_machine_is_replaced(server: str, bound: str) -> None:
    """Unspecified, link-local, multicast, broadcast, reserved: the address of the control connection (U3)."""
    assert chosen(bound, server) == server


@pytest.mark.parametrize("bound", [LOOPBACK, "127.0.0.53", LOOPBACK6])
@pytest.mark.parametrize("server", [PUBLIC, LAN, CARRIER, PUBLIC6, LAN6])
def test_loopback_means_the_servers_own(server: str, bound: str) -> None:
    """A server elsewhere that names loopback means itself; no packet goes to a local port of ours."""
    assert chosen(bound, server) == server


@pytest.mark.parametrize("bound", [LOOPBACK, "127.0.0.53", LOOPBACK6])
def test_loopback_of_a_local_server(bound: str) -> None:
    """A server on this machine may have its relay on another loopback address."""
    assert chosen(bound, LOOPBACK) == bound


@pytest.mark.parametrize("bound", ["10.0.0.1", "172.31.0.9", LAN, CARRIER, "192.0.0.8", "198.18.0.1", LAN6])
@pytest.mark.parametrize("server", [PUBLIC, LOOPBACK, PUBLIC6, LOOPBACK6])
def test_private_is_replaced(server: str, bound: str) -> None:
    """A private or carrier's address of a server that is not in a private network: NAT, or steering (U3)."""
    assert chosen(bound, server) == server


@pytest.mark.parametrize("bound", ["10.0.0.1", "172.31.0.9", "192.168.1.6", CARRIER, LAN6])
@pytest.mark.parametrize("server", [LAN, LAN6, CARRIER])
def test_private_of_a_private_server(server: str, bound: str) -> None:
    """A server in a private network may have several addresses there."""
    assert chosen(bound, server) == bound


@pytest.mark.parametrize("bound", ["", "\0", "relay.example", "localhost", "127.0.0.1.example", "1.2.3"])
def test_a_name_is_not_looked_up(bound: str) -> None:
    """An empty name, NUL or a name: the address of the control connection (U4)."""
    assert chosen(bound, PUBLIC) == PUBLIC


def test_mapped_addresses() -> None:
    """IPv4 in IPv6 clothes is IPv4, for the server as for what it names (U4)."""
    assert chosen("::ffff:8.8.4.4", PUBLIC) == "8.8.4.4"
    assert chosen("::ffff:127.0.0.1", PUBLIC) == PUBLIC
    assert chosen("::ffff:10.0.0.1", PUBLIC6) == PUBLIC6
    assert chosen("0.0.0.0", "::ffff:9.9.9.9") == PUBLIC


def test_the_servers_own_address() -> None:
    """What every server names that is not behind anything: the address it is reached under."""
    for server in (PUBLIC, LAN, LOOPBACK, CARRIER, PUBLIC6, LAN6, LOOPBACK6):
        assert chosen(server, server) == server


def test_a_link_local_server() -> None:
    """Its zone is kept: without it the address could not be reached."""
    assert chosen("fe80::5", LINK6) == LINK6
    assert chosen("::", LINK6) == LINK6


@pytest.mark.parametrize("bound", [PUBLIC, LAN, "0.0.0.0", "", "relay.example"])
def test_port_zero(bound: str) -> None:
    """Without a port there is no relay, whatever the host, even with an override (U4)."""
    assert relay_address(Endpoint(bound, 0), PUBLIC) is None
    assert relay_address(Endpoint(bound, 0), PUBLIC, override="8.8.4.4") is None


@pytest.mark.parametrize("bound", [PUBLIC, LAN, LOOPBACK, "0.0.0.0", "", "relay.example"])
def test_override(bound: str) -> None:
    """What the user set holds, with the port that the server named."""
    assert relay_address(Endpoint(bound, 7000), PUBLIC, override="10.1.1.1") == ("10.1.1.1", 7000)


# Python calls some of these global in one version and not in the next (3.11.2, 3.11.10, 3.12.4, 3.13).
@pytest.mark.parametrize(
    ("address", "scope"),
    [
        ("100.64.0.0", Scope.SITE),
        ("100.127.255.255", Scope.SITE),
        ("100.128.0.0", Scope.PUBLIC),
        ("192.0.0.0", Scope.SITE),
        ("192.0.0.9", Scope.SITE),
        ("192.0.0.10", Scope.SITE),
        ("192.0.1.0", Scope.PUBLIC),
        ("192.0.2.1", Scope.PUBLIC),
        ("198.51.100.1", Scope.PUBLIC),
        ("203.0.113.1", Scope.PUBLIC),
        ("198.17.255.255", Scope.PUBLIC),
        ("198.19.255.255", Scope.SITE),
        ("172.15.255.255", Scope.PUBLIC),
        ("172.16.0.0", Scope.SITE),
        ("172.32.0.0", Scope.PUBLIC),
        ("223.255.255.255", Scope.PUBLIC),
        ("2001:db8::1", Scope.PUBLIC),
        ("3fff::1", Scope.PUBLIC),
        ("64:ff9b::808:808", Scope.PUBLIC),
        ("64:ff9b:1::1", Scope.SITE),
        ("2002:808:808::1", Scope.PUBLIC),
        ("fec0::1", Scope.SITE),
        ("100::1", Scope.NOWHERE),
        ("::1", Scope.MACHINE),
        ("::7f00:1", Scope.NOWHERE),
    ],
)
def test_scopes_do_not_depend_on_the_python(address: str, scope: Scope) -> None:
    """The policy is our own, the same on each version of Python."""
    assert scope_of(ip_address(address)) is scope


hosts = st.one_of(st.ip_addresses().map(str), st.text(max_size=20))
servers = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).map(str)


@given(bound=st.builds(Endpoint, hosts, st.integers(0, 65_535)), server=servers)
def test_no_answer_steers(bound: Endpoint, server: str) -> None:
    """Whatever a server answers: datagrams go to itself, to a public address, or to one as near as it is."""
    address = relay_address(bound, server)
    if not bound.port:
        assert address is None
        return
    assert address is not None
    assert address.port == bound.port
    found, ours = ip_address(address.host), unmapped(server)
    assert found == ours or scope_of(found) is Scope.PUBLIC or scope_of(found) is scope_of(ours)
    if found != ours:
        assert scope_of(found) is not Scope.NOWHERE


def unmapped(host: str) -> IPv4Address | IPv6Address:
    """As the module has it, written down once more."""
    address = ip_address(host)
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped or address


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1", "127.0.0.1", "db.internal"])
def test_datagrams_go_to_single_machines(host: str) -> None:
    """Where a name leads, only the server knows."""
    assert names_one_machine(host)


@pytest.mark.parametrize("host", ["224.0.0.1", "ff02::1", "255.255.255.255", "0.0.0.0", "::"])
def test_datagrams_go_nowhere_else(host: str) -> None:
    """Relays die of them (U9)."""
    assert not names_one_machine(host)
