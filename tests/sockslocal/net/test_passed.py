import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from fakes.descriptors import open_descriptors
from fakes.engine import turns
from integration.daemon import dns, section, tcp, udp
from sockslocal.address import Endpoint, UnixPath
from sockslocal.config.load import load
from sockslocal.config.model import Config
from sockslocal.net.binding import bind_datagram, bind_stream
from sockslocal.net.datagram_reader import DatagramReader
from sockslocal.net.datagrams import Batch
from sockslocal.net.engine import Engine
from sockslocal.net.listener import Listener
from sockslocal.net.passed import PassedSockets
from sockslocal.net.sockets import Socket
from sockslocal.service_manager import Passed

STREAM, DATAGRAM = socket.SOCK_STREAM, socket.SOCK_DGRAM
HOME = section("server.home", address="127.0.0.1:1080")


@pytest.fixture
def held() -> Iterator[ExitStack]:
    """What is closed at the end of the test."""
    with ExitStack() as stack:
        yield stack


def made(held: ExitStack, kind: socket.SocketKind = STREAM, host: str = "127.0.0.1") -> socket.socket:
    """A socket as a service manager makes it, which keeps it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = held.enter_context(socket.socket(family, kind))
    sock.bind((host, 0))
    if kind is STREAM:
        sock.listen()
    return sock


def passed(held: ExitStack, *sockets: socket.socket) -> PassedSockets:
    """They are handed over."""
    handed = PassedSockets(Passed(f"number {number}", sock.dup()) for number, sock in enumerate(sockets))
    held.callback(handed.close)
    return handed


def endpoint(sock: socket.socket) -> Endpoint:
    """Where it is bound."""
    return Endpoint(*sock.getsockname()[:2])


def configured(folder: Path, *sections: str) -> Config:
    """As the file says."""
    path = folder / "config.toml"
    path.write_text("\n".join((HOME, *sections)))
    return load(path)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_what_was_handed_over_is_bound_by_its_address(held: ExitStack, host: str) -> None:
    """Ready to be listened on; another address, or the other kind at the same, is bound as always."""
    theirs = made(held, STREAM, host)
    sockets = passed(held, theirs)
    ours = held.enter_context(bind_stream(endpoint(theirs), "tcp", "db", sockets))
    client = held.enter_context(socket.create_connection(theirs.getsockname()[:2]))
    assert not ours.getblocking()
    accepted = held.enter_context(ours.accept()[0])
    assert accepted.getpeername() == client.getsockname()
    assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    other = held.enter_context(bind_stream(Endpoint(host, 0), "tcp", "db", sockets))
    assert endpoint(other) != endpoint(theirs)
    held.enter_context(bind_datagram(endpoint(theirs), "udp", "db", sockets))


def test_datagrams_that_waited_are_received(held: ExitStack) -> None:
    """Those that came before anybody was there."""
    theirs = made(held, DATAGRAM)
    held.enter_context(socket.socket(type=DATAGRAM)).sendto(b"early", theirs.getsockname())
    ours = held.enter_context(bind_datagram(endpoint(theirs), "dns", "dns", passed(held, theirs)))
    assert not ours.getblocking()
    assert ours.recv(10) == b"early"


def test_a_unix_socket_stays_where_it_is(held: ExitStack, tmp_path: Path) -> None:
    """It is the manager's: closing ours leaves the file."""
    path = tmp_path / "socket"
    theirs = held.enter_context(socket.socket(socket.AF_UNIX))
    theirs.bind(str(path))
    theirs.listen()
    sockets = passed(held, theirs)
    for _ in range(2):
        with bind_stream(UnixPath(str(path)), "tcp", "db", sockets) as ours:
            held.enter_context(socket.socket(socket.AF_UNIX)).connect(str(path))
            ours.accept()[0].close()
    assert path.is_socket()


def test_it_can_be_bound_again(held: ExitStack) -> None:
    """When a forward was switched off and on, or a reload has replaced it."""
    theirs = made(held)
    sockets = passed(held, theirs)
    for _ in range(2):
        with bind_stream(endpoint(theirs), "tcp", "db", sockets) as ours:
            held.enter_context(socket.create_connection(endpoint(theirs)))
            ours.accept()[0].close()


