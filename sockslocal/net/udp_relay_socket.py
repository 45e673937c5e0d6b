"""The sockets to an association's relay.

Each hears nobody but the relay; where the server is known to answer from elsewhere, a second one beside it,
at the same port, hears everybody else.
"""

import socket
import sys

from sockslocal.address import Endpoint
from sockslocal.net.binding import DATAGRAM_BUFFER


def relay_socket(relay: Endpoint, server: str, here: str) -> socket.socket:
    """A non-blocking socket that hears nobody but `relay`. Raises OSError.

    It speaks from `here`, as the control connection to `server` does, because servers know their client by
    that address; the relay may be elsewhere, where `here` would not do.
    """
    family = socket.AF_INET6 if ":" in relay.host else socket.AF_INET
    sock = _open(family)
    try:
        if relay.host == server:
            sock.bind((here, 0))
        sock.connect((relay.host, relay.port))
    except OSError:
        sock.close()
        raise
    return sock


def bound_socket() -> socket.socket:
    """A socket whose port is known before the relay is, to be connected to that. Raises OSError."""
    sock = _open(socket.AF_INET)
    try:
        sock.bind(("", 0))  # to receive from nobody but the relay, once it is connected
    except OSError:
        sock.close()
        raise
    return sock


def second_ear(sock: socket.socket) -> socket.socket:
    """A socket at the port of `sock` that hears whoever is not the relay. Raises OSError."""
    ear = _open(sock.family)
    try:
        ear.bind(sock.getsockname())
    except OSError:
        ear.close()
        raise
    return ear


def _open(family: int) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        if sys.platform == "linux":  # elsewhere it is less exclusive, or of no use
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # for the second ear
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, DATAGRAM_BUFFER)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, DATAGRAM_BUFFER)
    except OSError:
        sock.close()
        raise
    return sock
