"""What of the authority and additional sections goes with an answer (RFC 2181 §5.4.1, RFC 5452 §6).

Whoever answers for one name could say something of others there. So what is left is what denies a name or
proves that (RFC 2308 §2, RFC 4035 §3.1), a referral, and the addresses of names that the rest speaks of.
"""

from collections.abc import Callable, Iterable
from itertools import chain

from sockslocal.resolver.names import first_name
from sockslocal.resolver.records import (
    AAAA,
    DS,
    HTTPS,
    NS,
    NSEC,
    NSEC3,
    RRSIG,
    SOA,
    SVCB,
    A,
    Record,
    suffixes,
)

_ROOT = b"\0"
_SIGNER = 18  # where RRSIG names it (RFC 4034 §3.1)
_TARGET = 2  # where SVCB names it (RFC 9460 §2.2)

Wanted = Callable[[Record], bool]


def with_parents(names: Iterable[bytes]) -> frozenset[bytes]:
    """`names`, all above them, and the root."""
    return frozenset(chain((_ROOT,), *map(suffixes, names)))


def in_authority(
    answer: Iterable[Record], authority: Iterable[Record], above: frozenset[bytes], *, exists: bool
) -> Wanted:
    """Which records of `authority` go with `answer`; `above` are the names asked for, `with_parents`.

    Name servers and SOA are of no use where what was asked for `exists`. Proofs have names that nobody asked
    for, but within a zone that vouches for what was.
    """
    zones = above & {zone for record in chain(answer, authority) if (zone := _vouching(record))}

    def wanted(record: Record) -> bool:
        rdtype, owner = record.covers or record.rdtype, record.owner.lower()
        if rdtype in (NSEC, NSEC3):
            return not zones.isdisjoint(with_parents((owner,)))
        return not exists and rdtype in (NS, SOA, DS) and owner in above

    return wanted


def in_additional(names: Iterable[bytes], records: Iterable[Record]) -> Wanted:
    """Which go with `records`: addresses of what these speak of, and of the `names` asked for."""
    mentioned = frozenset(name.lower() for name in chain(names, *map(_mentioned, records)))
    return lambda record: (record.covers or record.rdtype) in (A, AAAA) and record.owner.lower() in mentioned


def _vouching(record: Record) -> bytes | None:
    """The zone that `record` is part of, where it says so."""
    if record.rdtype == RRSIG:
        return _name_at(record.before, _SIGNER)
    return record.owner.lower() if record.rdtype == SOA else None


def _mentioned(record: Record) -> tuple[bytes, ...]:
    if record.rdtype in (SVCB, HTTPS):
        return (_name_at(record.before, _TARGET),)
    return record.names


def _name_at(data: bytes, start: int) -> bytes:
    """The name in lower case; empty where there is none, as nobody has read the data before."""
    try:
        return first_name(data[start:]).lower()
    except IndexError:
        return b""
