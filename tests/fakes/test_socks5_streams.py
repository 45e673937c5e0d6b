import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from fakes.raw_server import exactly
from fakes.socks5_plain import is_silent, logged_in, request
from fakes.socks5_server import Act, FakeServer, Named, Script, Stage, StreamFormat, UdpFault, UdpScript
from fakes.socks5_streams import StreamRelay
from fakes.socks5_wire import address_octets
from fakes.targets import udp_echo
from fakes.waiting import wait_until

V1, V2, HEV, GOST = StreamFormat.UOT_V1, StreamFormat.UOT_V2, StreamFormat.HEV, StreamFormat.GOST

REQUESTS = {
    V1: (1, "sp.udp-over-tcp.arpa"),
    V2: (1, "sp.v2.udp-over-tcp.arpa"),
    HEV: (5, "0.0.0.0"),
    GOST: (0xF3, "0.0.0.0"),
}
OPENING = {V2: b"\0\1\0\0\0\0\0\0"}

FRAMES = {
    V1: b"\0\x7f\0\0\1PP\0\4ping",
    V2: b"\0\x7f\0\0\1PP\0\4ping",
    HEV: b"\0\4\x0a\1\x7f\0\0\1PPping",
    GOST: b"\0\4\xff\1\x7f\0\0\1PPping",
}
"""`ping` to or from port PP of 127.0.0.1."""

NAMED_FRAMES = {
    V1: b"\2\6x.testPP\0\4ping",
    V2: b"\2\6x.testPP\0\4ping",
    HEV: b"\0\4\x0d\3\6x.testPPping",
    GOST: b"\0\4\xff\3\6x.testPPping",
}
"""The same with a name."""

every_format = pytest.mark.parametrize("wanted", list(StreamFormat))


@pytest.fixture
def server() -> Iterator[FakeServer]:
    """A fake that speaks every format, without login."""
    with FakeServer() as running:
        running.script = Script(formats=frozenset(StreamFormat))
        running.names["x.test"] = ("127.0.0.1", 0)
        yield running


@pytest.fixture
def echo() -> Iterator[bytes]:
    """The port of a target that sends everything back."""
    with udp_echo() as address:
        yield address[1].to_bytes(2)


@contextmanager
def opened(server: FakeServer, wanted: StreamFormat) -> Iterator[socket.socket]:
    """A stream; what comes before its first frame has been sent."""
    command, host = REQUESTS[wanted]
    with logged_in(server) as sock:
        assert request(sock, host, 0, command=command) == b"\5\0\0\1\0\0\0\0\0\0"
        sock.sendall(OPENING.get(wanted, b""))
        yield sock


def stream_of(server: FakeServer) -> StreamRelay:
    """The server's side of the only stream."""
    stream = server.sessions[-1].stream
    assert stream is not None
    return stream


def exchange(sock: socket.socket, frame: bytes) -> bytes:
    """As many octets as `frame` has come back for it."""
    sock.sendall(frame)
    return exactly(sock, len(frame))


@every_format
def test_datagrams_pass_both_ways(server: FakeServer, echo: bytes, wanted: StreamFormat) -> None:
    """Frames as they are written here, one by one, two in a segment, and octet by octet; all counted."""
    frame = FRAMES[wanted].replace(b"PP", echo)
    with opened(server, wanted) as sock:
        assert exchange(sock, frame) == frame
        assert exchange(sock, frame * 2) == frame * 2
        for octet in frame:
            sock.sendall(bytes([octet]))
        assert exactly(sock, len(frame)) == frame
        assert stream_of(server).received == [(("127.0.0.1", int.from_bytes(echo)), b"ping")] * 4
        assert (server.counts.streams.now, server.counts.datagrams) == (1, 4)
    wait_until(lambda: not server.counts.streams.now, seconds=5, what="it has ended")
    assert server.sessions[-1].error is None
    assert server.counts.associations.total == 0


