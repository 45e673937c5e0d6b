"""The control connection over loopback TCP, where there are no Unix sockets to be had: Windows.

Any user can connect to a loopback port, so each client first shows a token of 256 bits that stands, with the
port, in a file of the run-time folder, which only the daemon's user can read. A browser that is made to
connect shows no token and gets no answer. The file counts only while the lock is held: after a crash the port
may be anybody's.
"""

import os
import socket
import sys
from typing import Annotated

import msgspec

from sockslocal.control.endpoint import BACKLOG
from sockslocal.control.folder import Folder
from sockslocal.control.lock import holder
from sockslocal.errors import ControlError
from sockslocal.secret import Secret

NAME = "control.json"

_TOKEN_OCTETS = 32
_Hex = Annotated[str, msgspec.Meta(pattern=f"^[0-9a-f]{{{2 * _TOKEN_OCTETS}}}$")]
_Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]


class _Way(msgspec.Struct, frozen=True):
    """What the file says."""

    port: _Port
    token: _Hex


class LoopbackTransport:
    """A port of 127.0.0.1 and a token."""

    def __init__(self) -> None:
        self._token = Secret(os.urandom(_TOKEN_OCTETS).hex())

    @property
    def opening(self) -> bytes:
        return self._token.reveal().encode("ascii") + b"\n"

    def bind(self, folder: Folder) -> socket.socket:
        folder.remove(NAME)
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            if sys.platform == "win32":
                # or another process could bind the same port and take our clients
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
            listener.bind(("127.0.0.1", 0))
            listener.listen(BACKLOG)
            way = _Way(listener.getsockname()[1], self._token.reveal())
            folder.write_file(NAME, msgspec.json.encode(way))
        except BaseException:
            listener.close()
            raise
        return listener

    def admits(self, _peer: socket.socket) -> bool:
        """Anyone may connect; `opening` decides."""
        return True

    def unbind(self, folder: Folder) -> None:
        folder.remove(NAME)

    def connect(self, folder: Folder, timeout: float) -> socket.socket:
        if holder(folder) is None:
            raise ConnectionRefusedError("nobody holds the lock")
        way = self._read(folder)
        connection = socket.create_connection(("127.0.0.1", way.port), timeout)
        try:
            connection.sendall(way.token.encode("ascii") + b"\n")
        except BaseException:
            connection.close()
            raise
        return connection

    def _read(self, folder: Folder) -> _Way:
        descriptor = folder.open_file(NAME, os.O_RDONLY)
        try:
            return msgspec.json.decode(os.read(descriptor, 1024), type=_Way)
        except msgspec.DecodeError:
            raise ControlError.of(
                "folder-unsafe",
                path=folder.path / NAME,
                reason="does not say where the daemon is",
                remedy="sockslocal restart",
            ) from None
        finally:
            os.close(descriptor)
