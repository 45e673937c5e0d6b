"""Which user of this machine is at the other end of a local connection."""

import os
import socket
import struct
import sys
from contextlib import suppress
from pathlib import Path

from sockslocal.net.sockets import Socket
from sockslocal.unix_peer import unix_peer_uid

AVAILABLE = sys.platform == "linux"

_TABLES = (Path("/proc/net/tcp"), False), (Path("/proc/net/tcp6"), True)
_MAPPED = bytes(10) + b"\xff\xff"
"""What stands before an IPv4 address in an IPv6 socket (RFC 4291 §2.5.5.2)."""


def peer_uid(sock: Socket) -> int | None:
    """The user id of the program that made the connection `sock`; None where that cannot be told."""
    if sys.platform != "linux":
        return None
    with suppress(OSError):
        if sock.family == socket.AF_UNIX:
            return unix_peer_uid(sock)
        return _owner(sock.getpeername()[:2], sock.getsockname()[:2])
    return None


def is_ours(sock: Socket) -> bool:
    """Whether a program of this very user made the connection `sock`."""
    return sys.platform != "win32" and peer_uid(sock) == os.getuid()


def _owner(theirs: tuple[str, int], ours: tuple[str, int]) -> int | None:
    """Who holds the socket at `theirs`; a program that speaks IPv4 may do so through an IPv6 socket.

    A line without inode is of a socket that nobody holds any more; its uid is 0, whoever it was.
    """
    for table, wide in _TABLES:
        ends = [_spelling(theirs, wide=wide), _spelling(ours, wide=wide)]
        with table.open() as lines:
            for line in lines:
                _, local, remote, _, _, _, _, uid, _, inode, *_ = line.split()
                if [local, remote] == ends and inode != "0":
                    return int(uid)
    return None


def _spelling(address: tuple[str, int], *, wide: bool) -> str:
    """The address as /proc/net spells it: each word in the machine's byte order, then the port."""
    host = address[0].partition("%")[0]
    if ":" in host:
        packed = socket.inet_pton(socket.AF_INET6, host)
    else:
        packed = (_MAPPED if wide else b"") + socket.inet_aton(host)
    words = struct.unpack(f"={len(packed) // 4}I", packed)
    return "".join(f"{word:08X}" for word in words) + f":{address[1]:04X}"
