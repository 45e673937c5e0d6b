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

from sockslocal.address import Endpoint, ListenAddress, UnixPath
from sockslocal.errors import ListenError

BACKLOG = 1024
DATAGRAM_BUFFER = 4 << 20
"""Octets asked for; the kernel grants what its limits allow."""

Kind = Literal["tcp", "udp", "dns"]


def bind_stream(address: ListenAddress, kind: Kind, name: str) -> socket.socket:
    """A non-blocking listening socket on `address`; raises ListenError for the forward `name`."""
    if isinstance(address, UnixPath):
        return _bind_unix(address, kind, name)
    sock = _bind(address, socket.SOCK_STREAM, kind, name)
    # Linux hands these two on to every accepted socket.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.listen(BACKLOG)
    return sock


def bind_datagram(address: Endpoint, kind: Kind, name: str) -> socket.socket:
    """A non-blocking UDP socket on `address`; raises ListenError for the forward `name`."""
    sock = _bind(address, socket.SOCK_DGRAM, kind, name)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, DATAGRAM_BUFFER)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, DATAGRAM_BUFFER)
    return sock


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


def _bind(address: Endpoint, type_: socket.SocketKind, kind: Kind, name: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        sock = socket.socket(family, type_)
    except OSError as error:
        raise _listen_error(error, address, kind, name) from None
    try:
        sock.setblocking(False)
        if sys.platform == "win32":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        elif type_ is socket.SOCK_STREAM:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family is socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((address.host, address.port))
    except OSError as error:
        sock.close()
        raise _listen_error(error, address, kind, name) from None
    return sock


def _bind_unix(address: UnixPath, kind: Kind, name: str) -> socket.socket:
    if sys.platform == "win32":
        raise ListenError.of(
            "listen-failed",
            kind="forward",
            name=name,
            listen=address,
            reason="Python has no Unix sockets on Windows",
            remedy=f"sockslocal forward set {name} --listen 127.0.0.1:PORT",
        )
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        _remove_stale(address.path)
        umask = os.umask(0o177)
        try:
            sock.bind(address.path)
        finally:
            os.umask(umask)
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise _listen_error(error, address, kind, name) from None
    return sock


def _remove_stale(path: str) -> None:
    """Remove a socket that nobody listens on any more; anything else at `path` stays."""
    with suppress(FileNotFoundError):
        if sys.platform == "win32" or not stat.S_ISSOCK(Path(path).lstat().st_mode):
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(1)
            try:
                probe.connect(path)
            except ConnectionRefusedError:
                Path(path).unlink()


def _listen_error(error: OSError, address: ListenAddress, kind: Kind, name: str) -> ListenError:
    details = {"kind": "resolver" if kind == "dns" else "forward", "name": name, "listen": address}
    if error.errno == errno.EADDRINUSE:
        return ListenError.of(
            "port-in-use", **details, holder=_holder(address, kind), remedy=_remedy(address, kind, name)
        )
    if error.errno == errno.EACCES:
        return ListenError.of("listen-denied", **details, remedy=_remedy(address, kind, name))
    reason = os.strerror(error.errno) if error.errno else str(error)
    return ListenError.of("listen-failed", **details, reason=reason, remedy=_remedy(address, kind, name))


def _holder(address: ListenAddress, kind: Kind) -> str:
    """`postgres (pid 812)`, as far as this user may know."""
    if isinstance(address, UnixPath):
        return "another program"
    import psutil  # 25 ms that only this error needs

    protocol = "udp" if kind == "udp" else "tcp"
    with suppress(psutil.Error, OSError):
        for held in psutil.net_connections(protocol):
            listens = held.status == psutil.CONN_LISTEN or protocol == "udp"
            if held.laddr and held.laddr[1] == address.port and listens and held.pid:
                return f"{psutil.Process(held.pid).name()} (pid {held.pid})"
    return "a program of another user"


def _remedy(address: ListenAddress, kind: Kind, name: str) -> str:
    if isinstance(address, UnixPath):
        return f"remove {address.path}, or choose another path"
    elsewhere = Endpoint(address.host, _free_port_near(address))
    if kind == "dns":
        return f'set listen = "{elsewhere}" in [dns]'
    return f"sockslocal forward set {name} --listen {elsewhere}"


def _free_port_near(address: Endpoint) -> int:
    """A port a user will recognise (5432 → 15432) that is free now."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    for port in (address.port + 10_000, address.port + 20_000, 0):
        with suppress(OSError, OverflowError), socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.bind((address.host, port))
            return int(probe.getsockname()[1])
    return address.port
