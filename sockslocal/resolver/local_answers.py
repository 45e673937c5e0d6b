"""Answers that nobody is asked for: fixed addresses, denials, names that never leave the machine.

Each of the classes is what is done with a name and all beneath it. What they deny has a SOA record of our own
beside it, so that clients keep that for a while (RFC 2308 §5), and no longer: the user may change their mind.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from sockslocal.config.model import RuleAction
from sockslocal.resolver.answer import LOCAL, Answer
from sockslocal.resolver.names import to_wire
from sockslocal.resolver.records import AAAA, ANY, ANY_CLASS, DS, IN, NS, PTR, SOA, A, Record, Writer
from sockslocal.resolver.wire import NOERROR, NXDOMAIN, Query

TTL = 60
"""Seconds that clients keep what is said here."""

BLOCKED = 15
"""Code of the extended error (RFC 8914 §4.16)."""

_SOA_NUMBERS = b"".join(number.to_bytes(4, "big") for number in (1, 3600, 1200, 604_800, TTL))
"""Serial, refresh, retry, expire, minimum: RFC 6303 §3 but for the last."""


def _soa(zone: bytes) -> Record:
    """As RFC 6303 §3 has it: the zone is its own name server, and nobody answers for it."""
    return Record(zone, SOA, IN, TTL, b"", (zone, to_wire("nobody.invalid")), _SOA_NUMBERS)


def _answer(
    query: Query,
    source: str,
    records: Sequence[Record],
    authority: Sequence[Record] = (),
    rcode: int = NOERROR,
) -> Answer:
    writer = Writer(query.question)
    for section in (records, authority):
        writer.write(section, [TTL] * len(section))
    return Answer(
        rcode=rcode,
        counts=(len(records), len(authority), 0),
        body=writer.octets,
        ttls=tuple(writer.ttls),
        upstream=source,
        path=LOCAL,
    )


def nothing(query: Query, source: str, zone: bytes | None = None) -> Answer:
    """The name is there, but has nothing of that type."""
    return _answer(query, source, (), (_soa(zone or query.name),))


def _asks(query: Query, rdtype: int) -> bool:
    """Whether `rdtype` of class IN was asked for, among others or alone."""
    return query.rdtype in (rdtype, ANY) and int.from_bytes(query.question[-2:], "big") in (IN, ANY_CLASS)


def _with_addresses(query: Query, addresses: Iterable[bytes]) -> list[Record]:
    """Records of those `addresses`, of 4 or 16 octets, that were asked for."""
    types = ((A if len(address) == 4 else AAAA, address) for address in addresses)
    return [
        Record(query.name, rdtype, IN, TTL, address, (), b"")
        for rdtype, address in types
        if _asks(query, rdtype)
    ]


class AskOthers(NamedTuple):
    """The name is asked for elsewhere; `action` says where."""

    action: RuleAction

    def answer(self, query: Query) -> Answer | None:  # noqa: ARG002  the others have one
        """None: there is no local answer."""
        return None


@dataclass(frozen=True, slots=True)
class Addresses:
    """These are its addresses, 4 or 16 octets each; it has nothing else."""

    addresses: tuple[bytes, ...]
    source: str

    def answer(self, query: Query) -> Answer | None:
        """The addresses of the family asked for."""
        records = _with_addresses(query, self.addresses)
        return _answer(query, self.source, records) if records else nothing(query, self.source)


@dataclass(frozen=True, slots=True)
class Blocked:
    """It is blocked: there is no such name, or it has `addresses` that lead nowhere."""

    zone: bytes
    source: str
    addresses: tuple[bytes, ...] = ()

    def answer(self, query: Query) -> Answer | None:
        """With the reason for who can read it (RFC 8914)."""
        error = BLOCKED, f"blocked by {self.source}"
        records = _with_addresses(query, self.addresses)
        authority = () if records else (_soa(self.zone),)
        rcode = NOERROR if self.addresses else NXDOMAIN
        return msgspec.structs.replace(_answer(query, self.source, records, authority, rcode), error=error)


@dataclass(frozen=True, slots=True)
class NoSuchName:
    """Neither the name nor anything beneath it is in the DNS."""

    zone: bytes
    source: str

    def answer(self, query: Query) -> Answer | None:
        """NXDOMAIN, whatever was asked for."""
        return _answer(query, self.source, (), (_soa(self.zone),), NXDOMAIN)


@dataclass(frozen=True, slots=True)
class EmptyZone:
    """A zone with nothing in it but itself (RFC 6303 §3)."""

    zone: bytes
    source: str

    def answer(self, query: Query) -> Answer | None:
        """None where the question is whether the zone is signed: only its parent knows (RFC 8375 §4)."""
        if query.name != self.zone:
            return _answer(query, self.source, (), (_soa(self.zone),), NXDOMAIN)
        if query.rdtype == DS:
            return None
        records = [_soa(self.zone)] if _asks(query, SOA) else []
        if _asks(query, NS):
            records.append(Record(self.zone, NS, IN, TTL, b"", (self.zone,), b""))
        return _answer(query, self.source, records) if records else nothing(query, self.source)


@dataclass(frozen=True, slots=True)
class Pointer:
    """The name of an address."""

    target: bytes
    source: str

    def answer(self, query: Query) -> Answer | None:
        """One PTR record."""
        if not _asks(query, PTR):
            return nothing(query, self.source)
        return _answer(query, self.source, [Record(query.name, PTR, IN, TTL, b"", (self.target,), b"")])


Treatment = AskOthers | Addresses | Blocked | NoSuchName | EmptyZone | Pointer
