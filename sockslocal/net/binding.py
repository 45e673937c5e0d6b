"""Local sockets to listen on, or one clear error that names who holds the port."""

import errno
import os
import socket
import stat
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Literal, TypeVar

import psutil

from sockslocal.address import Endpoint, ListenAddress, UnixPath
from sockslocal.errors import ListenError
from sockslocal.holders import find_holder
from sockslocal.net.keepalive import LOCAL_IDLE_S, keep_alive
from sockslocal.net.local_address import ask_for_local_address
from sockslocal.net.passed import PassedSockets

BACKLOG = 1024
DATAGRAM_BUFFER = 4 << 20
"""Octets asked for; the kernel grants what its limits allow."""

FIRST_FREE_PORT = 1024
"""Ports below need a privilege on Unix."""

_INTERNET = (socket.AF_INET, socket.AF_INET6)

Kind = Literal["tcp", "udp", "dns"]
Service = Literal["forward", "resolver"]

MAX_HOLDERS = 1024

_holders: dict[tuple[Endpoint, socket.SocketKind], tuple[int, str]] = {}
"""Who held an address, by process number and name, when it was last refused.

To find out, all descriptors of all processes are looked at, and a busy port is tried for ever.
"""


_NOTHING = PassedSockets()


def bind_stream(
    address: ListenAddress, kind: Kind, name: str, passed: PassedSockets = _NOTHING
) -> socket.socket:
    """A non-blocking listening socket on `address`, from what was `passed` where it is among that.

    Raises ListenError for the forward `name`.
    """
    return _bind(address, socket.SOCK_STREAM, kind, name, passed)


def bind_datagram(
    address: Endpoint, kind: Kind, name: str, passed: PassedSockets = _NOTHING
) -> socket.socket:
    """A non-blocking UDP socket on `address`, likewise."""
    return _bind(address, socket.SOCK_DGRAM, kind, name, passed)


A = TypeVar("A")


def bind_all(
    bind: Callable[[A, Kind, str], socket.socket], addresses: Iterable[A], kind: Kind, name: str
) -> list[socket.socket]:
    """`bind` every address, or none and raise ListenError."""
    sockets: list[socket.socket] = []
    try:
        for address in addresses:
            sockets.append(bind(address, kind, name))  # noqa: PERF401  those bound before an error are closed
    except ListenError:
        for sock in sockets:
            sock.close()
        raise
    return sockets


def unwatched(
    error: OSError, sockets: Iterable[socket.socket], name: str, kind: Service = "forward"
) -> ListenError:
    """Close `sockets`, none of which is listened on because one could not be watched; gives what to raise."""
    for sock in sockets:
        sock.close()
    return ListenError.of(
        "listen-failed",
        kind=kind,
        name=name,
        listen="its addresses",
        reason=f"no more sockets can be watched ({_reason(error)})",
        remedy="close connections, or raise fs.epoll.max_user_watches",
    )


def _bind(
    address: ListenAddress, type_: socket.SocketKind, kind: Kind, name: str, passed: PassedSockets
) -> socket.socket:
    sock: socket.socket | None = None
    try:
        sock = passed.get(address, type_) or _bound(address, type_, name)
        _prepare(sock)
    except OSError as error:
        if sock is not None:
            sock.close()
        raise _listen_error(error, address, type_, kind, name) from None
    if isinstance(address, Endpoint):
        _holders.pop((address, type_), None)
    return sock


def _prepare(sock: socket.socket) -> None:
    """Have it listen, as well as it can. Raises OSError."""
    sock.setblocking(False)
    if sock.type is socket.SOCK_STREAM:
        if sock.family in _INTERNET:
            keep_alive(sock, LOCAL_IDLE_S)
        sock.listen(BACKLOG)
    else:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, DATAGRAM_BUFFER)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, DATAGRAM_BUFFER)
        ask_for_local_address(sock)


def _bound(address: ListenAddress, type_: socket.SocketKind, name: str) -> socket.socket:
    """A new one. Raises OSError, and ListenError where there are none of its kind."""
    if isinstance(address, UnixPath):
        return _bound_unix(address, name)
    sock = socket.socket(_family(address), type_)
    try:
        if sys.platform == "win32":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        elif type_ is socket.SOCK_STREAM:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((address.host, address.port))
    except OSError:
        sock.close()
        raise
    return sock


