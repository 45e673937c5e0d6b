from ipaddress import ip_address

import pytest

from sockslocal.resolver.internal_addresses import is_internal, leads_inside
from sockslocal.resolver.records import HTTPS, IN, SVCB, Record

INSIDE = [
    *("0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "127.0.0.1", "169.254.169.254", "172.16.0.1"),
    *("172.31.255.255", "192.168.0.1", "255.255.255.255"),
    *("::", "::1", "fc00::1", "fd00::1", "fe80::1", "febf::1", "fec0::1"),
    *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "::ffff:0:192.168.0.1", "64:ff9b::10.0.0.1"),
    *("64:ff9b:1::192.168.0.1", "2002:7f00:1::", "2002:c0a8:1::1"),
]
OUTSIDE = [
    *("1.1.1.1", "9.255.255.255", "11.0.0.1", "100.63.255.255", "100.128.0.1", "126.255.255.255"),
    *("128.0.0.1", "169.253.0.1", "172.15.0.1", "172.32.0.1", "192.167.0.1", "192.169.0.1"),
    *("2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::1.1.1.1", "2002:101:101::", "ff02::1"),
]


def record(rdtype: int, data: bytes) -> Record:
    """One of `www.example`."""
    return Record(b"\3www\7example\0", rdtype, IN, 300, data, (), b"")


def hint(key: int, *addresses: str) -> bytes:
    """A parameter of SVCB with these addresses."""
    data = b"".join(ip_address(address).packed for address in addresses)
    return key.to_bytes(2, "big") + len(data).to_bytes(2, "big") + data


@pytest.mark.parametrize("address", INSIDE)
def test_internal(address: str) -> None:
    """This machine, its link, private networks, however they are written."""
    packed = ip_address(address).packed
    assert is_internal(packed)
    assert leads_inside(record(1 if len(packed) == 4 else 28, packed))


@pytest.mark.parametrize("address", OUTSIDE)
def test_not_internal(address: str) -> None:
    """Their neighbours, and all others."""
    packed = ip_address(address).packed
    assert not is_internal(packed)
    assert not leads_inside(record(1 if len(packed) == 4 else 28, packed))


@pytest.mark.parametrize("rdtype", [SVCB, HTTPS])
def test_hints_are_addresses_too(rdtype: int) -> None:
    """RFC 9460 §7.3: a browser may connect to them."""
    alpn, name = b"\0\1\0\3\2h2", b"\0\1\3svc\7example\0"
    good = alpn + hint(4, "1.1.1.1", "9.9.9.9") + hint(6, "2606:4700::1111")
    assert not leads_inside(record(rdtype, name + good))
    assert not leads_inside(record(rdtype, name))
    assert leads_inside(record(rdtype, name + alpn + hint(4, "1.1.1.1", "10.0.0.1")))
    assert leads_inside(record(rdtype, name + alpn + hint(6, "2606:4700::1111", "::1")))


@pytest.mark.parametrize("data", [b"", b"\0\1", b"\0\1\7abc", b"\0\1\0" + hint(4, "1.1.1.1")[:-1] + b""])
def test_hints_that_cannot_be_read_are_not_passed_on(data: bytes) -> None:
    """Who knows what a client reads in them."""
    assert leads_inside(record(HTTPS, data))


def test_addresses_of_no_length_are_not_passed_on() -> None:
    """Of another class than IN they may have any."""
    assert leads_inside(record(1, b"\1"))


def test_other_types_lead_nowhere() -> None:
    """Whatever their data looks like."""
    assert not leads_inside(record(16, b"\x0910.0.0.1"))
