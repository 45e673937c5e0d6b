"""A UDP socket on the running loop. asyncio's own cannot send an empty datagram before Python 3.13."""

import asyncio
import contextlib
import socket
from collections.abc import Callable

from sockslocal.address import Endpoint

_MAX_OCTETS = 65_535
_BATCH = 64
"""Datagrams in one turn, so that no socket keeps the loop for itself."""


class DatagramSocket:
    """Hands each datagram and its sender to `received`; drops what it cannot send, as networks do."""

    def __init__(self, host: str, received: Callable[[bytes, Endpoint], None]) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind((host, 0))
        self._received = received
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket, self._readable)

    @property
    def local(self) -> Endpoint:
        """Where it can be sent to."""
        return Endpoint(*self._socket.getsockname()[:2])

    def send(self, payload: bytes, to: Endpoint) -> None:
        """Send now or never: a full buffer, a wrong address family and an oversized datagram are losses."""
        with contextlib.suppress(OSError):
            self._socket.sendto(payload, to)

    def close(self) -> None:
        self._loop.remove_reader(self._socket)
        self._socket.close()

    def _readable(self) -> None:
        for _ in range(_BATCH):
            try:
                payload, sender = self._socket.recvfrom(_MAX_OCTETS)
            except OSError:  # nothing left, or an ICMP error about what was sent
                return
            self._received(payload, Endpoint(*sender[:2]))
            if self._socket.fileno() < 0:  # closed meanwhile
                return
