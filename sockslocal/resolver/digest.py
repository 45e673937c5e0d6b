"""From an upstream's message to the `Answer` that is kept and served.

Every record is read and written anew, so what leaves here is well-formed whatever came in. Of the answer
section only what answers the question is taken: its name, the names its CNAMEs lead to, and the signatures of
those (RFC 5452 §6). What goes with it is for `scrub`.
"""

from collections.abc import Callable, Generator, Iterator
from functools import partial
from typing import NamedTuple, Self, cast

from sockslocal.resolver import wire
from sockslocal.resolver.answer import DEFINITIVE, Answer
from sockslocal.resolver.errors import UnusableError
from sockslocal.resolver.records import (
    ANY,
    ANY_CLASS,
    CNAME,
    DNAME,
    OPT,
    SIG,
    SOA,
    TSIG,
    Reader,
    Record,
    Writer,
)
from sockslocal.resolver.scrub import in_additional, in_authority, with_parents

MAX_TTL = 86_400
"""Seconds (1 day) anything is kept at most (RFC 8767 §4 allows any such cap)."""

MAX_NEGATIVE_TTL = 3_600
"""Seconds that something does not exist at most (RFC 2308 §5 suggests 1 to 3 hours)."""

MAX_CHAIN = 11
"""CNAMEs that are followed."""

MAX_RECORDS = 1000
"""Of one message; BIND takes 100 of a type, PowerDNS 256 of an RRset. Each costs time whenever it ages."""

_LARGEST = wire.STREAM_LIMIT - 300  # an OPT record with an extended error fits behind it


SLICE = 100
"""Records between two yields: some 0.3 ms of work."""

Unwanted = Callable[[Record], bool]

_LEFT_OUT = 15, "internal addresses were left out"
"""An extended error (RFC 8914 §4.16)."""

_OTHER = 0
"""The code of an extended error that says why by its text alone (RFC 8914 §4.1)."""

_SetKey = tuple[bytes, int, int, int]


class _TooMuch(Exception):  # noqa: N818  what it is
    """An answer that is a failure by what the name's owner wrote, so that no upstream has a better one."""


class _Question(NamedTuple):
    name: bytes
    rdtype: int
    rdclass: int

    @classmethod
    def of(cls, octets: bytes) -> Self:
        """The one that is written as `octets`."""
        return cls(
            octets[:-4].lower(), int.from_bytes(octets[-4:-2], "big"), int.from_bytes(octets[-2:], "big")
        )

    def includes(self, record: Record) -> bool:
        """Whether `record` is of the class asked for."""
        return self.rdclass in (record.rdclass, ANY_CLASS)

    def wants(self, rdtype: int) -> bool:
        """Whether `rdtype` was asked for."""
        return self.rdtype in (rdtype, ANY)


def digest(message: bytes, *, upstream: str, path: str, unwanted: Unwanted | None = None) -> Answer:
    """What `message`, a response to one question, answers, in one go; as `digesting`."""
    steps = digesting(message, upstream=upstream, path=path, unwanted=unwanted)
    while True:
        try:
            next(steps)
        except StopIteration as done:
            return cast(Answer, done.value)


def digesting(
    message: bytes, *, upstream: str, path: str, unwanted: Unwanted | None = None
) -> Generator[None, None, Answer]:
    """What `message`, a response to one question, answers; raises UnusableError.

    Records that are `unwanted` are left out, and then it is no longer what the upstream vouched for.

    Yields after every few records, so that a large message can be a little of work at a time.
    TTLs within an RRset are the lowest of them, those with the highest bit set are 0 (RFC 2181 §5.2, §8).
    Only definitive answers have records; a failure is reduced to its code. What is too much to be taken is
    one too, of the name and not of the upstream: SERVFAIL, with the reason.
    """
    try:
        return (yield from _digesting(message, upstream, path, unwanted))
    except _TooMuch as reason:
        return Answer(rcode=wire.SERVFAIL, error=(_OTHER, str(reason)), upstream=upstream, path=path)


def _digesting(
    message: bytes, upstream: str, path: str, unwanted: Unwanted | None
) -> Generator[None, None, Answer]:
    octets, (answer, authority, additional) = yield from _read(message)
    rcode = wire.rcode(message) | _upper_rcode(additional)
    if rcode not in DEFINITIVE:
        return Answer(rcode=rcode if rcode < 16 else wire.SERVFAIL, upstream=upstream, path=path)
    question = _Question.of(octets)
    chain = _chain(answer, question)
    exists = _answers(answer, chain, question, rcode)
    cacheable = exists or _limit_negative(authority, chain[-1], question)
    above = with_parents(chain)
    answer = yield from _filtered(answer, partial(_belongs, chain, above, question))
    authority = yield from _filtered(authority, in_authority(answer, authority, above, exists=exists))
    additional = yield from _filtered(additional, in_additional(chain, (*answer, *authority)))
    left_out = 0
    if unwanted is not None:
        before = len(answer) + len(additional)
        answer = yield from _without(unwanted, answer)
        additional = yield from _without(unwanted, additional)
        left_out = before - len(answer) - len(additional)
    counts, writer = yield from _write(octets, answer, authority, additional)
    return Answer(
        rcode=rcode,
        authentic=wire.is_authentic(message) and not left_out,
        counts=counts,
        body=writer.octets,
        ttls=tuple(writer.ttls),
        lifetime=min((ttl for _, ttl in writer.ttls), default=0) if cacheable else 0,
        denies_name=rcode == wire.NXDOMAIN and len(chain) == 1,
        aliases=b"".join(chain[1:]),
        error=_LEFT_OUT if left_out else None,
        upstream=upstream,
        path=path,
    )


