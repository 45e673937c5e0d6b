import asyncio
import socket
from collections.abc import Iterator
from contextlib import closing

import pytest

from fakes.probe_target import probe_target
from fakes.socks5_server import FakeServer, Script, StreamFormat, UdpFault, UdpScript
from sockslocal.address import Endpoint
from sockslocal.net.probe_channels import Answer, RelayChannel, StreamChannel, probe_socket
from sockslocal.net.probing import Access
from sockslocal.socks5.errors import FramingError
from sockslocal.socks5.udp_over_tcp import FRAMINGS

LOOPBACK = "127.0.0.1"

pytestmark = pytest.mark.usefixtures("engine")  # which sees that nothing is left


@pytest.fixture
def relay() -> Iterator[socket.socket]:
    """A relay that does what the test says."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((LOOPBACK, 0))
        sock.settimeout(10)
        yield sock


def channel_to(relay: socket.socket, sock: socket.socket) -> RelayChannel:
    """The channel under test."""
    return RelayChannel(sock, Endpoint(*relay.getsockname()))


async def test_datagrams_by_a_relay(relay: socket.socket) -> None:
    """There with the remote in the header, and back with where they came from."""
    with closing(probe_socket(socket.AF_INET, LOOPBACK)) as sock:
        channel = channel_to(relay, sock)
        await channel.send(Endpoint("192.0.2.1", 53), b"hello")
        datagram, source = relay.recvfrom(100)
        assert datagram == b"\0\0\0\1\xc0\0\2\1\0\x35hello"
        assert source == sock.getsockname()
        relay.sendto(b"\0\0\0\1\xc0\0\2\2\0\x36back", source)
        assert await channel.receive() == Answer(channel.relay, Endpoint("192.0.2.2", 54), b"back")


async def test_others_are_heard_too(relay: socket.socket) -> None:
    """Some servers answer from another port."""
    with (
        closing(probe_socket(socket.AF_INET, LOOPBACK)) as sock,
        closing(probe_socket(socket.AF_INET, LOOPBACK)) as other,
    ):
        other.sendto(b"\0\0\0\1\xc0\0\2\2\0\x36back", sock.getsockname())
        answer = await channel_to(relay, sock).receive()
        assert answer.source == Endpoint(*other.getsockname())


@pytest.mark.parametrize("datagram", [b"", b"\0\0\0\1", b"\0\0\1\1\xc0\0\2\2\0\x36back"])
async def test_what_cannot_be_read_names_nobody(relay: socket.socket, datagram: bytes) -> None:
    """But it shows that something came."""
    with closing(probe_socket(socket.AF_INET, LOOPBACK)) as sock:
        relay.sendto(datagram, sock.getsockname())
        channel = channel_to(relay, sock)
        assert await channel.receive() == Answer(channel.relay, None, b"")


async def test_the_largest_datagram(relay: socket.socket) -> None:
    """It is received whole."""
    with closing(probe_socket(socket.AF_INET, "")) as sock:
        here = (LOOPBACK, sock.getsockname()[1])
        relay.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        relay.sendto(b"\0\0\0\1\xc0\0\2\2\0\x36".ljust(65_507, b"x"), here)
        assert len((await channel_to(relay, sock).receive()).payload) == 65_497


def test_an_address_that_is_not_ours() -> None:
    """There is no socket, and none is left open."""
    with pytest.raises(OSError, match="assign"):
        probe_socket(socket.AF_INET, "192.0.2.1")


FORMATS = dict(zip(("uot-v1", "uot-v2", "hev", "gost"), StreamFormat, strict=True))


@pytest.fixture
def remote() -> Iterator[Endpoint]:
    """An echo."""
    with probe_target(ipv6=False) as endpoint:
        yield endpoint


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    """A server that speaks all kinds of UDP over TCP."""
    with FakeServer() as running:
        running.script = Script(formats=frozenset(StreamFormat))
        yield running


@pytest.mark.parametrize("name", FORMATS)
async def test_datagrams_by_a_stream(fake: FakeServer, remote: Endpoint, name: str) -> None:
    """Several, with the opening in front of the first alone."""
    framing = FRAMINGS[name]
    access = Access((socket.AF_INET, fake.address), None, 10.0)
    async with access.connection() as connection:
        reply = await access.ask(connection, framing.request)
        channel = StreamChannel(connection, framing, reply.trailing)
        for payload in (b"one", b"two"):
            await channel.send(remote, payload)
            assert await channel.receive() == Answer(None, remote, payload)
    stream = fake.sessions[0].stream
    assert stream is not None
    assert [payload for _, payload in stream.received] == [b"one", b"two"]


async def test_what_a_format_cannot_say_is_not_sent(fake: FakeServer, remote: Endpoint) -> None:
    """Nothing can be empty in gost's; the next datagram goes."""
    framing = FRAMINGS["gost"]
    access = Access((socket.AF_INET, fake.address), None, 10.0)
    async with access.connection() as connection:
        await access.ask(connection, framing.request)
        channel = StreamChannel(connection, framing, b"")
        await channel.send(remote, b"")
        await channel.send(remote, b"not empty")
        assert (await channel.receive()).payload == b"not empty"


async def test_frames_that_came_with_the_reply() -> None:
    """They are the first to be received, without anything to be read."""
    framing = FRAMINGS["uot-v1"]
    frame = framing.encode(b"\0\0\0\1\xc0\0\2\1\0\x35", b"early")
    assert frame is not None
    channel = StreamChannel(None, framing, frame + frame)  # type: ignore[arg-type]
    for _ in range(2):
        assert await channel.receive() == Answer(None, Endpoint("192.0.2.1", 53), b"early")


@pytest.mark.parametrize(
    ("fault", "error"),
    [(UdpFault.CONTROL_CLOSED, ConnectionResetError), (UdpFault.GARBAGE, FramingError)],
)
async def test_a_stream_that_breaks(
    fake: FakeServer, remote: Endpoint, fault: UdpFault, error: type[Exception]
) -> None:
    """An end, or nonsense, is an error."""
    fake.script = Script(formats=frozenset(StreamFormat), udp=UdpScript(fault=fault))
    framing = FRAMINGS["uot-v1"]
    access = Access((socket.AF_INET, fake.address), None, 10.0)
    async with access.connection() as connection:
        await access.ask(connection, framing.request)
        channel = StreamChannel(connection, framing, b"")
        await channel.send(remote, b"hello")
        with pytest.raises(error):
            async with asyncio.timeout(10):
                await channel.receive()
