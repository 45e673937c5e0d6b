import pytest

from sockslocal.address import AddressError, Endpoint
from sockslocal.socks5.datagram import encode_header, parse_header
from sockslocal.socks5.errors import DatagramError, Drop

REMOTE = Endpoint("192.0.2.1", 53)
HEADER = b"\x00\x00\x00\x01\xc0\x00\x02\x01\x00\x35"


def test_a_header_precedes_the_payload() -> None:
    """RSV and FRAG are zero (U8), then the remote's address."""
    assert encode_header(REMOTE) == HEADER


def test_a_remote_that_cannot_be_sent_is_refused() -> None:
    """As in a request."""
    with pytest.raises(AddressError):
        encode_header(Endpoint("", 53))


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1", "a", "db.internal", "a" * 63])
@pytest.mark.parametrize("payload", [b"", b"x", bytes(60_000)])
def test_a_datagram_is_taken_apart(host: str, payload: bytes) -> None:
    """All three address types arrive (U7), with any payload, an empty one too."""
    remote = Endpoint(host, 53)
    datagram = encode_header(remote) + payload
    source, offset = parse_header(datagram)
    assert source == remote
    assert datagram[offset:] == payload


def test_a_view_of_a_reused_buffer_is_parsed() -> None:
    """What was parsed stays true when the next datagram overwrites the buffer."""
    buffer = bytearray(HEADER + b"payload")
    source, offset = parse_header(memoryview(buffer))
    buffer[:] = bytes(len(buffer))
    assert (source, offset) == (REMOTE, 10)


@pytest.mark.parametrize(
    ("datagram", "reason"),
    [
        (b"\x00\x01" + HEADER[2:], Drop.RESERVED),
        (b"\x01\x00" + HEADER[2:], Drop.RESERVED),
        (b"\x00\x00\x01" + HEADER[3:], Drop.FRAGMENT),
        (b"\x00\x00\x80" + HEADER[3:], Drop.FRAGMENT),
        (b"\x00\x00\x00\x02" + HEADER[4:], Drop.ADDRESS_TYPE),
    ],
)
def test_what_cannot_be_used_is_dropped_with_its_reason(datagram: bytes, reason: Drop) -> None:
    """Fragments are not reassembled, and a reserved octet may mean another protocol's framing (U8)."""
    with pytest.raises(DatagramError) as caught:
        parse_header(datagram)
    assert caught.value.reason is reason


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1", "db.internal"])
def test_every_cut_header_is_truncated(host: str) -> None:
    """A header that lacks its last octets names nobody."""
    header = encode_header(Endpoint(host, 53))
    for length in range(len(header)):
        with pytest.raises(DatagramError) as caught:
            parse_header(header[:length])
        assert caught.value.reason is Drop.TRUNCATED


def test_a_source_without_a_usable_name_has_an_empty_host() -> None:
    """Its payload may still be wanted where only one remote is spoken to (U6)."""
    assert parse_header(b"\x00\x00\x00\x03\x00\x00\x35") == (Endpoint("", 53), 7)
