"""Streams through a server inside TLS; those without are tested as the route's."""

import asyncio
import errno
import socket
from collections.abc import Callable, Iterator

import pytest

from fakes.certificates import NAME, Authority
from fakes.engine import POLLERS, turns, until, way_to
from fakes.socks5_server import FakeServer
from fakes.targets import tcp_echo
from fakes.tls_front import TlsFront
from sockslocal.address import Endpoint
from sockslocal.config.model import TlsConfig
from sockslocal.errors import ServerError
from sockslocal.net.dialer import Dial
from sockslocal.net.engine import Engine
from sockslocal.net.poller import Poller
from sockslocal.net.sockets import Socket
from sockslocal.net.streams import open_streams
from sockslocal.net.tls import Tls, TlsSocket
from sockslocal.socks5.messages import Command, Request

TARGET = Endpoint("echo.test", 7)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Who vouches for the server."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def front(authority: Authority) -> Iterator[TlsFront]:
    """A server inside TLS, through which TARGET echoes."""
    with (
        tcp_echo() as echo,
        FakeServer() as server,
        TlsFront(server.address, authority.issue()) as running,
    ):
        server.names[TARGET.host] = echo
        yield running


async def dialled(engine: Engine, front: TlsFront, authority: Authority) -> Dial:
    """A connection to TARGET."""
    dials: list[Dial] = []
    way = way_to(front.address, tls=Tls(TlsConfig(NAME, authority.ca)))
    Dial(engine, way, Request(Command.CONNECT, TARGET), dials.append, lambda _: None).start()
    await until(lambda: dials, "the dial is done")
    return dials[0]


@pytest.mark.parametrize("poller", POLLERS)
async def test_inside_tls(engine: Engine, front: TlsFront, authority: Authority) -> None:
    """A megabyte goes there and back, and the end of one direction leaves the other open."""
    reader, writer = await open_streams(await dialled(engine, front, authority))
    data = bytes(range(256)) * 4096

    async def say() -> None:
        writer.write(data)
        await writer.drain()
        writer.write_eof()

    async with asyncio.timeout(10):
        heard, _ = await asyncio.gather(reader.read(-1), say())
    assert heard == data
    writer.close()
    await writer.wait_closed()
    assert front.errors == []


@pytest.mark.parametrize("poller", POLLERS)
async def test_closing(engine: Engine, front: TlsFront, authority: Authority) -> None:
    """Whoever closes has closed the server's connection too, though the server says nothing to it."""
    _, writer = await open_streams(await dialled(engine, front, authority))
    writer.transport.abort()
    await until(lambda: not engine.poller.watched, "nothing is watched")
    await until(lambda: front.errors, "the server reads the end")


async def test_a_server_that_is_killed(engine: Engine, front: TlsFront, authority: Authority) -> None:
    """The streams end."""
    reader, writer = await open_streams(await dialled(engine, front, authority))
    writer.write(b"hello")
    assert await reader.readexactly(5) == b"hello"
    front.kill()
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()


def _no_pair() -> tuple[socket.socket, socket.socket]:
    raise OSError(errno.EMFILE, "Too many open files")


def _no_room(register: Callable[..., None]) -> Callable[..., None]:
    def full(self: Poller, sock: Socket, ready: Callable[[int], None]) -> None:
        if sock.family == socket.AF_UNIX:
            sock.close()
            raise OSError(errno.ENOSPC, "no space")
        register(self, sock, ready)

    return full


@pytest.mark.parametrize("full", ["process", "poller"])
async def test_no_descriptors(
    engine: Engine, front: TlsFront, authority: Authority, monkeypatch: pytest.MonkeyPatch, full: str
) -> None:
    """Where there are none for a stream, that is the reason; and nothing is left open."""
    dial = await dialled(engine, front, authority)
    assert isinstance(dial.sock, TlsSocket)
    if full == "process":
        monkeypatch.setattr(socket, "socketpair", _no_pair)
    else:
        monkeypatch.setattr(Poller, "register", _no_room(Poller.register))
    with pytest.raises(ServerError) as caught:
        await open_streams(dial)
    assert caught.value.problem.code == "descriptors-exhausted"
    await turns()
    assert dial.sock.fileno() == -1
