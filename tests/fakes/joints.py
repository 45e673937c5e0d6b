"""A relay in each of the ways that it may work, and the programs at its ends."""

import asyncio
import dataclasses
import random
import select
import socket
from collections.abc import Callable

import pytest

from fakes.engine import POLLERS, turns, until
from fakes.sockets import fill, tcp_pair
from fakes.tls_front import TlsFront
from sockslocal.net.engine import Engine
from sockslocal.net.poller import Poller
from sockslocal.net.pump import Pump
from sockslocal.net.relay import End, Relay
from sockslocal.net.sockets import Socket
from sockslocal.net.tls import Tls

MIB = 1 << 20

MakePair = Callable[[], tuple[socket.socket, socket.socket]]
MakeFarPair = Callable[[], tuple[Socket, socket.socket]]


class Joint:
    """A relay, with the program at its local end and the server at its remote one."""

    def __init__(self, engine: Engine, make_pair: MakePair, make_far_pair: MakeFarPair = tcp_pair) -> None:
        self.engine = engine
        self.program, self.local = make_pair()
        self.remote, self.server = make_far_pair()
        self.ends: list[End | None] = []
        self.edges = {"local": 0, "remote": 0}
        self.relay = Relay(engine, self.local, self.remote, lambda relay: self.ends.append(relay.end))
        engine.poller.register(self.local, lambda bits: self._note("local", bits))
        engine.poller.register(self.remote, lambda bits: self._note("remote", bits))

    def start(self, leftover: bytes = b"") -> None:
        self.relay.start(
            leftover=leftover, local_edges=self.edges["local"], remote_edges=self.edges["remote"]
        )

    async def end(self) -> End | None:
        await until(lambda: self.ends, "the end of the relay")
        return self.ends[-1]

    def _note(self, side: str, bits: int) -> None:
        self.edges[side] |= bits


@dataclasses.dataclass(frozen=True)
class Way:
    """With which poller a relay works, whether it has pipes, and whether there is TLS before the server."""

    make_poller: Callable[[], Poller]
    splices: bool
    tls: bool = False


WAYS = [Way(make_poller, splices) for make_poller in POLLERS for splices in (True, False)]
WAYS += [Way(make_poller, splices=False, tls=True) for make_poller in POLLERS]

only_best = pytest.mark.parametrize("way", WAYS[:1])
"""For what does not depend on the way."""

PATTERN = random.Random(1).randbytes(MIB + 7)


def some_octets(size: int) -> bytes:
    """`size` octets in which nothing can be out of place unnoticed."""
    return (PATTERN * (size // len(PATTERN) + 1))[:size]


async def send(sock: socket.socket, data: bytes) -> None:
    """Send all of `data`, however long it takes."""
    await asyncio.get_running_loop().sock_sendall(sock, data)


async def receive(sock: socket.socket, size: int) -> bytes:
    """`size` octets, or fewer where the peer ends before; raises ConnectionResetError as the peer aborts."""
    loop, found = asyncio.get_running_loop(), bytearray()
    async with asyncio.timeout(20):
        while len(found) < size and (data := await loop.sock_recv(sock, min(MIB, size - len(found)))):
            found += data
    return bytes(found)


async def receive_all(sock: socket.socket) -> bytes:
    """As `receive`, until the peer ends."""
    return await receive(sock, 1 << 40)


async def read_exactly(sock: socket.socket, data: bytes) -> None:
    """Fail where not `data` is what comes."""
    assert await receive(sock, len(data)) == data


def pumps(joint: Joint) -> tuple[Pump, Pump]:
    """Of the way up and the way down."""
    return joint.relay._up, joint.relay._down


def sides(joint: Joint, first: str) -> tuple[socket.socket, socket.socket]:
    """Both outer sockets, the one named `first` first."""
    pair = (joint.program, joint.server)
    return pair if first == "program" else pair[::-1]


async def until_stalled(joint: Joint, sender: socket.socket) -> int:
    """Send without end until all buffers are full; gives how many octets were taken."""
    taken = still = 0
    while still < 20:
        more = fill(sender)
        taken += more
        still = 0 if more else still + 1
        await asyncio.sleep(0.001)
    return taken


async def send_without_end(sock: socket.socket) -> None:
    """Send until there is an error."""
    while True:
        await send(sock, bytes(1000))
        await turns(1)


def far_pair(front: TlsFront, ours: Tls) -> tuple[Socket, socket.socket]:
    """The relay's remote end, and the server behind TLS."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        front.behind = listener.getsockname()
        remote = ours.wrap(socket.create_connection(front.address))
        while True:
            try:
                remote.handshake()
                break
            except BlockingIOError:
                select.select([remote], [], [], 10)
        server, _ = listener.accept()
    server.setblocking(False)
    return remote, server
