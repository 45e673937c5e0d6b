"""What carries an association's datagrams: a relay of the server (RFC 1928 §7), or a TCP connection."""

import socket
from asyncio import TimerHandle
from collections.abc import Callable
from functools import partial
from typing import Protocol

from sockslocal.address import Endpoint
from sockslocal.net.control_connection import ControlConnection
from sockslocal.net.datagram_reader import DatagramReader
from sockslocal.net.datagrams import Batch, send_one
from sockslocal.net.dialer import Dial
from sockslocal.net.engine import Engine
from sockslocal.net.sockets import Socket
from sockslocal.net.udp_relay_socket import connect_relay, relay_socket, second_ear

VERDICT_S = 0.1
"""A server that ends both the relay and the control connection may be seen to have ended the relay first."""


class Transport(Protocol):
    """Carries payloads behind the header of RFC 1928 §7, whatever it makes of that on its way."""

    def send(self, header: bytes, batch: Batch, indices: range) -> int:
        """Send the payloads `indices` of `batch`; gives how many were taken."""

    def send_one(self, header: bytes, payload: bytes) -> bool:
        """Send one payload; False where it was dropped."""

    def close(self) -> None:
        """End it; nothing is called any more."""


class RelayTransport:
    """A control connection, and a socket that is connected to the relay.

    `control_ended` hears when the server has closed the control connection; the relay may outlive that.
    """

    def __init__(self, engine: Engine, dial: Dial, control_ended: Callable[[], None]) -> None:
        self._engine = engine
        self._control = ControlConnection(engine.poller, engine.watchdog, dial.sock, control_ended)
        self._server = dial.address[1][0]
        self.here = _host_of(dial.sock)
        """Our address on the control connection, empty where that is not known."""
        self._reader: DatagramReader | None = None
        self._second: DatagramReader | None = None
        self._refused: Callable[[], None] = _nobody
        self._verdict: TimerHandle | None = None

    def start(self) -> None:
        """Watch the control connection; it may have ended already."""
        self._control.start()

    def open(
        self,
        relay: Endpoint,
        sock: socket.socket | None,
        received: Callable[[Batch, int], None],
        refused: Callable[[Endpoint], None],
        *,
        others: bool,
    ) -> None:
        """Datagrams go to `relay`, by `sock` where that was bound before. Raises OSError, with it closed.

        `received` gets what comes from there, and with `others` from elsewhere too; `refused` hears when
        nobody listens there (ICMP), a moment later, as the control connection may be about to end too.
        """
        if sock is None:
            sock = relay_socket(relay, self._server, self.here)
        else:
            connect_relay(sock, relay)
        self._refused = partial(refused, relay)
        self._reader = DatagramReader(self._engine, sock, received, self._judge_later)
        if others:
            self._second = DatagramReader(self._engine, second_ear(sock), received)

    def send(self, header: bytes, batch: Batch, indices: range) -> int:
        return batch.send(self._reader.sock, indices, header=header) if self._reader else 0

    def send_one(self, header: bytes, payload: bytes) -> bool:
        return send_one(self._reader.sock, header + payload) if self._reader else False

    def close(self) -> None:
        if self._verdict is not None:
            self._verdict.cancel()
        self._control.close()
        for reader in (self._reader, self._second):
            if reader is not None:
                reader.close()

    def _judge_later(self) -> None:
        if self._verdict is None:
            self._verdict = self._engine.poller.later(VERDICT_S, self._judge)

    def _judge(self) -> None:
        self._verdict = None
        self._refused()


def _nobody() -> None:
    """Nobody is to be told yet."""


def _host_of(sock: Socket) -> str:
    """Our address on a connection, empty where the system has forgotten it with a reset."""
    try:
        return str(sock.getsockname()[0])
    except OSError:
        return ""
