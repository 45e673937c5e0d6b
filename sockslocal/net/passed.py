"""Listening sockets that a service manager has bound, as it may where this user may not: below port 1024.

The manager holds them too, so they go on whatever happens here, and what comes meanwhile waits in them.
"""

import logging
import os
import socket
from collections.abc import Iterable, Iterator

from sockslocal.address import Endpoint, ListenAddress, UnixPath, ip_of
from sockslocal.config.model import Config
from sockslocal.service_manager import Passed

_Place = tuple[ListenAddress, int]
"""An address, and whether it takes connections or datagrams, as SOCK_STREAM and SOCK_DGRAM."""

_FAMILIES = (socket.AF_INET, socket.AF_INET6, getattr(socket, "AF_UNIX", socket.AF_INET))

_log = logging.getLogger(__name__)


class PassedSockets:
    """Those that were handed over, by where they listen."""

    def __init__(self, passed: Iterable[Passed] = ()) -> None:
        self._sockets: dict[_Place, socket.socket] = {}
        for name, sock in passed:
            place = _place(sock)
            if place is None or place in self._sockets:
                _refuse(name, sock, "nothing can listen on it, or it came twice")
            else:
                self._sockets[place] = sock

    def keep(self, config: Config) -> None:
        """Close those that `config` has no use for; one that it has is kept, whatever it says later."""
        wanted = set(_wanted(config))
        for place in self._sockets.keys() - wanted:
            _refuse(str(place[0]), self._sockets.pop(place), "the configuration does not listen there")

    def get(self, address: ListenAddress, kind: socket.SocketKind) -> socket.socket | None:
        """A duplicate of the one for that `address`, to be closed by whoever gets it. Raises OSError."""
        sock = self._sockets.get((address, kind))
        return sock.dup() if sock else None

    def close(self) -> None:
        """Let go of all."""
        for sock in self._sockets.values():
            sock.close()
        self._sockets.clear()


def _place(sock: socket.socket) -> _Place | None:
    """Where it listens; None where it does not."""
    if sock.family not in _FAMILIES or sock.type not in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        return None
    try:
        listens = sock.type != socket.SOCK_STREAM or sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        name = sock.getsockname()
    except OSError:
        return None
    if not listens:
        return None
    if isinstance(name, tuple):
        return Endpoint(str(ip_of(name[0])), name[1]), sock.type
    return (UnixPath(os.fsdecode(name)), sock.type) if sock.type == socket.SOCK_STREAM and name else None


def _wanted(config: Config) -> Iterator[_Place]:
    """Where something is to listen, now or when it is switched on."""
    for tcp in config.tcp.values():
        yield from ((address, socket.SOCK_STREAM) for address in tcp.listen)
    for udp in config.udp.values():
        yield from ((address, socket.SOCK_DGRAM) for address in udp.listen)
    for address in config.dns.listen if config.dns else ():
        yield from ((address, socket.SOCK_STREAM), (address, socket.SOCK_DGRAM))


def _refuse(what: str, sock: socket.socket, why: str) -> None:
    sock.close()
    _log.warning("! the service manager handed over %s, which is closed: %s", what or "a socket", why)