def _family(address: Endpoint) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address.host else socket.AF_INET


def _bound_unix(address: UnixPath, name: str) -> socket.socket:
    if sys.platform == "win32":
        raise ListenError.of(
            "listen-failed",
            kind="forward",
            name=name,
            listen=address,
            reason="Python has no Unix sockets on Windows",
            remedy=f"sockslocal forward set {name} --listen 127.0.0.1:PORT",
        )
    sock = _UnixSocket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _make_way(address.path)
        umask = os.umask(0o177)
        try:
            sock.bind_at(address.path)
        finally:
            os.umask(umask)
    except OSError:
        sock.close()
        raise
    return sock


class _UnixSocket(socket.socket):
    """One that takes its file with it, unless that is another one's by then."""

    _path: str | None = None
    _identity: tuple[int, int] | None = None

    def bind_at(self, path: str) -> None:
        self.bind(path)
        self._path, self._identity = path, _identity(path)

    def close(self) -> None:
        path, self._path = self._path, None
        with suppress(OSError):
            if path is not None and _identity(path) == self._identity:
                Path(path).unlink()
        super().close()


def _identity(path: str) -> tuple[int, int]:
    """The file's device and inode."""
    state = Path(path).lstat()
    return state.st_dev, state.st_ino


def _make_way(path: str) -> None:
    """Remove a socket that nobody listens on any more; anything else at `path` stays and raises OSError."""
    if sys.platform == "win32":
        return
    try:
        mode = Path(path).lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise OSError(errno.EEXIST, "a file is in the way")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        if probe.connect_ex(path) != errno.ECONNREFUSED:
            raise OSError(errno.EEXIST, "another program listens there")
    Path(path).unlink()


def _listen_error(
    error: OSError, address: ListenAddress, type_: socket.SocketKind, kind: Kind, name: str
) -> ListenError:
    details = {"kind": "resolver" if kind == "dns" else "forward", "name": name, "listen": address}
    if isinstance(address, UnixPath):
        remedy = f"remove {address.path}, or choose another path"
        return ListenError.of("listen-failed", **details, reason=_reason(error), remedy=remedy)
    elsewhere = Endpoint(address.host, _free_port_near(address, type_))
    if kind == "dns":
        remedy = f'set listen = "{elsewhere}" in [dns]'
    else:
        remedy = f"sockslocal forward set {name} --listen {elsewhere}"
    if error.errno == errno.EADDRINUSE:
        return ListenError.of("port-in-use", **details, holder=_holder(address, type_), remedy=remedy)
    if error.errno == errno.EACCES and address.port < FIRST_FREE_PORT:
        return ListenError.of("listen-denied", **details, remedy=remedy)
    return ListenError.of("listen-failed", **details, reason=_reason(error), remedy=remedy)


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def _holder(address: Endpoint, type_: socket.SocketKind) -> str:
    """`postgres (pid 812)`, as far as this user may know; as found the first time, while that one lives."""
    known = _holders.get((address, type_))
    if known is None or not psutil.pid_exists(known[0]):
        if len(_holders) >= MAX_HOLDERS:
            _holders.clear()
        _holders[address, type_] = known = _find_holder(address, type_)
    return known[1]


def _find_holder(address: Endpoint, type_: socket.SocketKind) -> tuple[int, str]:
    """The process, and what it is called; where it may not be known, one that lives as long as we do."""
    found = find_holder(address, stream=type_ is socket.SOCK_STREAM)
    return found or (os.getpid(), "another program")


def _free_port_near(address: Endpoint, type_: socket.SocketKind) -> int:
    """A port a user will recognise (5432 → 15432) that is free now."""
    for port in (address.port + 10_000, address.port + 20_000, 0):
        with suppress(OSError, OverflowError), socket.socket(_family(address), type_) as probe:
            probe.bind((address.host, port))
            return int(probe.getsockname()[1])
    return address.port
