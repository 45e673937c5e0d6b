"""Where the control connection is, and who may use it.

claim(paths)     the daemon's side: the run-time folder checked, the lock held, a transport to listen on
connect(paths)   a client's side: the same folder checked, a connected socket
holder(paths)    which process has the lock
"""

import socket
import sys
from typing import Protocol, Self

from sockslocal.control.folder import Folder, unsafe
from sockslocal.control.lock import Lock
from sockslocal.control.lock import holder as lock_holder
from sockslocal.errors import ControlError
from sockslocal.paths import Paths

BACKLOG = 128


class Transport(Protocol):
    """How the two sides reach each other, and how the daemon knows its own user."""

    @property
    def opening(self) -> bytes:
        """What every client sends before its first request; only known once `bind` has been called."""

    def bind(self, folder: Folder) -> socket.socket:
        """A socket that listens, and is to be found through `folder`; what a dead daemon left is replaced."""

    def admits(self, peer: socket.socket) -> bool:
        """Whether the process at the other end of an accepted connection may be listened to."""

    def unbind(self, folder: Folder) -> None:
        """Takes away what `bind` left in `folder`."""

    def connect(self, folder: Folder, timeout: float) -> socket.socket:
        """A socket connected to the daemon, `opening` sent; raises OSError where there is none."""


def platform_transport() -> Transport:
    """Unix sockets, or what Windows has in their place."""
    if sys.platform == "win32":
        from sockslocal.control.loopback import LoopbackTransport

        return LoopbackTransport()
    from sockslocal.control.unix import UnixTransport

    return UnixTransport()


class Endpoint:
    """The daemon's side, from `claim` to `close`: the lock is held all the while."""

    def __init__(self, folder: Folder, lock: Lock, transport: Transport) -> None:
        self._folder = folder
        self._lock = lock
        self._transport = transport

    @property
    def opening(self) -> bytes:
        return self._transport.opening

    def listen(self) -> socket.socket:
        """A listening socket that does not block; raises ControlError."""
        try:
            listener = self._transport.bind(self._folder)
        except OSError as error:
            raise unsafe(self._folder.path, f"takes no control socket: {error.strerror}") from None
        listener.setblocking(False)
        return listener

    def admits(self, peer: socket.socket) -> bool:
        return self._transport.admits(peer)

    def close(self) -> None:
        """Takes the way in away first, and only then lets the next daemon make its own."""
        self._transport.unbind(self._folder)
        self._lock.close()
        self._folder.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def claim(paths: Paths, transport: Transport | None = None) -> Endpoint:
    """Makes this process the user's daemon; raises ControlError `already-running` or `folder-unsafe`."""
    folder = Folder(paths.runtime, create=True)
    try:
        return Endpoint(folder, Lock(folder), transport or platform_transport())
    except BaseException:
        folder.close()
        raise


def connect(paths: Paths, timeout: float, transport: Transport | None = None) -> socket.socket:
    """A socket connected to the daemon within `timeout` seconds.

    Raises OSError where nobody listens, ControlError where the folder or the listener is not the user's own.
    """
    with Folder(paths.runtime, create=False) as folder:
        return (transport or platform_transport()).connect(folder, timeout)


def holder(paths: Paths) -> int | None:
    """The process that runs as the user's daemon, `lock.UNKNOWN` where it could not say; None without one."""
    try:
        with Folder(paths.runtime, create=False) as folder:
            return lock_holder(folder)
    except FileNotFoundError:
        return None


def not_running() -> ControlError:
    """The error for a command that needs the daemon."""
    return ControlError.of("not-running")
