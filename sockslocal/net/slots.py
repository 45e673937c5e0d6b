"""Which flows one association carries, and whose a datagram from its relay is.

A reply names only the remote (RFC 1928 §7), so two flows may share an association as long as no reply can be
meant for both. A name comes back as an address that only the server knows: until that is learned, a flow to a
name shares with no other flow to its port.
"""

from collections.abc import Collection
from typing import Generic, TypeVar

from sockslocal.address import Endpoint, ip_of
from sockslocal.socks5.datagram import encode_header

QUARANTINE_S = 30.0
"""Seconds in which a late answer to a flow that has ended may still come, so its remote is not given away."""

MAX_ALIASES = 8
"""Addresses under which one name may answer."""

MAX_RESERVED = 1024
"""Remotes that one association keeps from being given away; then it takes no more flows."""

F = TypeVar("F")


class Slots(Generic[F]):
    """At most `limit` flows, each to a remote of its own; times are seconds of one clock."""

    __slots__ = ("_aliases", "_by_header", "_limit", "_names", "_ports", "_remotes", "_reserved")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._by_header: dict[bytes, F] = {}
        self._remotes: dict[F, Endpoint] = {}
        self._aliases: dict[F, list[Endpoint]] = {}
        self._names: dict[int, list[F]] = {}
        """Flows to names, by port."""
        self._ports: dict[int, int] = {}
        """How many flows there are to each port."""
        self._reserved: dict[Endpoint, float] = {}
        """Remotes of flows that have ended, and until when they are taken."""

    def __len__(self) -> int:
        return len(self._remotes)

    @property
    def flows(self) -> list[F]:
        return list(self._remotes)

    def takes(self, remote: Endpoint, known: Collection[Endpoint], now: float) -> bool:
        """Whether a flow to `remote` has room; `known` are the addresses by which a name has answered."""
        self._release(now)
        if len(self._remotes) >= self._limit or len(self._reserved) >= MAX_RESERVED:
            return False
        if ip_of(remote.host) is None and not known:
            taken_ports = {reserved.port for reserved in self._reserved}
            return remote.port not in self._ports and remote.port not in taken_ports
        unknown = any(not self._aliases[flow] for flow in self._names.get(remote.port, ()))
        return not unknown and not any(self._is_taken(place) for place in (remote, *known))

    def add(self, flow: F, remote: Endpoint, known: Collection[Endpoint]) -> None:
        """Carry `flow`; `takes` has said that there is room."""
        self._remotes[flow] = remote
        self._ports[remote.port] = self._ports.get(remote.port, 0) + 1
        self._by_header[encode_header(remote)] = flow
        if ip_of(remote.host) is None:
            self._names.setdefault(remote.port, []).append(flow)
            self._aliases[flow] = []
            for alias in known:
                self._learn(flow, alias)

    def remove(self, flow: F, now: float) -> None:
        """Carry `flow` no more; its remote stays taken for a while."""
        remote = self._remotes.pop(flow, None)
        if remote is None:
            return
        self._ports[remote.port] -= 1
        if not self._ports[remote.port]:
            del self._ports[remote.port]
        places = [remote, *self._aliases.pop(flow, ())]
        if flow in self._names.get(remote.port, ()):
            self._names[remote.port].remove(flow)
            if not self._names[remote.port]:
                del self._names[remote.port]
        for place in places:
            del self._by_header[encode_header(place)]
            self._reserved[place] = now + QUARANTINE_S

    def find(self, header: bytes) -> F | None:
        """The flow to which a datagram with this very `header` belongs."""
        return self._by_header.get(header)

    def learn(self, source: Endpoint) -> F | None:
        """The flow to a name that must be meant by `source`, which no flow is known to talk to; None without.

        A late answer to a flow that has ended is nobody's.
        """
        if source in self._reserved:
            return None
        named = self._names.get(source.port, ())
        if len(named) != 1 or len(self._aliases[named[0]]) >= MAX_ALIASES:
            return None
        self._learn(named[0], source)
        return named[0]

    def _learn(self, flow: F, alias: Endpoint) -> None:
        self._aliases[flow].append(alias)
        self._by_header[encode_header(alias)] = flow

    def _is_taken(self, place: Endpoint) -> bool:
        return encode_header(place) in self._by_header or place in self._reserved

    def _release(self, now: float) -> None:
        """Give free what has been taken for long enough; the oldest stands first."""
        while self._reserved:
            place = next(iter(self._reserved))
            if self._reserved[place] > now:
                return
            del self._reserved[place]
