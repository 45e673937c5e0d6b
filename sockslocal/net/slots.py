"""Which flows one association carries, and whose a datagram from its relay is.

A reply names only the remote (RFC 1928 §7), so two flows may share an association as long as no reply can be
meant for both. A name comes back as an address that only the server knows: unless it has always been the same
one, a flow to a name shares with no other flow to its port.
"""

from collections.abc import Iterator
from typing import Generic, TypeVar

from sockslocal.address import Endpoint, ip_of
from sockslocal.socks5.datagram import encode_header

QUARANTINE_S = 30.0
"""Seconds in which a late answer to a flow that has ended may still come, so its remote is not given away."""

MAX_ALIASES = 8
"""Addresses under which one name may answer at a time; the oldest is forgotten for a new one."""

MAX_RESERVED = 1024
"""Remotes that one association keeps from being given away; then it takes no more flows."""

F = TypeVar("F")


class Slots(Generic[F]):
    """At most `limit` flows, each to a remote of its own; times are seconds of one clock."""

    __slots__ = (
        "_aliases",
        "_by_header",
        "_closed",
        "_late_names",
        "_limit",
        "_ports",
        "_remotes",
        "_reserved",
    )

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._by_header: dict[bytes, F] = {}
        self._remotes: dict[F, Endpoint] = {}
        self._aliases: dict[F, list[Endpoint]] = {}
        """Of each flow to a name the addresses under which it has answered."""
        self._ports: dict[int, dict[F, None]] = {}
        self._reserved: dict[Endpoint, float] = {}
        """Remotes of flows that have ended, and until when they are taken; in the order of that."""
        self._late_names: dict[int, float] = {}
        """Ports at which a name has ended, and until when it may answer from anywhere."""
        self._closed: dict[int, float] = {}
        """Ports at which that may be where another flow goes, so none is taken."""

    def __len__(self) -> int:
        return len(self._remotes)

    def __iter__(self) -> Iterator[F]:
        return iter(list(self._remotes))

    def __contains__(self, flow: F) -> bool:
        return flow in self._remotes

    def takes(self, remote: Endpoint, alias: Endpoint | None, now: float) -> bool:
        """Whether a flow to `remote` has room; `alias` is the one address by which a name always answers."""
        self._release(now)
        full = len(self._remotes) >= self._limit or len(self._reserved) >= MAX_RESERVED
        if full or self._closed.get(remote.port, now) > now:
            return False
        if alias is None and _is_name(remote):
            late = any(place.port == remote.port for place in self._reserved)
            return not late and remote.port not in self._ports
        return self.is_clear(remote.port) and not self._is_taken(remote) and not self._is_taken(alias)

    def add(self, flow: F, remote: Endpoint, alias: Endpoint | None) -> None:
        """Carry `flow`; `takes` has said that there is room."""
        self._remotes[flow] = remote
        self._ports.setdefault(remote.port, {})[flow] = None
        self._by_header[encode_header(remote)] = flow
        if _is_name(remote):
            self._aliases[flow] = []
            if alias is not None:
                self._learn(flow, alias)

    def remove(self, flow: F, now: float) -> None:
        """Carry `flow` no more; its remote stays taken for a while."""
        remote = self._remotes.pop(flow, None)
        if remote is None:
            return
        del self._ports[remote.port][flow]
        if not self._ports[remote.port]:
            del self._ports[remote.port]
        until = now + QUARANTINE_S
        aliases = self._aliases.pop(flow, [])
        for place in (remote, *aliases):
            del self._by_header[encode_header(place)]
            self._reserved[place] = until
        if _is_name(remote):
            self._late_names[remote.port] = until
            if len(aliases) != 1:
                self._closed[remote.port] = until

    def find(self, header: bytes) -> F | None:
        """The flow to which a datagram with this very `header` belongs."""
        return self._by_header.get(header)

    def learn(self, source: Endpoint, now: float) -> list[F]:
        """The flows to names that may be meant by `source`, which no flow is known to talk to.

        If it is just one, it is known to talk to it from now on. What may be a late answer to a flow that
        has ended is nobody's.
        """
        if self._reserved.get(source, now) > now or self._late_names.get(source.port, now) > now:
            return []
        named = [flow for flow in self._ports.get(source.port, ()) if flow in self._aliases]
        if len(named) == 1:
            self._learn(named[0], source)
        return named

    def is_clear(self, port: int) -> bool:
        """Whether it is sure from where all flows to `port` will be answered."""
        return all(len(self._aliases.get(flow, (None,))) == 1 for flow in self._ports.get(port, ()))

    def shares(self, port: int) -> bool:
        """Whether flows share `port`."""
        return len(self._ports.get(port, ())) > 1

    def sole(self, now: float) -> F | None:
        """The only flow that can be meant by anything that comes, if there is just one and was no other."""
        self._release(now)
        return next(iter(self._remotes)) if len(self._remotes) == 1 and not self._reserved else None

    def _learn(self, flow: F, alias: Endpoint) -> None:
        aliases = self._aliases[flow]
        if len(aliases) >= MAX_ALIASES:
            del self._by_header[encode_header(aliases.pop(0))]
        aliases.append(alias)
        self._by_header[encode_header(alias)] = flow

    def _is_taken(self, place: Endpoint | None) -> bool:
        return place is not None and (encode_header(place) in self._by_header or place in self._reserved)

    def _release(self, now: float) -> None:
        """Give free what has been taken for long enough."""
        while self._reserved:
            place = next(iter(self._reserved))
            if self._reserved[place] > now:
                return
            del self._reserved[place]
        self._late_names.clear()
        self._closed.clear()


def _is_name(remote: Endpoint) -> bool:
    return ip_of(remote.host) is None
