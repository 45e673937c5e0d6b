"""How TCP connections are kept: small messages are not delayed, and a peer that has gone is noticed."""

import socket
from contextlib import suppress
from typing import Any

from sockslocal.net.sockets import Socket

REMOTE_IDLE_S = 15
"""Silence after which a server is asked whether it is there, before middleboxes forget the connection."""

LOCAL_IDLE_S = 60
"""The same for local programs, which vanish only when half closed, or where they are on other machines."""

INTERVAL_S, PROBES = 5, 3
"""A peer is given up that leaves so many questions unanswered."""

_options: Any = vars(socket)
_IDLE = _options.get("TCP_KEEPIDLE") or _options.get("TCP_KEEPALIVE")  # what macOS calls it
_FIXED = tuple(
    (_options[name], value)
    for name, value in (("TCP_NODELAY", 1), ("TCP_KEEPINTVL", INTERVAL_S), ("TCP_KEEPCNT", PROBES))
    if name in _options
)


def keep_alive(sock: Socket, idle_s: int) -> None:
    """Set up a TCP socket, or a listening one, which hands the options on to what it accepts.

    From then on urgent octets stay in the stream (RFC 6093 §5), without their mark. On a server's connection
    that is once it has lasted: who still uses them, as telnet does, lasts; others are spared the call.
    """
    with suppress(OSError):  # macOS refuses where the connection has just ended: that one needs it no more
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if _IDLE is not None:
            sock.setsockopt(socket.IPPROTO_TCP, _IDLE, idle_s)
        for option, value in _FIXED:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
