"""TCP connections to one of several addresses, the first to answer wins (happy eyeballs, RFC 8305)."""

import asyncio
import errno
import os
import socket
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from sockslocal.net.poller import Poller
from sockslocal.net.sockets import Socket, open_socket

ATTEMPT_DELAY_S = 0.25
"""RFC 8305 §8: the recommended Connection Attempt Delay."""

SocketAddress = tuple[int, tuple[Any, ...]]
"""The address family, and the address as that family has it."""

_IN_PROGRESS = frozenset({0, errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EAGAIN})


class Connecting:
    """A race of attempts; calls `connected` with the winner, or `failed` when all have failed.

    The winner is non-blocking and watched by the poller; it is the receiver's to close. It comes with
    its address and the edges that the poller told of it.
    """

    __slots__ = ("_addresses", "_attempts", "_connected", "_failed", "_poller", "_timer")

    def __init__(
        self,
        poller: Poller,
        addresses: Sequence[SocketAddress],
        connected: Callable[[Socket, SocketAddress, int], None],
        failed: Callable[[OSError], None],
    ) -> None:
        self._poller = poller
        self._addresses = list(addresses)
        self._connected = connected
        self._failed = failed
        self._attempts: list[Socket] = []
        self._timer: asyncio.TimerHandle | None = None

    def start(self, error: OSError | None = None) -> None:
        """Begin the next attempt; `error` is why an earlier one failed."""
        self._timer = None
        while self._addresses:
            try:
                self._attempt(self._addresses.pop(0))
            except OSError as immediate:
                error = immediate
                continue
            if self._addresses:
                self._timer = self._poller.later(ATTEMPT_DELAY_S, partial(self.start, error))
            return
        if not self._attempts:
            self._failed(error or OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL)))

    def cancel(self) -> None:
        """Close all attempts; nothing is called any more."""
        self._addresses.clear()
        self._stop_timer()
        while self._attempts:
            self._poller.close(self._attempts.pop())

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _attempt(self, address: SocketAddress) -> None:
        sock = open_socket(address[0], socket.SOCK_STREAM)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            code = sock.connect_ex(address[1])
        except OSError:
            sock.close()
            raise
        if code not in _IN_PROGRESS:
            sock.close()
            raise OSError(code, os.strerror(code))
        self._poller.register(sock, partial(self._ready, sock, address))
        self._attempts.append(sock)

    def _ready(self, sock: Socket, address: SocketAddress, events: int) -> None:
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        self._attempts.remove(sock)
        if code:
            self._poller.close(sock)
            self._stop_timer()
            self.start(OSError(code, os.strerror(code)))
            return
        self.cancel()
        self._connected(sock, address, events)
