import errno
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from fakes.engine import POLLERS, turns, until
from fakes.sockets import reset, tcp_pair
from sockslocal.address import Endpoint
from sockslocal.net import poller as poller_module
from sockslocal.net.datagrams import Batch, PlainBatch, best_batch
from sockslocal.net.engine import Engine
from sockslocal.net.udp_relay_socket import bound_socket
from sockslocal.net.udp_transport import RelayTransport

pytestmark = [
    pytest.mark.parametrize("poller", POLLERS, ids=["best", "loop"]),
    pytest.mark.parametrize("batch", [best_batch, PlainBatch], ids=["best", "plain"]),
]

HEADER = b"\0\0\0\1\xc0\0\2\1\0\7"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop's poller looks for resets more often."""
    monkeypatch.setattr(poller_module, "LOOK_S", 0.01)


def bound(host: str = "127.0.0.1") -> socket.socket:
    """A relay, or somebody else."""
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    sock.settimeout(10)
    sock.bind((host, 0))
    return sock


@dataclass
class Made:
    """A transport, the server's end of its control connection, its relay, and what it has told."""

    engine: Engine
    host: str = "127.0.0.1"
    received: list[bytes] = field(default_factory=list)
    started: bool = False
    endings: int = 0
    refusals: list[Endpoint] = field(default_factory=list)

    def __post_init__(self) -> None:
        control, self.server = tcp_pair(self.host)
        self.relay = bound(self.host)
        self.place = Endpoint(*self.relay.getsockname()[:2])
        self.engine.poller.register(control, lambda _: None)
        dial: Any = SimpleNamespace(sock=control, address=(control.family, (self.host, 1080)))
        self.here = control.getsockname()[0]
        self.transport = RelayTransport(self.engine, dial, self._ended)

    def start(self) -> None:
        """Have it watch the control connection; twice does no harm."""
        if not self.started:
            self.started = True
            self.transport.start()

    def open(self, sock: socket.socket | None = None, *, others: bool = False) -> socket.socket:
        """Open it; gives the socket to the relay."""
        self.start()
        self.transport.open(self.place, sock, self._receive, self.refusals.append, others=others)
        assert self.transport._reader is not None
        return self.transport._reader.sock

    def close(self) -> None:
        self.transport.close()
        self.server.close()
        self.relay.close()

    def _ended(self) -> None:
        self.endings += 1

    def _receive(self, batch: Batch, count: int) -> None:
        self.received += [bytes(batch.payload(index)) for index in range(count)]


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """What is closed at the end."""
    with ExitStack() as made:
        yield made


@pytest.fixture
def made(engine: Engine, stack: ExitStack) -> Made:
    """One that is not open."""
    made = Made(engine)
    stack.callback(made.close)
    return made


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_datagrams_pass_both_ways(engine: Engine, stack: ExitStack, host: str) -> None:
    """Behind their header, from the address of the control connection."""
    made = Made(engine, host)
    stack.callback(made.close)
    made.open()
    assert made.transport.send_one(HEADER, b"ping")
    datagram, client = made.relay.recvfrom(100)
    assert (datagram, client[0]) == (HEADER + b"ping", made.here)
    made.relay.sendto(HEADER + b"pong", client)
    await until(lambda: made.received, "the answer")
    assert made.received == [HEADER + b"pong"]


async def test_a_batch_is_sent_behind_the_header(made: Made) -> None:
    """Those of its datagrams that are meant."""
    made.open()
    made.engine.batch.hold([b"0", b"1", b"", b"3"])
    assert made.transport.send(HEADER, made.engine.batch, range(1, 4)) == 3
    assert [made.relay.recv(100) for _ in range(3)] == [HEADER + b"1", HEADER, HEADER + b"3"]


async def test_what_cannot_go_is_not_taken(made: Made) -> None:
    """What is too large with its header; and anything while it is not open."""
    made.start()
    assert not made.transport.send_one(HEADER, b"ping")
    made.engine.batch.hold([b"ping"])
    assert made.transport.send(HEADER, made.engine.batch, range(1)) == 0
    made.open()
    assert not made.transport.send_one(HEADER, bytes(65_500))
    assert made.transport.send_one(HEADER, b"ping")
    assert made.relay.recv(100) == HEADER + b"ping"


