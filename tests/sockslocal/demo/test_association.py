"""UDP associations of the embedded server."""

import socket
from collections.abc import Iterator

import pytest

from fakes.socks5_dialer import UdpSession, dial
from fakes.waiting import wait_until
from sockslocal.address import Endpoint
from sockslocal.demo import association
from sockslocal.demo.stage import Stage
from sockslocal.demo.targets import ECHO, ECHO_PORT, HOSTS
from sockslocal.socks5.client import Credentials
from sockslocal.socks5.datagram import encode_header
from sockslocal.socks5.messages import Command

ECHO_SERVICE = Endpoint(ECHO, ECHO_PORT)


@pytest.fixture
def session(stage: Stage, credentials: Credentials) -> Iterator[UdpSession]:
    """An association of the stage's server."""
    opened = UdpSession.open(stage.address, credentials)
    yield opened
    opened.close()


@pytest.fixture
def target() -> Iterator[socket.socket]:
    """A UDP socket of the test, to be written to through the server."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        opened.bind(("127.0.0.1", 0))
        opened.settimeout(10)
        yield opened


def answers(session: UdpSession) -> bool:
    """Whether the relay still relays; datagrams before are ahead in the queue and were handled."""
    session.send(ECHO_SERVICE, b"still there?")
    session.socket.settimeout(0.2)
    try:
        return session.receive()[1] == b"still there?"
    except TimeoutError:
        return False
    finally:
        session.socket.settimeout(10)


@pytest.mark.parametrize("size", [0, 1, 512, 1400, 9000, 60_000])
def test_echoes_of_every_size(session: UdpSession, size: int) -> None:
    """A datagram comes back whole, from the address that the name stands for."""
    payload = bytes(range(256)) * 235
    session.send(ECHO_SERVICE, payload[:size])
    assert session.receive() == (Endpoint(HOSTS[ECHO], ECHO_PORT), payload[:size])


def test_an_address_is_as_good_as_its_name(session: UdpSession) -> None:
    """The far address leads to the same service."""
    session.send(Endpoint(HOSTS[ECHO], ECHO_PORT), b"by address")
    assert session.receive()[1] == b"by address"


def test_two_remotes_are_told_apart(session: UdpSession, target: socket.socket) -> None:
    """Each answer names the remote that it is from."""
    remote = Endpoint(*target.getsockname())
    session.send(remote, b"question")
    _, relay = target.recvfrom(100)
    target.sendto(b"answer", relay)
    assert session.receive() == (remote, b"answer")
    session.send(ECHO_SERVICE, b"echo")
    assert session.receive() == (Endpoint(HOSTS[ECHO], ECHO_PORT), b"echo")


@pytest.mark.parametrize(
    "datagram",
    [
        b"",
        b"\x00\x00\x00",
        b"\x00\x01" + encode_header(ECHO_SERVICE)[2:] + b"reserved",
        b"\x00\x00\x01" + encode_header(ECHO_SERVICE)[3:] + b"fragment",
        encode_header(Endpoint("nobody.demo.test", 7)) + b"unknown",
        encode_header(Endpoint("198.51.100.1", 7)) + b"elsewhere",
        encode_header(Endpoint(ECHO, 8)) + b"closed",
    ],
    ids=["empty", "truncated", "reserved", "fragment", "unknown name", "elsewhere", "closed port"],
)
def test_unusable_datagrams_are_dropped(session: UdpSession, datagram: bytes) -> None:
    """They neither end the association nor get an answer."""
    session.socket.sendto(datagram, session.relay)
    session.send(ECHO_SERVICE, b"next")
    assert session.receive()[1] == b"next"


def test_the_control_connection_ends_the_association(session: UdpSession) -> None:
    """Once it is closed, the relay is gone."""
    assert answers(session)
    session.control.close()
    wait_until(lambda: not answers(session), seconds=5, what="the relay gone")


def test_talk_on_the_control_connection_is_ignored(session: UdpSession) -> None:
    """Bytes after the reply change nothing."""
    session.control.sendall(b"\x05\x01\x00hello?")
    assert answers(session)


def test_only_remotes_that_were_written_to_are_heard(session: UdpSession, target: socket.socket) -> None:
    """Nobody else gets a datagram to the client through its relay."""
    assert answers(session)
    target.sendto(b"unasked", session.relay)
    session.send(ECHO_SERVICE, b"asked")
    assert session.receive()[1] == b"asked"


def test_only_the_first_sender_is_the_client(session: UdpSession) -> None:
    """A second socket cannot use the association of the first."""
    assert answers(session)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.sendto(encode_header(ECHO_SERVICE) + b"stolen", session.relay)
        assert answers(session)
        stranger.setblocking(False)
        with pytest.raises(BlockingIOError):
            stranger.recv(100)


def test_an_announced_port_is_the_clients(
    stage: Stage, credentials: Credentials, target: socket.socket
) -> None:
    """Where the request named the client's port, nobody is quicker than the client."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
        own.bind(("127.0.0.1", 0))
        own.settimeout(10)
        announced = Endpoint("0.0.0.0", own.getsockname()[1])
        control, relay = dial(stage.address, Command.UDP_ASSOCIATE, announced, credentials)
        with control:
            target.sendto(encode_header(ECHO_SERVICE) + b"stolen", relay)
            own.sendto(encode_header(ECHO_SERVICE) + b"mine", relay)
            assert own.recv(100).endswith(b"mine")


def test_the_longest_unused_remote_is_forgotten(
    monkeypatch: pytest.MonkeyPatch, session: UdpSession, target: socket.socket
) -> None:
    """With more remotes than the limit, the one that was written to longest ago is no longer heard."""
    monkeypatch.setattr(association, "MAX_REMOTES", 1)
    session.send(Endpoint(*target.getsockname()), b"question")
    _, relay = target.recvfrom(100)
    assert answers(session)
    target.sendto(b"too late", relay)
    session.send(ECHO_SERVICE, b"next")
    assert session.receive()[1] == b"next"
