"""Which user of this machine is at the other end of a local connection."""

import enum
import os
import socket
import sys
from contextlib import suppress

from sockslocal.net import sock_diag
from sockslocal.net.sockets import Socket
from sockslocal.unix_peer import unix_peer_uid


class Owner(enum.Enum):
    """Whose a connection is."""

    US = enum.auto()
    OTHER = enum.auto()
    UNKNOWN = enum.auto()
    """The program has closed it already, or the system does not say."""


def available() -> bool:
    """Whether users can be told apart here."""
    return sock_diag.available()


def peer_uid(sock: Socket) -> int | None:
    """The user id of the program that made the connection `sock`; None where that cannot be told."""
    if sys.platform != "linux":
        return None
    with suppress(OSError):
        if sock.family == socket.AF_UNIX:
            return unix_peer_uid(sock)
        return sock_diag.holder(sock.getpeername()[:2], sock.getsockname()[:2])
    return None


def owner(sock: Socket) -> Owner:
    """Whose program made the connection `sock`."""
    uid = peer_uid(sock)
    if sys.platform == "win32" or uid is None:
        return Owner.UNKNOWN
    return Owner.US if uid == os.getuid() else Owner.OTHER
