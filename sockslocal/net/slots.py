"""Which flows one association carries, and whose a datagram from its relay is.

A reply names only the remote (RFC 1928 §7), so two flows may share an association as long as no reply can be
meant for both. A name comes back as an address that only the server knows, and that may be another one at any
moment: a flow to a name shares with no other flow to its port.
"""

from collections.abc import Iterator
from typing import Generic, TypeVar

from sockslocal.address import Endpoint, ip_of
from sockslocal.socks5.datagram import encode_header

QUARANTINE_S = 30.0
"""Seconds in which a late answer to a flow that has ended may still come, so its remote is not given away."""

MAX_ALIASES = 8
"""Headers by which the answers to one name are found at once; the oldest is forgotten for a new one."""

MAX_RESERVED = 1024
"""Remotes that one association keeps from being given away; then it takes no more flows."""

F = TypeVar("F")


class Slots(Generic[F]):
    """At most `limit` flows, each to a remote of its own; times are seconds of one clock."""

    __slots__ = ("_aliases", "_by_header", "_closed", "_limit", "_named", "_ports", "_remotes", "_reserved")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._by_header: dict[bytes, F] = {}
        self._remotes: dict[F, Endpoint] = {}
        self._ports: dict[int, int] = {}
        """How many flows go to each port."""
        self._named: dict[int, F] = {}
        """Of each port the flow to a name, which is the only one there."""
        self._aliases: dict[F, list[bytes]] = {}
        """Of each flow to a name the headers with which it was answered."""
        self._reserved: dict[Endpoint, float] = {}
        """Remotes of flows that have ended, and until when they are taken; in the order of that."""
        self._closed: dict[int, float] = {}
        """Ports at which a name has ended, and until when it may answer from wherever another flow goes."""

    def __len__(self) -> int:
        return len(self._remotes)

    def __iter__(self) -> Iterator[F]:
        return iter(list(self._remotes))

    def __contains__(self, flow: F) -> bool:
        return flow in self._remotes

    def takes(self, remote: Endpoint, now: float) -> bool:
        """Whether a flow to `remote` has room."""
        self._release(now)
        if len(self._remotes) >= self._limit or len(self._reserved) >= MAX_RESERVED:
            return False
        port = remote.port
        if _is_name(remote):
            return port not in self._ports and all(place.port != port for place in self._reserved)
        if port in self._named or self._closed.get(port, now) > now:
            return False
        return encode_header(remote) not in self._by_header and remote not in self._reserved

    def add(self, flow: F, remote: Endpoint) -> None:
        """Carry `flow`; `takes` has said that there is room."""
        self._remotes[flow] = remote
        self._ports[remote.port] = self._ports.get(remote.port, 0) + 1
        self._by_header[encode_header(remote)] = flow
        if _is_name(remote):
            self._named[remote.port] = flow
            self._aliases[flow] = []

    def remove(self, flow: F, now: float) -> None:
        """Carry `flow` no more; its remote stays taken for a while."""
        remote = self._remotes.pop(flow, None)
        if remote is None:
            return
        port, until = remote.port, now + QUARANTINE_S
        self._ports[port] -= 1
        if not self._ports[port]:
            del self._ports[port]
        for header in (encode_header(remote), *self._aliases.pop(flow, ())):
            del self._by_header[header]
        self._reserved[remote] = until
        if _is_name(remote):
            del self._named[port]
            self._closed[port] = until

    def find(self, header: bytes) -> F | None:
        """The flow to which a datagram with this very `header` belongs, as far as was seen before."""
        return self._by_header.get(header)

    def learn(self, source: Endpoint) -> F | None:
        """The flow to a name that is meant by `source`, which no flow is known to talk to."""
        flow = self._named.get(source.port)
        if flow is not None:
            aliases, header = self._aliases[flow], encode_header(source)
            if len(aliases) >= MAX_ALIASES:
                del self._by_header[aliases.pop(0)]
            aliases.append(header)
            self._by_header[header] = flow
        return flow

    def sole(self, now: float) -> F | None:
        """The only flow that can be meant by anything that comes, if there is just one and was no other."""
        self._release(now)
        return next(iter(self._remotes)) if len(self._remotes) == 1 and not self._reserved else None

    def _release(self, now: float) -> None:
        """Give free what has been taken for long enough."""
        while self._reserved:
            place = next(iter(self._reserved))
            if self._reserved[place] > now:
                return
            del self._reserved[place]
        self._closed.clear()


def _is_name(remote: Endpoint) -> bool:
    return ip_of(remote.host) is None
