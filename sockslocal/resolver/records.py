"""Resource records, read and written by hand (RFC 1035 §3.2, §4.1.3, §4.1.4; RFC 3597).

dnspython takes a third of a millisecond to read and write a common response, many times as long as this, half
a second for the worst legal one, and refuses data of types it knows better. A forwarder passes data on as it
is: all that has to be understood of data is where names may be compressed in it.
"""

import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from sockslocal.resolver.wire import HEADER, MAX_LABEL, MAX_NAME, MalformedError

IN, ANY_CLASS = 1, 255
A, NS, CNAME, SOA, PTR, MX, SIG, AAAA, DNAME, OPT = 1, 2, 5, 6, 12, 15, 24, 28, 39, 41
DS, RRSIG, NSEC, NSEC3, SVCB, HTTPS, TSIG, ANY = 43, 46, 47, 50, 64, 65, 250, 255

MAX_HOPS = 16
"""Compression pointers that a name may follow; more is a chain built to cost time."""

MAX_LABELS = 10_000
"""Labels that are read of one message: a few milliseconds at most."""

_POINTER, _MAX_POINTER = 0xC000, 0x3FFF
_FIXED = struct.Struct("!HHIH")

_COMPRESSED = frozenset({NS, CNAME, SOA, PTR, MX})
"""Types whose names may be compressed by who writes them (RFC 3597 §4)."""


class _Layout(NamedTuple):
    """Where the names are in a type's data; `after` octets follow, None for any number of them."""

    before: int
    names: int
    after: int | None = 0


_LAYOUTS = {
    NS: _Layout(0, 1),
    3: _Layout(0, 1),  # MD
    4: _Layout(0, 1),  # MF
    CNAME: _Layout(0, 1),
    SOA: _Layout(0, 2, 20),
    7: _Layout(0, 1),  # MB
    8: _Layout(0, 1),  # MG
    9: _Layout(0, 1),  # MR
    PTR: _Layout(0, 1),
    14: _Layout(0, 2),  # MINFO
    MX: _Layout(2, 1),
    17: _Layout(0, 2),  # RP
    18: _Layout(2, 1),  # AFSDB
    21: _Layout(2, 1),  # RT
    SIG: _Layout(18, 1, None),
    26: _Layout(2, 2),  # PX
    30: _Layout(0, 1, None),  # NXT
    33: _Layout(6, 1),  # SRV
    36: _Layout(2, 1),  # KX
    DNAME: _Layout(0, 1),
}
"""Types in whose data old servers may compress names (RFC 3597 §4)."""

_NAPTR = 35  # three strings precede its name
_SIZES = {(A, IN): 4, (AAAA, IN): 16}


class Record(NamedTuple):
    """A resource record; names are uncompressed, in the letter case they came in."""

    owner: bytes
    rdtype: int
    rdclass: int
    ttl: int
    before: bytes
    """The data up to its first name; all of it where no name may be compressed."""
    names: tuple[bytes, ...]
    after: bytes
    """The data after its last name."""

    @property
    def covers(self) -> int:
        """The type that is signed, 0 where this is no signature (RFC 4034 §3.1)."""
        return int.from_bytes(self.before[:2], "big") if self.rdtype in (RRSIG, SIG) else 0


def suffixes(name: bytes) -> Iterator[bytes]:
    """The name itself, its parent and so on, without the root."""
    start = 0
    while length := name[start]:
        yield name[start:]
        start += length + 1


