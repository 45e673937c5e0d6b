"""Two joined connections: what one end does, the other sees."""

import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack
from typing import NamedTuple

import pytest

from fakes.socks5_dialer import dial
from fakes.waiting import wait_until
from sockslocal.address import Endpoint
from sockslocal.demo.stage import Stage
from sockslocal.socks5.client import Credentials
from sockslocal.socks5.messages import Command


class Ends(NamedTuple):
    """A client's and a target's end of one relayed connection."""

    client: socket.socket
    target: socket.socket


@pytest.fixture
def ends(stage: Stage, credentials: Credentials) -> Iterator[Ends]:
    """A connection through the server to a listener of the test."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        address = Endpoint(*listener.getsockname())
        client, _ = dial(stage.address, Command.CONNECT, address, credentials)
        target, _ = listener.accept()
        target.settimeout(10)
        yield Ends(stack.enter_context(client), stack.enter_context(target))


def reset(end: socket.socket) -> None:
    """Close `end` with RST."""
    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    end.close()


def test_each_direction_ends_on_its_own(ends: Ends) -> None:
    """After the target's end the client still speaks, and its end is delivered too."""
    ends.target.shutdown(socket.SHUT_WR)
    assert ends.client.recv(1) == b""
    ends.client.sendall(b"late")
    assert ends.target.recv(10) == b"late"
    ends.client.shutdown(socket.SHUT_WR)
    assert ends.target.recv(10) == b""


def test_the_clients_abort_is_the_targets(ends: Ends) -> None:
    """RST from the client arrives as RST."""
    reset(ends.client)
    with pytest.raises(ConnectionResetError):
        ends.target.recv(1)


def test_the_targets_abort_is_the_clients(ends: Ends) -> None:
    """RST from the target arrives as RST."""
    reset(ends.target)
    with pytest.raises(ConnectionResetError):
        ends.client.recv(1)


def test_a_stalled_reader_stops_the_writer(ends: Ends) -> None:
    """Bytes that nobody reads are not collected without end; all arrive once they are read."""
    ends.client.setblocking(False)
    sent = 0
    try:
        while sent < 64 << 20:
            sent += ends.client.send(bytes(65536))
    except BlockingIOError:
        pass
    stalled = sent
    ends.client.settimeout(10)
    received = 0
    while received < stalled:
        received += len(ends.target.recv(1 << 20))
    assert 0 < stalled < 64 << 20
    assert received == stalled


def test_nothing_is_left_of_an_ended_connection(ends: Ends, stage: Stage) -> None:
    """When both ends have closed, the server has forgotten the client."""
    ends.client.close()
    assert ends.target.recv(1) == b""
    ends.target.close()
    wait_until(lambda: not stage.server.clients, seconds=5, what="the client forgotten")
