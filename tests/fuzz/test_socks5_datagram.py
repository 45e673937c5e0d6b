"""Invariant: any octets have a source and a payload, or raise DatagramError, and nothing else.

And what we encode, we parse.
"""

from hypothesis import given
from hypothesis import strategies as st

from sockslocal.address import AddressError, Endpoint, normalise_host
from sockslocal.socks5.datagram import encode_header, parse_header
from sockslocal.socks5.errors import DatagramError
from sockslocal.socks5.messages import MAX_FIELD_OCTETS

headers = st.tuples(
    st.sampled_from([b"\x00\x00\x00", b""]), st.sampled_from([b"\x01", b"\x03", b"\x04", b""])
)
datagrams = st.tuples(headers.map(b"".join), st.binary(max_size=300)).map(b"".join)
hosts = st.one_of(
    st.ip_addresses().map(str),
    st.from_regex(r"[a-z0-9_]{1,10}(\.[a-z0-9-]{1,10}){0,3}", fullmatch=True),
)


def normalised(host: str) -> str | None:
    """The host as the rest of the program has it, None for what is none."""
    try:
        return normalise_host(host)
    except AddressError:
        return None


@given(datagrams, st.sampled_from([bytes, bytearray, memoryview]))
def test_only_the_documented_error(datagram: bytes, kind: type) -> None:
    """A payload begins within the datagram, or at its end where it is empty."""
    try:
        source, offset = parse_header(kind(datagram))
    except DatagramError:
        return
    assert 7 <= offset <= len(datagram)
    assert len(source.host) <= MAX_FIELD_OCTETS
    assert source.port == int.from_bytes(datagram[offset - 2 : offset])


@given(hosts.map(normalised).filter(bool), st.integers(0, 65535), st.binary(max_size=8))
def test_what_is_encoded_is_parsed(host: str, port: int, payload: bytes) -> None:
    """The source comes back as it was given, and so does the payload."""
    remote = Endpoint(host, port)
    header = encode_header(remote)
    assert parse_header(header + payload) == (remote, len(header))
