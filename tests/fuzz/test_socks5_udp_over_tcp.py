"""Invariant: whatever a server sends, there are datagrams or a FramingError, and nothing else.

It comes out the same however the octets were cut, and less than a frame of them is kept. And what we encode,
we decode.
"""

from hypothesis import given
from hypothesis import strategies as st

from fakes.pieces import cut
from sockslocal.socks5.datagram import parse_header
from sockslocal.socks5.errors import FramingError
from sockslocal.socks5.udp_over_tcp import FRAMINGS, Framing

LONGEST_FRAME = 3 + 1 + 1 + 255 + 2 + 65_535

framings = st.sampled_from(list(FRAMINGS.values()))

headers = st.one_of(
    st.binary(min_size=6, max_size=6).map(lambda rest: b"\x01" + rest),
    st.binary(min_size=18, max_size=18).map(lambda rest: b"\x04" + rest),
    st.tuples(st.binary(max_size=255), st.binary(min_size=2, max_size=2)).map(
        lambda parts: b"\x03" + bytes((len(parts[0]),)) + b"".join(parts)
    ),
).map(lambda field: bytes(3) + field)
datagrams = st.tuples(headers, st.binary(max_size=40) | st.integers(0, 65_535).map(bytes))
garbage = st.one_of(
    st.binary(max_size=60),
    st.tuples(
        st.sampled_from([b"\x00\x01", b"\x00\x00\x0a\x01", b"\x00\x01\xff\x03"]), st.binary(max_size=40)
    ).map(b"".join),
)


def frames(framing: Framing, sent: list[tuple[bytes, bytes]]) -> tuple[bytes, list[bytes]]:
    """What the framing makes of the datagrams that it can say, and these."""
    pairs = [(framing.encode(header, payload), header + payload) for header, payload in sent]
    said = [(frame, datagram) for frame, datagram in pairs if frame is not None]
    return b"".join(frame for frame, _ in said), [datagram for _, datagram in said]


def outcome(framing: Framing, pieces: list[bytes]) -> tuple[list[bytes], str | None]:
    """The datagrams, and the error if there was one."""
    decoder = framing.decoder()
    found: list[bytes] = []
    try:
        for piece in pieces:
            found += decoder.feed(piece)
            assert len(decoder._rest) < LONGEST_FRAME
    except FramingError as error:
        return found, error.phrase
    return found, None


@given(framings, st.lists(datagrams, max_size=4), garbage, st.data())
def test_only_the_documented_error_and_the_same_however_cut(
    framing: Framing, sent: list[tuple[bytes, bytes]], rest: bytes, data: st.DataObject
) -> None:
    """What is right before an error may be lost with it, for it came in the same piece."""
    stream, expected = frames(framing, sent)
    whole = outcome(framing, [stream + rest])
    cuts = data.draw(st.lists(st.integers(0, len(stream + rest)), max_size=16))
    pieces = outcome(framing, cut(stream + rest, cuts))
    octets = outcome(framing, [stream, *cut(rest, range(1, len(rest)))])
    assert whole[1] == pieces[1] == octets[1]
    assert octets[0][: len(expected)] == expected
    if whole[1] is None:
        assert whole[0] == pieces[0] == octets[0]
    else:
        assert octets[0][: len(pieces[0])] == pieces[0]


@given(framings, st.binary(max_size=400))
def test_each_datagram_has_a_header(framing: Framing, said: bytes) -> None:
    """What is given on can be read as if it had come on an association."""
    for datagram in outcome(framing, [said])[0]:
        _, offset = parse_header(datagram)
        assert offset <= len(datagram)
