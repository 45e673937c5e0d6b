"""Which user is at the other end of a Unix socket: the kernel knows."""

import socket
import struct
import sys

_SOL_LOCAL = 0  # macOS's unix(4); the socket module does not name it


def unix_peer_uid(connection: socket.SocketType) -> int:
    """The user at the other end: of a client the one that connected, of a server the one that listens.

    Raises OSError, and NotImplementedError where the system does not say.
    """
    if sys.platform == "linux":
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("=iII"))
        _pid, uid, _gid = struct.unpack("=iII", credentials)  # struct ucred, unix(7)
        return int(uid)
    if sys.platform == "darwin":
        credentials = connection.getsockopt(_SOL_LOCAL, socket.LOCAL_PEERCRED, 76)
        _version, uid = struct.unpack_from("=II", credentials)  # struct xucred, <sys/ucred.h>
        return int(uid)
    raise NotImplementedError(f"{sys.platform} does not say who is at the other end of a socket")