class Reader:
    """Reads records from one message; raises MalformedError."""

    def __init__(self, message: bytes, start: int) -> None:
        self._message = message
        self._at = start
        self._known: dict[int, bytes] = {}
        self._labels = 0

    def records(self, count: int) -> list[Record]:
        """The next `count` records."""
        try:
            return [self._record() for _ in range(count)]
        except (IndexError, struct.error):
            raise MalformedError("cut short") from None

    def _record(self) -> Record:
        owner, at = self._name(self._at)
        rdtype, rdclass, ttl, length = _FIXED.unpack_from(self._message, at)
        start = at + _FIXED.size
        self._at = end = start + length
        if end > len(self._message) or _SIZES.get((rdtype, rdclass), length) != length:
            raise MalformedError("data of a wrong length")
        layout = _LAYOUTS.get(rdtype)
        if rdtype == _NAPTR:
            layout = _Layout(self._naptr_strings(start), 1)
        if layout is None:
            return Record(owner, rdtype, rdclass, ttl, self._message[start:end], (), b"")
        return Record(owner, rdtype, rdclass, ttl, *self._parts(start, layout, end))

    def _parts(self, start: int, layout: _Layout, end: int) -> tuple[bytes, tuple[bytes, ...], bytes]:
        """The data from `start` to `end`, cut around its names."""
        first = at = start + layout.before
        names = []
        for _ in range(layout.names):
            name, at = self._name(at)
            names.append(name)
        if at > end or layout.after not in (None, end - at):
            raise MalformedError("data of a wrong length")
        return self._message[start:first], tuple(names), self._message[at:end]

    def _naptr_strings(self, start: int) -> int:
        """Octets before the name: two numbers and three strings (RFC 3403 §4.1)."""
        at = start + 4
        for _ in range(3):
            at += 1 + self._message[at]
        return at - start

    def _name(self, start: int, hops: int = 0) -> tuple[bytes, int]:
        """The name at `start`, and where it ends."""
        message, at = self._message, start
        length = message[at]
        while 0 < length <= MAX_LABEL:
            at += length + 1
            length = message[at]
            self._labels += 1
        end = at + 1
        if length:
            name = message[start:at] + self._pointed(at, start, hops)
            end += 1
        else:
            name = message[start:end]
        if len(name) > MAX_NAME or self._labels > MAX_LABELS:
            raise MalformedError("name, or all names together, too long")
        return name, end

    def _pointed(self, at: int, start: int, hops: int) -> bytes:
        """The name that the pointer at `at` leads to; it must lie before the name that began at `start`."""
        pointer = self._message[at] << 8 | self._message[at + 1]
        known = self._known.get(pointer)
        if known is not None:
            return known
        target = pointer & _MAX_POINTER
        if pointer < _POINTER or not HEADER <= target < start or hops == MAX_HOPS:
            raise MalformedError("compression pointer that leads nowhere")
        name, _ = self._name(target, hops + 1)
        self._known[pointer] = name
        return name


class Writer:
    """Writes records that follow `question`; the names of it and of them are referred to where they recur."""

    def __init__(self, question: bytes) -> None:
        self._octets = bytearray()
        self._start = HEADER + len(question)
        self._known: dict[bytes, bytes] = {}
        self._remember(question[:-4].lower(), HEADER)
        self.ttls: list[tuple[int, int]] = []
        """Where in the octets each TTL is, and what it is."""

    @property
    def octets(self) -> bytes:
        return bytes(self._octets)

    def write(self, records: Iterable[Record], ttls: Iterable[int]) -> None:
        """Append each of `records` with the TTL in its place in `ttls`."""
        octets = self._octets
        for record, ttl in zip(records, ttls, strict=True):
            self._name(record.owner)
            self.ttls.append((len(octets) + 4, ttl))
            octets += _FIXED.pack(record.rdtype, record.rdclass, ttl, 0)
            start = len(octets)
            octets += record.before
            for name in record.names:
                if record.rdtype in _COMPRESSED:
                    self._name(name)
                else:
                    octets += name
            octets += record.after
            octets[start - 2 : start] = (len(octets) - start).to_bytes(2, "big")

    def _name(self, name: bytes) -> None:
        lower, octets = name.lower(), self._octets
        known = self._known.get(lower)
        if known is not None:
            octets += known
            return
        at = len(octets)
        for suffix in suffixes(lower):
            known = self._known.get(suffix)
            if known is not None:
                octets += name[: len(name) - len(suffix)] + known
                break
        else:
            octets += name
        self._remember(lower, self._start + at)

    def _remember(self, name: bytes, at: int) -> None:
        """From now on refer to `name` and its parents at `at`."""
        for suffix in suffixes(name):
            position = at + len(name) - len(suffix)
            if suffix in self._known or position > _MAX_POINTER:
                return
            self._known[suffix] = (_POINTER | position).to_bytes(2, "big")
