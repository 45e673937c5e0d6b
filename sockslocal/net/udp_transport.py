"""What carries an association's datagrams: a relay of the server (RFC 1928 §7), or a TCP connection."""

import socket
from collections.abc import Callable
from typing import Protocol

from sockslocal.address import Endpoint
from sockslocal.net.control_connection import ControlConnection
from sockslocal.net.datagram_reader import DatagramReader
from sockslocal.net.datagrams import Batch, send_one
from sockslocal.net.dialer import Dial
from sockslocal.net.engine import Engine
from sockslocal.net.udp_relay_socket import relay_socket, second_ear


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

    `received` gets the relay's datagrams; `control_ended` hears when the server has closed the control
    connection, `refused` when nobody listens at the relay (ICMP).
    """

    def __init__(
        self,
        engine: Engine,
        dial: Dial,
        control_ended: Callable[[], None],
    ) -> None:
        self._engine = engine
        self._control = ControlConnection(engine.poller, dial.sock, control_ended)
        self._server = dial.address[1][0]
        self._reader: DatagramReader | None = None
        self._second: DatagramReader | None = None

    def start(self) -> None:
        """Watch the control connection; it may have ended already."""
        self._control.start()

    def open(
        self,
        relay: Endpoint,
        sock: socket.socket | None,
        received: Callable[[Batch, int], None],
        refused: Callable[[], None],
    ) -> None:
        """Datagrams go to `relay`, through `sock` where that was bound before. Raises OSError."""
        if sock is None:
            here = self._control.sock.getsockname()[0]
            sock = relay_socket(relay, self._server, here)
        else:
            sock.connect((relay.host, relay.port))
        self._reader = DatagramReader(self._engine, sock, received, refused)

    def hear_others(self, received: Callable[[Batch, int], None]) -> None:
        """Take datagrams from elsewhere too. Raises OSError."""
        if self._reader is not None:
            self._second = DatagramReader(self._engine, second_ear(self._reader.sock), received)

    def send(self, header: bytes, batch: Batch, indices: range) -> int:
        return batch.send(self._reader.sock, indices, header=header) if self._reader else 0

    def send_one(self, header: bytes, payload: bytes) -> bool:
        return send_one(self._reader.sock, header + payload) if self._reader else False

    def close(self) -> None:
        self._control.close()
        for reader in (self._reader, self._second):
            if reader is not None:
                reader.close()
