"""The sockets to an association's relay.

Each hears nobody but the relay; where the server is known to answer from elsewhere, a second one beside it,
at the same port, hears everybody else.
"""

import errno
import os
import socket
import sys
from collections.abc import Sequence
from typing import Any

from sockslocal.address import Endpoint
from sockslocal.net.binding import DATAGRAM_BUFFER

MOST_QUEUED = 1 << 16
"""A socket with more datagrams than its buffer can hold is being flooded."""


def relay_socket(relay: Endpoint, server: str, here: str) -> socket.socket:
    """A non-blocking socket that hears nobody but `relay`. Raises OSError.

    It speaks from `here`, as the control connection to `server` does, because servers know their client by
    that address; the relay may be elsewhere, where `here` would not do.
    """
    sock = _open(socket.AF_INET6 if ":" in relay.host else socket.AF_INET)
    if relay.host == server:
        _bind(sock, (here, 0))
    connect_relay(sock, relay)
    return sock


def bound_socket() -> socket.socket:
    """A socket whose port is known before the relay is, to be connected to that. Raises OSError."""
    sock = _open(socket.AF_INET)
    _bind(sock, ("", 0))  # to receive from nobody but the relay, once it is connected
    return sock


def connect_relay(sock: socket.socket, relay: Endpoint) -> None:
    """Have `sock` speak with `relay`, and forget what came before. Raises OSError, with `sock` closed.

    Whoever could guess its port may have sent to it until then, and that would be read as the relay's.
    """
    try:
        sock.connect((relay.host, relay.port))
        _drain(sock)
    except OSError:
        sock.close()
        raise


def _drain(sock: socket.socket) -> None:
    for _ in range(MOST_QUEUED):
        try:
            sock.recv(1)
        except BlockingIOError:
            return
        except OSError:  # Windows says so of what is longer
            continue
    raise OSError(errno.ECONNABORTED, os.strerror(errno.ECONNABORTED))


def second_ear(sock: socket.socket) -> socket.socket:
    """A socket at the port of `sock` that hears whoever is not the relay. Raises OSError.

    The port is shared just for the moment: else another program, or user, might come to it and hear instead.
    """
    ear = _open(sock.family)
    both = (sock, ear) if sys.platform == "linux" else ()  # elsewhere it is less exclusive, or of no use
    _share(both, yes=True)  # not before `sock` has its port: it might be given that of another such
    try:
        _bind(ear, sock.getsockname())
    finally:
        _share((sock,) if ear.fileno() < 0 else both, yes=False)
    return ear


def _share(sockets: Sequence[socket.socket], *, yes: bool) -> None:
    for sock in sockets:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, yes)


def _bind(sock: socket.socket, address: tuple[Any, ...]) -> None:
    try:
        sock.bind(address)
    except OSError:
        sock.close()
        raise


def _open(family: int) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, DATAGRAM_BUFFER)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, DATAGRAM_BUFFER)
    except OSError:
        sock.close()
        raise
    return sock
