import contextlib
import socket
from collections.abc import Iterator

import pytest

from fakes.engine import POLLERS, turns, until
from fakes.sockets import closing, reset, tcp_pair
from sockslocal.net import control_connection
from sockslocal.net.control_connection import ControlConnection
from sockslocal.net.engine import Engine
from sockslocal.net.keepalive import REMOTE_IDLE_S
from sockslocal.net.poller import OUT, READABLE

pytestmark = pytest.mark.parametrize("poller", POLLERS, ids=["best", "loop"])


class Watched:
    """A control connection, the server's end of it, and how often it ended."""

    def __init__(self, engine: Engine, sock: socket.socket, server: socket.socket) -> None:
        self.server = server
        self.endings = 0
        engine.poller.register(sock, lambda _: None)
        self.control = ControlConnection(engine.poller, engine.watchdog, sock, self._ended)

    def waiting(self) -> int:
        """How many octets are still to be read."""
        with contextlib.suppress(BlockingIOError):
            return len(self.control.sock.recv(1 << 20, socket.MSG_PEEK))
        return 0

    def _ended(self) -> None:
        self.endings += 1


@pytest.fixture
def watched(engine: Engine) -> Iterator[Watched]:
    """One that nobody watches yet."""
    sock, server = tcp_pair()
    with closing(sock, server):
        yield Watched(engine, sock, server)


@pytest.mark.parametrize("how", ["fin", "rst"])
@pytest.mark.parametrize("before", [False, True])
async def test_its_end_is_told_once(watched: Watched, how: str, *, before: bool) -> None:
    """By FIN or RST, after the watching began or before; then it is closed."""
    if not before:
        watched.control.start()
        await turns()
        assert watched.endings == 0
    if how == "fin":
        watched.server.close()
    else:
        reset(watched.server)
    if before:
        await turns()
        watched.control.start()
    await until(lambda: watched.endings, "the end")
    await turns()
    assert watched.endings == 1
    assert watched.control.sock.fileno() == -1


async def test_what_comes_means_nothing(watched: Watched) -> None:
    """However much, the end behind it is told; and nothing is ever written."""
    watched.control.start()
    for _ in range(50):
        with contextlib.suppress(BlockingIOError):
            watched.server.send(bytes(100_000))
        await turns(1)
    await until(lambda: not watched.waiting(), "all is read")
    assert watched.endings == 0
    with pytest.raises(BlockingIOError):
        watched.server.recv(1)
    watched.server.close()
    await until(lambda: watched.endings, "the end")


async def test_a_flood_is_read_in_turns(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """One share a turn, however often the poller tells that there is more."""
    monkeypatch.setattr(control_connection, "READS", 2)
    watched.server.send(bytes(3 * 4096))
    await until(lambda: watched.waiting() == 3 * 4096, "all has come")
    watched.control.start()
    watched.control._ready(READABLE)
    assert watched.waiting() == 4096
    await until(lambda: not watched.waiting(), "the rest is read")
    watched.control._ready(OUT)
    watched.control.close()


async def test_closed(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is told any more, not even of what had begun."""
    monkeypatch.setattr(control_connection, "READS", 1)
    watched.server.send(bytes(3 * 4096))
    await until(lambda: watched.waiting() == 3 * 4096, "all has come")
    watched.control.start()
    watched.control.close()
    watched.control.close()
    watched.server.close()
    await turns()
    assert watched.endings == 0
    assert watched.control.sock.fileno() == -1


async def test_a_server_that_vanishes_is_noticed(watched: Watched) -> None:
    """By the probes of the system: some servers end the association at any octet."""
    watched.control.start()
    sock = watched.control.sock
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == REMOTE_IDLE_S
    watched.control.close()


async def test_a_server_that_vanished_is_its_end(engine: Engine, watched: Watched) -> None:
    """As the watchdog finds out; told once, and watched no more."""
    watched.control.start()
    assert engine.watchdog._new == {watched.control}
    watched.control.lasts()
    engine.watchdog.leave({"127.0.0.1"})
    engine.watchdog.leave({"127.0.0.1"})
    watched.control.abort()
    assert watched.endings == 1
    assert engine.watchdog._new == set()