@pytest.mark.parametrize("others", [False, True])
async def test_who_is_heard(made: Made, *, others: bool) -> None:
    """The relay and nobody else, unless others are wanted."""
    client = made.open(others=others).getsockname()
    with bound() as stranger:
        stranger.sendto(b"stranger", client)
    made.relay.sendto(b"relay", client)
    await until(lambda: b"relay" in made.received, "the relay's")
    await turns()
    assert sorted(made.received) == [b"relay", b"stranger"][: 1 + others]


async def test_a_socket_that_was_bound_before_is_used(made: Made) -> None:
    """The server was told its port; it hears nobody but the relay either."""
    sock = bound_socket()
    port = sock.getsockname()[1]
    assert made.open(sock) is sock
    made.transport.send_one(HEADER, b"ping")
    assert made.relay.recvfrom(100)[1][1] == port


async def test_a_relay_that_cannot_be_reached(made: Made) -> None:
    """The error of the system; a socket that was bound before is closed."""
    sock = bound_socket()
    made.place = Endpoint("::1", 9)
    with pytest.raises(OSError, match=r".+"):
        made.open(sock)
    assert sock.fileno() == -1


@pytest.mark.parametrize("others", [False, True])
async def test_no_more_can_be_watched(made: Made, monkeypatch: pytest.MonkeyPatch, *, others: bool) -> None:
    """Neither the first socket nor the second; none is left open."""
    register, left = made.engine.poller.register, [int(others)]

    def refuse(sock: socket.socket, ready: Callable[[int], None]) -> None:
        if not left[0]:
            sock.close()
            raise OSError(errno.ENOSPC, "No space left on device")
        left[0] -= 1
        register(sock, ready)

    monkeypatch.setattr(made.engine.poller, "register", refuse)
    with pytest.raises(OSError, match="No space"):
        made.open(others=others)


async def test_the_end_of_the_control_connection_is_told(made: Made) -> None:
    """Datagrams pass on: whether that is the end is not its to say."""
    made.open()
    made.server.close()
    await until(lambda: made.endings, "the end")
    assert made.transport.send_one(HEADER, b"ping")
    datagram, client = made.relay.recvfrom(100)
    made.relay.sendto(datagram, client)
    await until(lambda: made.received, "the answer")
    assert made.endings == 1


@pytest.mark.parametrize("how", ["fin", "rst"])
async def test_a_relay_may_be_opened_after_the_control_connection_has_ended(made: Made, how: str) -> None:
    """From the same address as before."""
    reset(made.server) if how == "rst" else made.server.close()
    made.start()
    await until(lambda: made.endings, "the end")
    sock = made.open()
    assert sock.getsockname()[0] == made.here


async def test_our_address_may_be_forgotten(engine: Engine, stack: ExitStack) -> None:
    """Some systems do not tell it after a reset; then any will do."""

    def forgotten() -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    with bound() as relay:
        dial: Any = SimpleNamespace(
            sock=SimpleNamespace(getsockname=forgotten), address=(socket.AF_INET, ("127.0.0.1", 1080))
        )
        transport = RelayTransport(engine, dial, lambda: None)
        place = Endpoint(*relay.getsockname())
        transport.open(place, None, lambda *_: None, lambda _: None, others=False)
        assert transport.send_one(HEADER, b"ping")
        assert relay.recv(100) == HEADER + b"ping"
        assert transport._reader is not None
        transport._reader.close()


async def test_nobody_at_the_relay_is_told(made: Made) -> None:
    """With the relay's address (ICMP)."""
    made.open()
    made.relay.close()
    made.transport.send_one(HEADER, b"ping")
    await until(lambda: made.refusals, "the refusal")
    assert made.refusals[0] == made.place


async def test_after_the_end_nothing_is_told(made: Made) -> None:
    """All is closed, and twice does no harm."""
    client = made.open(others=True).getsockname()
    made.relay.sendto(b"late", client)
    made.server.shutdown(socket.SHUT_WR)
    made.transport.close()
    made.transport.close()
    await turns()
    assert (made.received, made.endings, made.refusals) == ([], 0, [])
    assert not made.transport.send_one(HEADER, b"ping")
    made.engine.batch.hold([b"ping"])
    assert made.transport.send(HEADER, made.engine.batch, range(1)) == 0
