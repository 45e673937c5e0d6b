"""The bytes here are written down by hand from what each project's code reads and writes."""

import pytest

from fakes.pieces import splits
from sockslocal.address import Endpoint
from sockslocal.socks5.client import encode_request
from sockslocal.socks5.datagram import encode_header
from sockslocal.socks5.errors import FramingError
from sockslocal.socks5.udp_over_tcp import FRAMINGS, MAX_PAYLOAD, Framing

V4 = b"\x00\x00\x00\x01\xc0\x00\x02\x01\x00\x35"
V6 = b"\x00\x00\x00\x04\x20\x01\x0d\xb8" + bytes(11) + b"\x01\x01\xbb"
NAME = b"\x00\x00\x00\x03\x0bdb.internal\x15\x38"

SING_FRAMES = [
    (V4, b"abc", b"\x00\xc0\x00\x02\x01\x00\x35\x00\x03abc"),
    (V6, b"", b"\x01\x20\x01\x0d\xb8" + bytes(11) + b"\x01\x01\xbb\x00\x00"),
    (NAME, b"x" * 258, b"\x02\x0bdb.internal\x15\x38\x01\x02" + b"x" * 258),
]
FRAMES = [
    *(("uot-v2", *frame) for frame in SING_FRAMES),
    *(("uot-v1", *frame) for frame in SING_FRAMES),
    # HDRLEN counts MSGLEN, itself and the address; MSGLEN counts the payload alone.
    ("hev", V4, b"abc", b"\x00\x03\x0a\x01\xc0\x00\x02\x01\x00\x35abc"),
    ("hev", V6, b"", b"\x00\x00\x16\x04\x20\x01\x0d\xb8" + bytes(11) + b"\x01\x01\xbb"),
    ("hev", NAME, b"x" * 258, b"\x01\x02\x12\x03\x0bdb.internal\x15\x38" + b"x" * 258),
    ("gost", V4, b"abc", b"\x00\x03\xff\x01\xc0\x00\x02\x01\x00\x35abc"),
    ("gost", V6, b"d", b"\x00\x01\xff\x04\x20\x01\x0d\xb8" + bytes(11) + b"\x01\x01\xbbd"),
    ("gost", NAME, b"x" * 258, b"\x01\x02\xff\x03\x0bdb.internal\x15\x38" + b"x" * 258),
]

each_framing = pytest.mark.parametrize("framing", FRAMINGS.values(), ids=list(FRAMINGS))


@pytest.mark.parametrize(
    ("name", "request_", "opening"),
    [
        (
            "uot-v2",
            b"\x05\x01\x00\x03\x17sp.v2.udp-over-tcp.arpa\x00\x00",
            b"\x00\x01\x00\x00\x00\x00\x00\x00",
        ),
        ("uot-v1", b"\x05\x01\x00\x03\x14sp.udp-over-tcp.arpa\x00\x00", b""),
        ("hev", b"\x05\x05\x00\x01\x00\x00\x00\x00\x00\x00", b""),
        ("gost", b"\x05\xf3\x00\x01\x00\x00\x00\x00\x00\x00", b""),
    ],
)
def test_what_is_asked_for(name: str, request_: bytes, opening: bytes) -> None:
    """A name that stands for it, or a command; version 2 is told that each frame will name its remote."""
    framing = FRAMINGS[name]
    assert framing.name == name
    assert encode_request(framing.request) == request_
    assert framing.opening == opening


def test_the_order_is_that_of_the_ladder() -> None:
    """The two that a server can take for no more than an unknown name come first."""
    assert list(FRAMINGS) == ["uot-v2", "uot-v1", "hev", "gost"]


@pytest.mark.parametrize("kind", [bytes, memoryview])
@pytest.mark.parametrize(("name", "header", "payload", "frame"), FRAMES)
def test_a_datagram_is_framed(name: str, header: bytes, payload: bytes, frame: bytes, kind: type) -> None:
    """Octet for octet, for each type of address; again for the next datagram to the same remote."""
    for _ in range(2):
        assert FRAMINGS[name].encode(header, kind(payload)) == frame