@every_format
def test_frames_with_names(server: FakeServer, echo: bytes, wanted: StreamFormat) -> None:
    """The answer names the address, or what the client wrote."""
    asked = NAMED_FRAMES[wanted].replace(b"PP", echo)
    answer = FRAMES[wanted].replace(b"PP", echo)
    with opened(server, wanted) as sock:
        sock.sendall(asked)
        assert exactly(sock, len(answer)) == answer
        server.switch(UdpScript(named=Named.REQUEST))
        assert exchange(sock, asked) == asked


@pytest.mark.parametrize(
    ("wanted", "frame"),
    [
        (V1, b"\1{six}PP\0\4ping"),
        (V2, b"\1{six}PP\0\4ping"),
        (HEV, b"\0\4\x16\4{six}PPping"),
        (GOST, b"\0\4\xff\4{six}PPping"),
    ],
)
def test_frames_with_ipv6(server: FakeServer, wanted: StreamFormat, frame: bytes) -> None:
    """HDRLEN is 22 then."""
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as six, opened(server, wanted) as sock:
        six.settimeout(5)
        six.bind(("::1", 0))
        frame = frame.replace(b"{six}", bytes(15) + b"\1").replace(b"PP", six.getsockname()[1].to_bytes(2))
        sock.sendall(frame)
        six.sendto(*six.recvfrom(100))
        assert exactly(sock, len(frame)) == frame


@pytest.mark.parametrize("wanted", [V1, V2, HEV])
def test_empty_datagrams(server: FakeServer, echo: bytes, wanted: StreamFormat) -> None:
    """They pass where they can be written."""
    empty = FRAMES[wanted].replace(b"PP", echo).replace(b"\0\4", b"\0\0").removesuffix(b"ping")
    with opened(server, wanted) as sock:
        assert exchange(sock, empty) == empty


def test_uot_v2_to_one_address(server: FakeServer, echo: bytes) -> None:
    """It is named once, with RFC 1928's type, and the frames have none."""
    command, host = REQUESTS[V2]
    with logged_in(server) as sock:
        request(sock, host, 0, command=command)
        frame = b"\0\4ping"
        sock.sendall(b"\1\3\6x.test" + echo + frame)
        assert exactly(sock, len(frame)) == frame
        assert exchange(sock, frame) == frame


@pytest.mark.parametrize(
    ("wanted", "octets"),
    [
        (V1, b"\3\6x.test\0\7\0\0"),
        (V2, b"\4" + bytes(20)),
        (HEV, b"\0\4\x07\1\x7f\0\0\1\0\7ping"),
        (HEV, b"\0\4\x0a\0\x7f\0\0\1\0\7ping"),
        (GOST, b"\0\4\0\1\x7f\0\0\1\0\7ping"),
        (GOST, b"\0\0\xff\1\x7f\0\0\1\0\7"),
    ],
)
def test_what_is_no_frame_ends_the_stream(server: FakeServer, wanted: StreamFormat, octets: bytes) -> None:
    """Types of another format, lengths that do not fit, and gost's 0; the reason is on record."""
    with opened(server, wanted) as sock:
        sock.sendall(octets)
        wait_until(lambda: server.sessions[-1].finished, seconds=5, what="it has ended")
        assert isinstance(server.sessions[-1].error, ValueError)
        assert server.counts.datagrams == 0


@every_format
def test_a_cut_frame_is_on_record(server: FakeServer, wanted: StreamFormat) -> None:
    """The client closed in the middle of one."""
    with opened(server, wanted) as sock:
        sock.sendall(FRAMES[wanted][:-1])
    wait_until(lambda: server.sessions[-1].finished, seconds=5, what="it has ended")
    assert isinstance(server.sessions[-1].error, EOFError)


# servers that do not speak it


