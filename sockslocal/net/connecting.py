"""TCP connections to one of several addresses, the first to answer wins (happy eyeballs, RFC 8305)."""

import asyncio
import errno
import os
import socket
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from sockslocal.net.poller import Poller

ATTEMPT_DELAY_S = 0.25
"""RFC 8305 §8: the recommended Connection Attempt Delay."""

SocketAddress = tuple[socket.AddressFamily, tuple[Any, ...]]

_IN_PROGRESS = frozenset({0, errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EAGAIN})


def _open(family: socket.AddressFamily) -> socket.socket:
    """A socket as every connection to a server has it."""
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError:
        sock.close()
        raise
    return sock


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
        connected: Callable[[socket.socket, SocketAddress, int], None],
        failed: Callable[[OSError], None],
    ) -> None:
        self._poller = poller
        self._addresses = list(addresses)
        self._connected = connected
        self._failed = failed
        self._attempts: list[socket.socket] = []
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self._attempt_next()

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

    def _attempt_next(self, error: OSError | None = None) -> None:
        """Begin the next attempt; `error` is why an earlier one failed."""
        self._stop_timer()
        while self._addresses:
            address = self._addresses.pop(0)
            try:
                self._attempt(address)
            except OSError as immediate:
                error = immediate
                continue
            if self._addresses:
                self._timer = self._poller.later(ATTEMPT_DELAY_S, partial(self._attempt_next, error))
            return
        if not self._attempts:
            self._failed(error or OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL)))

    def _attempt(self, address: SocketAddress) -> None:
        family, destination = address
        sock = _open(family)
        code = sock.connect_ex(destination)
        if code in _IN_PROGRESS:
            self._poller.register(sock, partial(self._ready, sock, address))
            self._attempts.append(sock)
        else:
            sock.close()
            raise OSError(code, os.strerror(code))

    def _ready(self, sock: socket.socket, address: SocketAddress, events: int) -> None:
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        self._attempts.remove(sock)
        if code:
            self._poller.close(sock)
            self._attempt_next(OSError(code, os.strerror(code)))
            return
        self.cancel()
        self._connected(sock, address, events)