def _sliced(records: list[Record]) -> Iterator[list[Record]]:
    """The records, a few at a time."""
    return (records[start : start + SLICE] for start in range(0, len(records), SLICE))


def _read(message: bytes) -> Generator[None, None, tuple[bytes, list[list[Record]]]]:
    """The octets of the question, and the three sections; raises UnusableError.

    What has TC set even where a connection has room for all of it is not to be used (RFC 2181 §9).
    """
    if wire.record_count(message) > MAX_RECORDS:
        raise _TooMuch(f"the answer has more than {MAX_RECORDS:,} records")
    try:
        end = wire.question_end(message)
        if wire.is_truncated(message):
            raise UnusableError("truncated answer")
        sections = yield from _read_sections(message, end)
    except wire.MalformedError as error:
        raise UnusableError(f"malformed answer: {error}") from None
    return message[wire.HEADER : end], sections


def _read_sections(message: bytes, start: int) -> Generator[None, None, list[list[Record]]]:
    """The three sections that begin at `start`; raises MalformedError."""
    reader = Reader(message, start)
    sections: list[list[Record]] = []
    for field in (6, 8, 10):
        records: list[Record] = []
        for left in range(int.from_bytes(message[field : field + 2], "big"), 0, -SLICE):
            records += reader.records(min(left, SLICE))
            if left > SLICE:
                yield
        sections.append(records)
    return sections


def _filtered(records: list[Record], wanted: Callable[[Record], bool]) -> Generator[None, None, list[Record]]:
    """Those that are `wanted`."""
    kept: list[Record] = []
    for some in _sliced(records):
        kept += filter(wanted, some)
        if len(some) == SLICE:
            yield
    return kept


def _without(unwanted: Unwanted, records: list[Record]) -> Generator[None, None, list[Record]]:
    """Those that are not `unwanted`."""
    return _filtered(records, lambda record: not unwanted(record))


def _write(question: bytes, *sections: list[Record]) -> Generator[None, None, tuple[tuple[int, ...], Writer]]:
    """The number of records in each section, and the records."""
    writer = Writer(question)
    counts = []
    for records in sections:
        lowest: dict[_SetKey, int] = {}
        for some in _sliced(records):
            _note_ttls(some, lowest)
            if len(some) == SLICE:
                yield
        for some in _sliced(records):
            writer.write(some, [lowest[_set_of(record)] for record in some])
            if len(some) == SLICE:
                yield
        counts.append(len(records))
    if len(writer.octets) > _LARGEST:
        raise _TooMuch("the answer is longer than a message can be")
    return tuple(counts), writer


def _answers(answer: list[Record], chain: list[bytes], question: _Question, rcode: int) -> bool:
    """Whether what was asked for is at the end of the chain; raises UnusableError if it is denied too."""
    ends = chain if question.rdtype == ANY else chain[-1:]
    exists = any(record.owner.lower() in ends and question.wants(record.rdtype) for record in answer)
    if exists and rcode == wire.NXDOMAIN:
        raise UnusableError("answer for a name said not to exist")
    return exists


def _upper_rcode(additional: list[Record]) -> int:
    """The bits of the code that the OPT record has (RFC 6891 §6.1.3)."""
    return next((record.ttl >> 24 << 4 for record in additional if record.rdtype == OPT), 0)


def _chain(answer: list[Record], question: _Question) -> list[bytes]:
    """The question's name and those its CNAMEs lead to (RFC 1034 §3.6.2), in lower case."""
    chain = [question.name]
    if question.rdtype == CNAME:
        return chain
    aliases = {
        record.owner.lower(): record.names[0].lower()
        for record in answer
        if record.rdtype == CNAME and question.includes(record)
    }
    while (target := aliases.get(chain[-1])) is not None:
        chain.append(target)
        if len(chain) > MAX_CHAIN + 1:
            raise _TooMuch(f"the answer has more than {MAX_CHAIN} CNAMEs, or they have no end")
    return chain


def _belongs(chain: list[bytes], above: frozenset[bytes], question: _Question, record: Record) -> bool:
    """Whether a record of the answer section is part of the answer; `above` is the chain and its parents."""
    if not question.includes(record) or not _is_of_a_name(record):
        return False
    owner, rdtype = record.owner.lower(), record.covers or record.rdtype
    if rdtype == DNAME and owner in above:
        return True
    return owner in chain and (rdtype == CNAME or question.wants(rdtype) or question.wants(record.rdtype))


def _is_of_a_name(record: Record) -> bool:
    """Whether `record` does not speak of the message, as OPT, TSIG and SIG(0) do."""
    return record.rdtype not in (OPT, TSIG) and (record.rdtype != SIG or bool(record.covers))


def _limit_negative(authority: list[Record], name: bytes, question: _Question) -> bool:
    """Give the SOA that denies `name` the TTL of that (RFC 2308 §5); False where there is none."""
    zones = with_parents((name,))
    for index, record in enumerate(authority):
        if record.rdtype == SOA and question.includes(record) and record.owner.lower() in zones:
            minimum = int.from_bytes(record.after[-4:], "big")
            authority[index] = record._replace(ttl=min(record.ttl, minimum, MAX_NEGATIVE_TTL))
            return True
    return False


def _set_of(record: Record) -> _SetKey:
    """What the records of one RRset share."""
    return record.owner.lower(), record.rdtype, record.rdclass, record.covers


def _note_ttls(records: list[Record], lowest: dict[_SetKey, int]) -> None:
    """Lower the TTL of each RRset, at most `MAX_TTL`, to what its records say."""
    for record in records:
        key = _set_of(record)
        ttl = record.ttl if record.ttl < 1 << 31 else 0
        lowest[key] = min(ttl, lowest.get(key, MAX_TTL))
