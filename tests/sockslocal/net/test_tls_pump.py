"""What is special to a relay with TLS; the contract of all relays is in the folder relay."""

import asyncio
import random
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from fakes.certificates import NAME, Authority
from fakes.engine import POLLERS, until, way_to
from fakes.sockets import closing, fill, tcp_pair
from fakes.socks5_server import FakeServer
from fakes.tls_front import TlsFront
from sockslocal.address import Endpoint
from sockslocal.config.model import TlsConfig
from sockslocal.net.dialer import Dial
from sockslocal.net.engine import Engine
from sockslocal.net.pump import CHUNK, Turn
from sockslocal.net.relay import End, Relay
from sockslocal.net.tls import Tls, TlsSocket
from sockslocal.net.tls_pump import EndingPump
from sockslocal.socks5.messages import Command, Request

MIB = 1 << 20
TARGET = Endpoint("target.test", 7)
VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
DATA = random.Random(2).randbytes(4 * MIB)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Who vouches for the server."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def front(listener: socket.socket, authority: Authority) -> Iterator[TlsFront]:
    """A server inside TLS."""
    with FakeServer() as server, TlsFront(server.address, authority.issue()) as running:
        server.names[TARGET.host] = listener.getsockname()
        yield running


@dataclass
class Tunnel:
    """A program and a target, and what is between them."""

    program: socket.socket
    target: socket.socket
    relay: Relay
    ends: list[End | None]

    async def ended(self) -> End | None:
        await until(lambda: self.ends, "the end of the relay")
        return self.ends[0]


async def tunnel(engine: Engine, front: TlsFront, authority: Authority, listener: socket.socket) -> Tunnel:
    """A relay that was dialled and has begun."""
    dials: list[Dial] = []
    way = way_to(front.address, tls=Tls(TlsConfig(NAME, authority.ca)))
    Dial(
        engine, way, Request(Command.CONNECT, TARGET), dials.append, lambda error: pytest.fail(str(error))
    ).start()
    await until(lambda: dials, "the dial is done")
    program, local = tcp_pair()
    engine.poller.register(local, lambda _: None)
    ends: list[End | None] = []
    relay = Relay(engine, local, dials[0].sock, lambda relay: ends.append(relay.end))
    relay.start(leftover=dials[0].leftover, remote_edges=dials[0].edges)
    target, _ = listener.accept()
    target.setblocking(False)
    return Tunnel(program, target, relay, ends)


async def send(sock: socket.socket, data: bytes) -> None:
    """Send all of `data`, however long it takes."""
    await asyncio.get_running_loop().sock_sendall(sock, data)


async def receive_all(sock: socket.socket) -> bytes:
    """All until the end; raises ConnectionResetError as the peer aborts."""
    found = bytearray()
    async with asyncio.timeout(20):
        while data := await asyncio.get_running_loop().sock_recv(sock, MIB):
            found += data
    return bytes(found)


@pytest.mark.parametrize("poller", POLLERS)
@pytest.mark.parametrize("version", VERSIONS)
async def test_each_direction_ends_on_its_own(
    engine: Engine, front: TlsFront, authority: Authority, listener: socket.socket, version: ssl.TLSVersion
) -> None:
    """The program ends and hears all of what follows; so does the target. Each end is told inside TLS."""
    front.context.maximum_version = version
    for first, second in (("program", "target"), ("target", "program")):
        made = await tunnel(engine, front, authority, listener)
        with closing(made.program, made.target):
            one, other = getattr(made, first), getattr(made, second)
            await send(one, b"question")
            one.shutdown(socket.SHUT_WR)
            assert await receive_all(other) == b"question"
            reading = asyncio.create_task(receive_all(one))
            await send(other, DATA)
            other.shutdown(socket.SHUT_WR)
            assert await reading == DATA
            assert await made.ended() is End.FINISHED
    await until(lambda: front.ends == 2, "both were ended inside TLS")
    assert front.errors == []


async def test_twenty_megabytes(
    engine: Engine, front: TlsFront, authority: Authority, listener: socket.socket
) -> None:
    """Both ways at once, as they were sent."""
    made = await tunnel(engine, front, authority, listener)
    up, down = DATA * 5, DATA[::-1] * 5

    async def say(sock: socket.socket, data: bytes) -> None:
        await send(sock, data)
        sock.shutdown(socket.SHUT_WR)

    with closing(made.program, made.target):
        heard_up, heard_down, _, _ = await asyncio.gather(
            receive_all(made.target), receive_all(made.program), say(made.program, up), say(made.target, down)
        )
        assert heard_up == up
        assert heard_down == down
        assert await made.ended() is End.FINISHED


async def test_a_cut(engine: Engine, front: TlsFront, authority: Authority, listener: socket.socket) -> None:
    """A connection that ends without TLS's end is no end for the program: it reads a reset."""
    front.sends_end = False
    made = await tunnel(engine, front, authority, listener)
    with closing(made.program, made.target):
        await send(made.target, b"half of it")
        assert await asyncio.get_running_loop().sock_recv(made.program, 100) == b"half of it"
        made.target.shutdown(socket.SHUT_WR)
        with pytest.raises(ConnectionResetError):
            await receive_all(made.program)
        assert await made.ended() is End.ABORTED


@pytest.mark.parametrize("poller", POLLERS)
@pytest.mark.parametrize("stalled", ["program", "target"])
async def test_little_is_held_for_who_does_not_read(
    engine: Engine, front: TlsFront, authority: Authority, listener: socket.socket, stalled: str
) -> None:
    """However much there is, a few buffers of it are in memory, and the other way is open."""
    made = await tunnel(engine, front, authority, listener)
    reader, writer = made.program, made.target
    pump = made.relay._down
    if stalled == "target":
        reader, writer, pump = writer, reader, made.relay._up
    remote = made.relay.sockets[1]
    assert isinstance(remote, TlsSocket)
    with closing(made.program, made.target):
        still = 0
        while still < 20:
            moving = fill(writer) or pump.last is not Turn.FULL or not pump.held
            still = 0 if moving else still + 1
            await asyncio.sleep(0.002)
        assert 0 < pump.held <= CHUNK
        assert remote._incoming.pending <= CHUNK
        assert remote._outgoing.pending + len(remote._sealed) <= CHUNK + 1000
        await send(reader, b"still here")
        assert await asyncio.get_running_loop().sock_recv(writer, 100) == b"still here"
        made.relay.abort()


def test_an_end_that_has_to_wait() -> None:
    """Where there is no room for it the pump is full, and tells it as soon as there is."""
    program, local = tcp_pair()
    with closing(program, local):
        program.shutdown(socket.SHUT_WR)
        pump = EndingPump.__new__(EndingPump)
        super(EndingPump, pump).__init__(local, local, None)
        answers = iter([BlockingIOError, BlockingIOError, None])

        def tell_end() -> None:
            if error := next(answers):
                raise error

        pump._tell_end = tell_end
        assert [pump.turn() for _ in range(3)] == [Turn.FULL, Turn.FULL, Turn.ENDED]