@pytest.mark.parametrize(("name", "header", "payload", "frame"), FRAMES)
def test_a_frame_is_taken_apart(name: str, header: bytes, payload: bytes, frame: bytes) -> None:
    """It comes out as a datagram of an association would, however it was cut."""
    for pieces in splits(frame):
        decoder = FRAMINGS[name].decoder()
        assert [decoder.feed(piece) for piece in pieces] == [[]] * (len(pieces) - 1) + [[header + payload]]


@each_framing
def test_frames_in_one_piece(framing: Framing) -> None:
    """All that are complete are given, and the beginning of the next one is kept."""
    frames = [frame for name, _, _, frame in FRAMES if name == framing.name]
    first, second, third = [header + payload for name, header, payload, _ in FRAMES if name == framing.name]
    decoder = framing.decoder()
    assert decoder.feed(b"".join(frames) + frames[0][:9]) == [first, second, third]
    assert decoder.feed(frames[0][9:] + frames[1]) == [first, second]
    assert decoder.feed(b"") == []


@each_framing
def test_the_longest_payload(framing: Framing) -> None:
    """As long as two octets can say passes both ways; what is longer is none that can be sent."""
    payload = bytes(MAX_PAYLOAD)
    frame = framing.encode(V4, payload)
    assert frame is not None
    assert framing.decoder().feed(frame) == [V4 + payload]
    assert framing.encode(V4, payload + b"x") is None


def test_gost_has_nothing_empty() -> None:
    """It would take a length of zero for "all that comes"; what it sends itself has no payload then."""
    gost = FRAMINGS["gost"]
    assert gost.encode(V4, b"") is None
    assert gost.encode(V4, memoryview(b"")) is None
    assert gost.decoder().feed(b"\x00\x00\xff" + V4[3:]) == [V4]


@each_framing
@pytest.mark.parametrize("length", [248, 249, 255])
def test_long_names(framing: Framing, length: int) -> None:
    """Those of 248 octets pass; hev's HDRLEN has no room for longer ones, the others have."""
    header = encode_header(Endpoint("a" * length, 53))
    frame = framing.encode(header, b"x")
    if framing.name == "hev" and length > 248:
        assert frame is None
    else:
        assert frame is not None
        assert framing.decoder().feed(frame) == [header + b"x"]


@pytest.mark.parametrize(
    ("name", "octets", "detail"),
    [
        ("uot-v2", b"\x03\x0b", "a frame has an address of the unknown type 3"),
        ("uot-v1", b"HTTP/1.1 400", "a frame has an address of the unknown type 72"),
        ("hev", b"\x00\x03\x0a\x02\xc0", "a frame has an address of the unknown type 2"),
        ("hev", b"\x00\x0d\x0d\x01\xc0", "the third octet of a frame is 13, not 10"),
        ("hev", b"\x00\x01\x00\x03\xf9", "the third octet of a frame is 0, not 256"),
        ("gost", b"\x00\x03\x00\x01\xc0", "the third octet of a frame is 0, not 255"),
        ("gost", b"\x00\x03\xff\x00\xc0", "a frame has an address of the unknown type 0"),
    ],
)
def test_garbage(name: str, octets: bytes, detail: str) -> None:
    """Known as soon as it can be, alone and behind a frame, and however it comes."""
    (frame, *_) = [frame for its, _, _, frame in FRAMES if its == name]
    for before in (b"", frame):
        for pieces in splits(before + octets):
            decoder = FRAMINGS[name].decoder()
            with pytest.raises(FramingError) as caught:
                list(map(decoder.feed, pieces))
            assert caught.value.phrase == f"what it sends is not UDP over TCP as {name} has it: {detail}"