def test_what_the_configuration_listens_on_is_kept(held: ExitStack, tmp_path: Path) -> None:
    """For a forward, or for both kinds of the resolver, even those that are switched off for now."""
    stream, datagram = made(held, STREAM), made(held, DATAGRAM)
    both = made(held, DATAGRAM)
    held.enter_context(twin := socket.socket())
    twin.bind(both.getsockname())
    twin.listen()
    sockets = passed(held, stream, datagram, both, twin)
    sockets.keep(
        configured(
            tmp_path,
            tcp("db", endpoint(stream).port, 1, enabled=False),
            udp("game", endpoint(datagram).port, 1),
            dns(endpoint(both).port, "tcp://192.0.2.1"),
        )
    )
    for sock in (stream, datagram, both, twin):
        ours = sockets.get(endpoint(sock), sock.type)
        assert ours is not None
        held.enter_context(ours)


def test_what_it_does_not_listen_on_is_closed_and_told_once(
    held: ExitStack, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Also the wrong kind at the right address, and all addresses where one was meant."""
    datagram, everywhere = made(held, DATAGRAM), made(held, STREAM, "0.0.0.0")
    before = open_descriptors()
    sockets = passed(held, datagram, everywhere)
    config = configured(
        tmp_path, tcp("db", endpoint(datagram).port, 1), tcp("web", endpoint(everywhere).port, 1)
    )
    sockets.keep(config)
    sockets.keep(config)
    assert open_descriptors() == before
    assert sockets.get(endpoint(datagram), DATAGRAM) is None
    for sock in (datagram, everywhere):
        assert caplog.text.count(f"handed over {endpoint(sock)}, which is closed") == 1


def test_what_nobody_can_listen_on_is_closed(held: ExitStack, caplog: pytest.LogCaptureFixture) -> None:
    """A connection, one that does not listen, one that has no name; and a second one at an address."""
    near, far = socket.socketpair()
    held.enter_context(near)
    held.enter_context(far)
    bound = held.enter_context(socket.socket())
    bound.bind(("127.0.0.1", 0))
    nameless = held.enter_context(socket.socket(socket.AF_UNIX, DATAGRAM))
    theirs = made(held)
    sequence = held.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
    passed(held, near, bound, nameless, sequence, theirs, theirs)
    closed = [number for number in range(6) if f"handed over number {number}, which is closed" in caplog.text]
    assert closed == [0, 1, 2, 3, 5]


async def test_one_that_is_closed_is_watched_no_more(engine: Engine, held: ExitStack) -> None:
    """Though the manager has it open: nobody is told of what comes, and it can be watched anew."""
    stream, datagram = made(held, STREAM), made(held, DATAGRAM)
    sockets = passed(held, stream, datagram)
    sender = held.enter_context(socket.socket(type=DATAGRAM))
    accepted: list[Socket] = []
    received: list[bytes] = []

    def accept(sock: Socket) -> None:
        accepted.append(sock)
        sock.close()

    def take(batch: Batch, count: int) -> None:
        received.extend(bytes(batch.payload(index)) for index in range(count))

    for turn in (1, 2):
        ears = bind_stream(endpoint(stream), "tcp", "db", sockets)
        listener = Listener(engine.poller, ears, accept, engine.budget)
        reader = DatagramReader(engine, bind_datagram(endpoint(datagram), "udp", "db", sockets), take)
        held.enter_context(socket.create_connection(endpoint(stream)))
        sender.sendto(b"x", endpoint(datagram))
        await turns()
        assert (len(accepted), len(received)) == (2 * turn - 1, 2 * turn - 1)
        listener.close()
        reader.close()
        events: list[int] = []
        others = [made(held, DATAGRAM), made(held, DATAGRAM)]  # they have the same numbers now
        for other in others:
            other.setblocking(False)
            engine.poller.register(other, events.append)
        await turns()
        events.clear()  # that there is room to send
        held.enter_context(socket.create_connection(endpoint(stream)))
        sender.sendto(b"x", endpoint(datagram))
        await turns()
        assert events == []
        for other in others:
            engine.poller.close(other)
