"""Which user of this machine is at the other end of a local connection."""

import os
import socket
import struct
import sys
from pathlib import Path

AVAILABLE = sys.platform == "linux"

_TABLES = {socket.AF_INET: Path("/proc/net/tcp"), socket.AF_INET6: Path("/proc/net/tcp6")}


def peer_uid(sock: socket.socket) -> int | None:
    """The user id of the program that made the connection `sock`, None where it cannot be told."""
    if sys.platform != "linux":
        return None
    if sock.family == socket.AF_UNIX:
        credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        return int(struct.unpack("3i", credentials)[1])
    theirs, ours = (_spelling(sock.family, address) for address in (sock.getpeername(), sock.getsockname()))
    with _TABLES[socket.AddressFamily(sock.family)].open() as table:
        for line in table:
            fields = line.split()
            if fields[1] == theirs and fields[2] == ours:
                return int(fields[7])
    return None


def is_ours(sock: socket.socket) -> bool:
    """Whether a program of this very user made the connection `sock`."""
    return sys.platform != "win32" and peer_uid(sock) == os.getuid()


def _spelling(family: int, address: tuple[str, int]) -> str:
    """The address as /proc/net/tcp spells it: each word in the machine's byte order, then the port."""
    packed = socket.inet_pton(family, address[0])
    words = struct.unpack(f"={len(packed) // 4}I", packed)
    return "".join(f"{word:08X}" for word in words) + f":{address[1]:04X}"
