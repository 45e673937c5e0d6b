import pytest

from sockslocal.address import AddressError, Endpoint
from sockslocal.socks5.messages import (
    AddressType,
    Command,
    Method,
    Reply,
    Stage,
    address_end,
    decode_address,
    encode_address,
)

FIELDS = [
    (Endpoint("192.0.2.1", 80), b"\x01\xc0\x00\x02\x01\x00\x50"),
    (Endpoint("2001:db8::1", 443), b"\x04\x20\x01\x0d\xb8" + bytes(11) + b"\x01\x01\xbb"),
    (Endpoint("db.internal", 5432), b"\x03\x0bdb.internal\x15\x38"),
    (Endpoint("_x.xn--bcher-kva.example", 65535), b"\x03\x18_x.xn--bcher-kva.example\xff\xff"),
    (Endpoint("0.0.0.0", 0), b"\x01" + bytes(6)),
]


def test_the_numbers_are_those_of_the_rfc() -> None:
    """RFC 1928 §3 to §6, and two servers' own commands; they come over the network."""
    assert list(Method) == [0, 1, 2, 0xFF]
    assert list(Command) == [1, 3, 5, 0xF3]
    assert list(AddressType) == [1, 3, 4]
    assert list(Reply) == [0, 1, 2, 3, 4, 5, 6, 7, 8]


@pytest.mark.parametrize(("endpoint", "field"), FIELDS)
def test_each_type_there_and_back(endpoint: Endpoint, field: bytes) -> None:
    """Literals go as addresses and names as names (N1); what was encoded is decoded to the same."""
    assert encode_address(endpoint) == field
    assert decode_address(field) == endpoint


def test_v4_mapped_addresses_are_ipv4() -> None:
    """`::ffff:192.0.2.1` leaves as ATYP 1 (N3), and an arriving one is taken for IPv4 (U4)."""
    assert encode_address(Endpoint("::ffff:192.0.2.1", 80)) == FIELDS[0][1]
    mapped = b"\x04" + bytes(10) + b"\xff\xff\xc0\x00\x02\x01\x00\x50"
    assert decode_address(mapped) == Endpoint("192.0.2.1", 80)


@pytest.mark.parametrize("name", ["a", "a" * 255])
def test_the_shortest_and_the_longest_name_are_sent(name: str) -> None:
    """The length octet allows for 1 to 255 octets."""
    assert encode_address(Endpoint(name, 1)) == b"\x03" + bytes((len(name),)) + name.encode() + b"\x00\x01"


@pytest.mark.parametrize("host", ["", "a" * 256, "bücher.example"])
def test_names_that_cannot_be_sent_are_refused(host: str) -> None:
    """Empty, longer than the length octet can say, or not yet in A-labels."""
    with pytest.raises(AddressError, match="is not a name of 1 to 255"):
        encode_address(Endpoint(host, 1))


@pytest.mark.parametrize("port", [-1, 65536])
def test_ports_that_cannot_be_sent_are_refused(port: int) -> None:
    """A port has two octets."""
    with pytest.raises(AddressError, match="is not a port"):
        encode_address(Endpoint("db.internal", port))


@pytest.mark.parametrize("field", [field for _, field in FIELDS])
def test_a_field_ends_where_its_second_octet_says(field: bytes) -> None:
    """Two octets tell the end, long before the rest has come, at any place in a message."""
    assert address_end(b"...." + field[:2], 4) == 4 + len(field)
    assert address_end(memoryview(field), 0) == len(field)


@pytest.mark.parametrize("kind", [0, 2, 5, 255])
def test_an_unknown_type_has_no_end(kind: int) -> None:
    """What RFC 1928 does not name cannot be skipped."""
    assert address_end(bytes((kind, 9)), 0) is None


@pytest.mark.parametrize(
    ("name", "host"),
    [
        (b"", ""),
        (b"\x00", ""),
        (b"\xff\xfe", ""),
        (b"a b", ""),
        (b"\x1b[2J", ""),
        (b"0", ""),
        (b"DB.Internal.", "db.internal"),
        (b"192.0.2.1", "192.0.2.1"),
        (b"2001:DB8::1", "2001:db8::1"),
    ],
)
def test_any_octets_in_place_of_a_name_are_survived(name: bytes, host: str) -> None:
    """A name arrives as our own are written, or as nothing where it is none (U4)."""
    assert decode_address(b"\x03" + bytes((len(name),)) + name + b"\x1d\x49") == Endpoint(host, 7497)


@pytest.mark.parametrize("stage", Stage)
def test_what_is_waited_for_has_words(stage: Stage) -> None:
    """At each stage at which the server has to speak, and at no other."""
    speaks = stage in (Stage.GREETING, Stage.AUTHENTICATION, Stage.REPLY)
    assert bool(stage.awaited) == bool(stage.suspect) == speaks
