import socket
import struct
from ipaddress import ip_address

import pytest

from fakes.sockets import closing
from sockslocal.net.local_address import ask_for_local_address, speaking_from, tells_local_address

IPV6_PKTINFO = (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO)
IP_PKTINFO = (socket.IPPROTO_IP, 8)


@pytest.mark.parametrize(
    ("family", "host", "told"),
    [
        (socket.AF_INET, "0.0.0.0", True),
        (socket.AF_INET, "127.0.0.1", False),
        (socket.AF_INET6, "::", True),
        (socket.AF_INET6, "::1", False),
    ],
)
def test_only_who_is_everywhere_is_told(family: socket.AddressFamily, host: str, told: bool) -> None:  # noqa: FBT001
    """Others know."""
    sock = socket.socket(family, socket.SOCK_DGRAM)
    with closing(sock):
        sock.bind((host, 0))
        ask_for_local_address(sock)
        assert tells_local_address(sock) == told


def test_sockets_of_other_families_are_left_alone() -> None:
    """They have no such addresses."""
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with closing(one, other):
        ask_for_local_address(one)
        assert not tells_local_address(one)


def test_over_ipv4_routing_chooses_the_interface() -> None:
    """The address that a datagram was sent to may be that of a group; the other one is ours."""
    local, group = ip_address("192.0.2.1").packed, ip_address("224.0.0.251").packed
    answer = speaking_from(*IP_PKTINFO, struct.pack("@i4s4s", 7, local, group))
    assert answer == struct.pack("@i4s4s", 0, local, bytes(4))


@pytest.mark.parametrize(
    ("address", "interface"), [("2001:db8::1", 0), ("::1", 0), ("fe80::1", 7), ("febf::1", 7), ("fec0::1", 0)]
)
def test_over_ipv6_the_interface_matters_for_link_local_addresses(address: str, interface: int) -> None:
    """There may be the same one on each interface."""
    packed = ip_address(address).packed
    assert speaking_from(*IPV6_PKTINFO, struct.pack("@16si", packed, 7)) == struct.pack(
        "@16si", packed, interface
    )


@pytest.mark.parametrize(
    ("told", "data"),
    [
        (IPV6_PKTINFO, struct.pack("@16si", ip_address("ff02::fb").packed, 7)),
        (IPV6_PKTINFO, b"short"),
        (IP_PKTINFO, b"short"),
        ((socket.IPPROTO_IPV6, socket.IPV6_HOPLIMIT), bytes(4)),
    ],
)
def test_what_nobody_can_speak_from(told: tuple[int, int], data: bytes) -> None:
    """The address of a group, and what says nothing of addresses."""
    assert speaking_from(*told, data) is None