@pytest.mark.parametrize(("wanted", "code"), [(V1, 4), (V2, 4), (HEV, 7), (GOST, 7)])
def test_a_server_that_speaks_none(server: FakeServer, wanted: StreamFormat, code: int) -> None:
    """The names do not exist then, nor do the commands."""
    server.script = Script(formats=frozenset(set(StreamFormat) - {wanted}))
    command, host = REQUESTS[wanted]
    with logged_in(server) as sock:
        assert request(sock, host, 0, command=command)[1] == code


@pytest.mark.parametrize("wanted", [HEV, GOST])
def test_a_port_makes_it_another_command(server: FakeServer, wanted: StreamFormat) -> None:
    """Zeros are asked for, as the specifications have it."""
    with logged_in(server) as sock:
        assert request(sock, "0.0.0.0", 9, command=REQUESTS[wanted][0])[1] == 7


@pytest.mark.parametrize("wanted", [V1, V2])
def test_an_early_success_comes_to_nothing(server: FakeServer, wanted: StreamFormat) -> None:
    """A server that replies before it looks the name up closes afterwards."""
    server.script = Script(early=True)
    command, host = REQUESTS[wanted]
    with logged_in(server) as sock:
        assert request(sock, host, 0, command=command)[1] == 0
        assert sock.recv(1) == b""


# what is wrong with streams


@every_format
def test_silent_streams(server: FakeServer, echo: bytes, wanted: StreamFormat) -> None:
    """Nothing is read, or read and not answered; before the first frame, or once it worked."""
    frame = FRAMES[wanted].replace(b"PP", echo)
    server.scripts.append(Script(formats=server.script.formats, at=Stage.RELAY, act=Act.STALL))
    with opened(server, wanted) as sock:
        sock.sendall(frame)
        assert is_silent(sock)
    with opened(server, wanted) as sock:
        assert exchange(sock, frame) == frame
        server.kill_relays()
        sock.sendall(frame)
        assert is_silent(sock)


@every_format
def test_dripping_streams(server: FakeServer, echo: bytes, wanted: StreamFormat) -> None:
    """Each octet in a segment of its own, and all of them."""
    server.script = Script(formats=server.script.formats, at=Stage.RELAY, act=Act.DRIP, interval=0)
    frame = FRAMES[wanted].replace(b"PP", echo)
    with opened(server, wanted) as sock:
        assert exchange(sock, frame * 2) == frame * 2


@every_format
def test_streams_that_end(server: FakeServer, echo: bytes, wanted: StreamFormat) -> None:
    """At a datagram, in the middle of a frame, or when a test says."""
    frame = FRAMES[wanted].replace(b"PP", echo)
    for fault, comes in ((UdpFault.CONTROL_CLOSED, 0), (UdpFault.TRUNCATED, 5)):
        with opened(server, wanted) as sock:
            assert exchange(sock, frame) == frame
            server.switch(UdpScript(fault=fault))
            sock.sendall(frame)
            assert exactly(sock, 100) == frame[:comes]
    with opened(server, wanted) as sock:
        assert exchange(sock, frame) == frame
        server.end_associations()
        assert sock.recv(1) == b""


@every_format
def test_garbage(server: FakeServer, echo: bytes, wanted: StreamFormat) -> None:
    """Octets that are no frame in any format."""
    server.script = Script(formats=server.script.formats, udp=UdpScript(fault=UdpFault.GARBAGE))
    with opened(server, wanted) as sock:
        sock.sendall(FRAMES[wanted].replace(b"PP", echo))
        assert exactly(sock, 64) == b"\xee" * 64


def test_answers_that_name_the_client(server: FakeServer, echo: bytes) -> None:
    """Its end of the TCP connection."""
    server.script = Script(formats=server.script.formats, udp=UdpScript(named=Named.CLIENT))
    with opened(server, GOST) as sock:
        sock.sendall(FRAMES[GOST].replace(b"PP", echo))
        assert exactly(sock, 14) == b"\0\4\xff" + address_octets(*sock.getsockname()) + b"ping"
