"""The control connection over a Unix socket: the kernel says which user is at the other end."""

import os
import socket
import stat
import sys

from sockslocal.control.endpoint import BACKLOG
from sockslocal.control.folder import Folder, only_for_me, unsafe
from sockslocal.unix_peer import unix_peer_uid

NAME = "control.sock"

_PATH_OCTETS = 107 if sys.platform == "linux" else 103  # sun_path without its final NUL


def _stream_socket() -> socket.socket:
    if sys.platform == "win32":
        raise NotImplementedError("Python has no Unix sockets on Windows")
    return socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)


def _is_me(connection: socket.socket) -> bool:
    try:
        return sys.platform != "win32" and unix_peer_uid(connection) == os.geteuid()
    except OSError:
        return False  # it left before it could be asked


class UnixTransport:
    """A socket file in the run-time folder."""

    opening = b""

    def bind(self, folder: Folder) -> socket.socket:
        self._remove_stale(folder)
        listener = _stream_socket()
        try:
            with only_for_me(0o177):  # a socket is not executed
                listener.bind(folder.short_path(NAME, _PATH_OCTETS))
            listener.listen(BACKLOG)
        except BaseException:
            listener.close()
            raise
        return listener

    def _remove_stale(self, folder: Folder) -> None:
        """The lock is held, so a socket that is there belongs to nobody; anything else was planted."""
        mode = folder.mode_of(NAME)
        if mode is not None and not stat.S_ISSOCK(mode):
            path = folder.path / NAME
            raise unsafe(path, "is in the way: it is not a socket", "rm")
        folder.remove(NAME)

    def admits(self, peer: socket.socket) -> bool:
        return _is_me(peer)

    def unbind(self, folder: Folder) -> None:
        folder.remove(NAME)

    def connect(self, folder: Folder, timeout: float) -> socket.socket:
        connection = _stream_socket()
        try:
            connection.settimeout(timeout)
            connection.connect(folder.short_path(NAME, _PATH_OCTETS))
            if not _is_me(connection):
                raise unsafe(folder.path / NAME, "is served by another user")  # noqa: TRY301  closed below
        except BaseException:
            connection.close()
            raise
        return connection
