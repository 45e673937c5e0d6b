"""DNS servers of the network that the machine is in, asked past the tunnel: only where a rule says `direct:`.

No other module of the resolver opens a socket to anywhere.
"""

import asyncio
import socket
from collections.abc import Callable

from sockslocal.address import Endpoint
from sockslocal.errors import ServerError
from sockslocal.net.datagram_reader import DatagramReader
from sockslocal.net.datagrams import Batch, send_one
from sockslocal.net.engine import Engine


class DirectFlow:
    """A connected UDP socket, with a source port that the system chose: it hears nobody else."""

    def __init__(
        self,
        engine: Engine,
        remote: Endpoint,
        received: Callable[[bytes], None],
        refused: Callable[[], None],
    ) -> None:
        family = socket.AF_INET6 if ":" in remote.host else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_DGRAM)
        try:
            sock.setblocking(False)
            sock.connect((remote.host, remote.port))
        except OSError:
            sock.close()
            raise
        self._received = received
        self._reader = DatagramReader(engine, sock, self._hand_over, refused)

    def send(self, payload: bytes) -> None:
        """Send one datagram, or drop it where that would block."""
        if not self._reader.closed:
            send_one(self._reader.sock, payload)

    def close(self) -> None:
        """Receive no more."""
        self._reader.close()

    def _hand_over(self, batch: Batch, count: int) -> None:
        for index in range(count):
            if not self._reader.closed:
                self._received(bytes(batch.payload(index)))


class DirectWay:
    """In the place of a tunnel; what it is asked for has to be an IP address."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def open_stream(self, target: Endpoint) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A TCP connection. Raises OSError."""
        return await asyncio.open_connection(target.host, target.port, flags=socket.AI_NUMERICHOST)

    def open_flow(
        self,
        remote: Endpoint,
        received: Callable[[bytes], None],
        lost: Callable[[ServerError], None],
    ) -> DirectFlow:
        """A UDP flow. Raises OSError."""
        error = ServerError.of("server-unreachable", address=remote, reason="nobody takes datagrams there")
        return DirectFlow(self._engine, remote, received, lambda: lost(error))
