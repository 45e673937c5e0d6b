"""DNS messages as octets: what of them is read and written by hand (RFC 1035 §4, RFC 6891).

A query is small and regular, and a cache hit must not cost an object for each of its parts. So its question
stays the slice it is, and all the rest of it (flags and OPT record) is a `Profile`, of which a few distinct
ones describe all clients. What an upstream says after the question is read
by `digest` and `records`.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

HEADER = 12
"""Octets of the header; the question begins there."""

PLAIN_UDP = 512
"""Octets a client without EDNS takes over UDP (RFC 1035 §4.2.1)."""

UDP_PAYLOAD = 1232
"""Octets we take, and the most we send, over UDP: unfragmented on any path (DNS flag day 2020)."""

STREAM_LIMIT = 65_535
"""Octets a length prefix of two octets allows (RFC 1035 §4.2.2)."""

MAX_QUERY = 4096
"""Octets of a query. One question, an OPT record and the most generous padding are far below."""

PLAIN = 512
"""Octets up to which a query is a plain one, whose profile is remembered."""

MAX_NAME = 255
MAX_LABEL = 63

NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED, YXDOMAIN = 0, 1, 2, 3, 4, 5, 6
BADVERS = 16

_SOA, OPT = 6, 41
_ALL_TYPES = bytes(4)
_RECORD = 10  # type, class, TTL, RDLENGTH
_QR, _AA, _TC, _RD = 0x80, 0x04, 0x02, 0x01  # first octet of the flags
_OPCODE = 0x78
_RA, _AD, _CD = 0x80, 0x20, 0x10  # second octet
_DO = 0x80  # first octet of the flags in OPT's TTL

_CASE_BITS = bytes(0x20 if chr(octet).isascii() and chr(octet).isalpha() else 0 for octet in range(256))


class MalformedError(ValueError):
    """Octets that are no DNS message."""


class VersionError(MalformedError):
    """An EDNS version that does not exist yet."""


class Refused(Exception):  # noqa: N818 (an outcome, not a fault of ours)
    """A message that gets no answer; `reply` is what its sender is told, None where it is told nothing."""

    def __init__(self, reply: bytes | None) -> None:
        super().__init__()
        self.reply = reply


class Profile(NamedTuple):
    """All of a query but its id and its question."""

    suffix: bytes
    """What DNSSEC flags add to the cache's key: DO and CD change the answer (RFC 4035 §3.2)."""
    variant: int
    """The flags that make the header of an answer: 1 RD, 2 CD, 4 AD wanted, 8 EDNS."""
    limit: int
    """Octets the client takes over UDP."""
    opt: bytes
    """The OPT record for the reply; empty where the query had none (RFC 6891 §7)."""

    @property
    def recursion(self) -> bool:
        return bool(self.variant & 1)

    @property
    def checking_disabled(self) -> bool:
        return bool(self.variant & 2)

    @property
    def dnssec_ok(self) -> bool:
        return bool(self.opt) and bool(self.opt[7] & _DO)


class Query(NamedTuple):
    """One question of a client."""

    id: bytes
    question: bytes
    """Name, type and class as they were sent, with the client's letter case."""
    profile: Profile

    @property
    def name(self) -> bytes:
        """The name in lower case, in wire format; no length octet (0 to 63) is a letter."""
        return self.question[:-4].lower()

    @property
    def key(self) -> bytes:
        """What equal questions share."""
        return self.name + self.question[-4:] + self.profile.suffix

    @property
    def name_key(self) -> bytes:
        """What the same name of the same class shares over all types.

        It is longer after its name than a `key`, and than any octets that look like a question.
        """
        return self.name + _ALL_TYPES + self.question[-2:] + self.profile.suffix

    @property
    def rdtype(self) -> int:
        return int.from_bytes(self.question[-4:-2], "big")


def header_only(message: bytes, rcode: int) -> bytes:
    """A reply that repeats only id, opcode and RD of `message` (of at least 12 octets)."""
    return message[:2] + bytes((_QR | message[2] & (_OPCODE | _RD), rcode, 0, 0, 0, 0, 0, 0, 0, 0))


def refusal(message: bytes, rcode: int) -> bytes:
    """A reply of only a header, and of an OPT record where `message` has one that can be found.

    Without it the sender would have to think that nobody here knows EDNS (RFC 6891 §7).
    """
    reply = header_only(message, rcode)
    if len(message) > PLAIN or not _has_opt(message):
        return reply
    return reply[:-1] + b"\1" + opt_record(dnssec_ok=False)


def _has_opt(message: bytes) -> bool:
    """Whether one of its records is an OPT, whatever else is wrong with it."""
    questions, *counts = (int.from_bytes(message[at : at + 2], "big") for at in range(4, HEADER, 2))
    try:
        start = question_end(message) if questions == 1 else HEADER
        return questions < 2 and any(
            record.rdtype == OPT and record.owner_octets == 1
            for record in records(message[start:], sum(counts))
        )
    except MalformedError:
        return False


def opt_record(*, dnssec_ok: bool, rcode: int = NOERROR, options: bytes = b"") -> bytes:
    """Our OPT record: version 0, 1232 octets, the upper bits of `rcode` (RFC 6891 §6.1)."""
    return b"".join(
        (
            b"\0\0\x29",
            UDP_PAYLOAD.to_bytes(2, "big"),
            bytes((rcode >> 4, 0, _DO if dnssec_ok else 0, 0)),
            len(options).to_bytes(2, "big"),
            options,
        )
    )


def extended_error(code: int, text: str) -> bytes:
    """The option that says why (RFC 8914 §2)."""
    data = code.to_bytes(2, "big") + text.encode()
    return b"\0\x0f" + len(data).to_bytes(2, "big") + data


def parse_query(message: bytes) -> Query:
    """The query in `message`; raises Refused for all that is not exactly one well-formed question."""
    if len(message) < HEADER or message[2] & _QR:
        raise Refused(None)
    if message[2] & _OPCODE:
        raise Refused(refusal(message, NOTIMP))
    if len(message) > MAX_QUERY:
        raise Refused(header_only(message, FORMERR))
    parse = known_profile if len(message) <= PLAIN else parse_profile
    try:
        end = question_end(message)
        profile = parse(message[2:HEADER], message[end:])
    except VersionError:
        raise Refused(_bad_version(message, end)) from None
    except MalformedError:
        raise Refused(refusal(message, FORMERR)) from None
    return Query(message[:2], message[HEADER:end], profile)


def _bad_version(message: bytes, end: int) -> bytes:
    """The reply that names the version we know, 0 (RFC 6891 §6.1.3)."""
    flags = bytes((_QR | message[2] & _RD, _RA | BADVERS & 15, 0, 1, 0, 0, 0, 0, 0, 1))
    return message[:2] + flags + message[HEADER:end] + opt_record(dnssec_ok=False, rcode=BADVERS)


def asks_one_question(header: bytes) -> bool:
    """Whether `header` is that of a request with one question, whatever its opcode."""
    return not header[2] & _QR and header[4:6] == b"\0\1"


def question_end(message: bytes) -> int:
    """Where the first question ends; raises MalformedError.

    Its name cannot be compressed: nothing precedes it.
    """
    end = HEADER
    try:
        while length := message[end]:
            if length > MAX_LABEL:
                raise MalformedError("label type in a question")
            end += length + 1
    except IndexError:
        raise MalformedError("question cut short") from None
    if end + 1 - HEADER > MAX_NAME:
        raise MalformedError("name longer than 255 octets")
    if end + 5 > len(message):
        raise MalformedError("question cut short")
    return end + 5


def parse_profile(header: bytes, rest: bytes) -> Profile:
    """The profile of a query from octets 2 to 11 and from all after its question; raises MalformedError.

    In the authority section there may be the SOA record of who asks for changes since (RFC 1995 §3).
    """
    serials = header[7]
    if header[0] & (_QR | _OPCODE) or header[2:7] != b"\0\1\0\0\0" or serials > 1:
        raise MalformedError("not one question and nothing else")
    found = list(records(rest, serials + int.from_bytes(header[8:10], "big")))
    if serials and found[0].rdtype != _SOA:
        raise MalformedError("something else than a serial in the authority section")
    opts = [record for record in found if record.rdtype == OPT]
    if len(opts) > 1 or any(record.owner_octets != 1 for record in opts):
        raise MalformedError("more than one OPT record, or one that is not the root's")
    checking_disabled, wants_ad = bool(header[1] & _CD), bool(header[1] & _AD)
    variant = header[0] & _RD | checking_disabled << 1
    if not opts:
        return Profile(bytes((2,)) if checking_disabled else b"", variant | wants_ad << 2, PLAIN_UDP, b"")
    _check_options(rest, opts[0])
    _extended_rcode, version, flags = rest[opts[0].start + 5 : opts[0].start + 8]
    if version:
        raise VersionError
    dnssec_ok = bool(flags & _DO)
    suffix = dnssec_ok | checking_disabled << 1
    return Profile(
        suffix=bytes((suffix,)) if suffix else b"",
        variant=variant | (wants_ad or dnssec_ok) << 2 | 8,
        limit=min(max(opts[0].rdclass, PLAIN_UDP), UDP_PAYLOAD),
        opt=opt_record(dnssec_ok=dnssec_ok),
    )


known_profile = lru_cache(maxsize=512)(parse_profile)
"""As `parse_profile`, for plain queries only: what they end with is kept, 256 KB at the most."""


class _Record(NamedTuple):
    start: int
    owner_octets: int
    rdtype: int
    rdclass: int
    end: int


def records(octets: bytes, count: int) -> Iterator[_Record]:
    """The records that fill `octets` exactly; raises MalformedError."""
    end = 0
    for _ in range(count):
        start = end
        fixed = _skip_name(octets, start)
        end = fixed + _RECORD
        if end > len(octets):
            raise MalformedError("record cut short")
        rdtype, rdclass = octets[fixed : fixed + 2], octets[fixed + 2 : fixed + 4]
        end += int.from_bytes(octets[end - 2 : end], "big")
        yield _Record(
            start, fixed - start, int.from_bytes(rdtype, "big"), int.from_bytes(rdclass, "big"), end
        )
    if end != len(octets):
        raise MalformedError("records cut short, or more than the header says")


def _skip_name(octets: bytes, start: int) -> int:
    """Where the name at `start` ends, its compression not followed."""
    end = start
    try:
        while length := octets[end]:
            if length > MAX_LABEL:
                if length < 0xC0:
                    raise MalformedError("unknown label type")
                return end + 2
            end += length + 1
    except IndexError:
        raise MalformedError("name cut short") from None
    return end + 1


def _check_options(octets: bytes, opt: _Record) -> None:
    """Raises MalformedError unless options fill the record (RFC 6891 §6.1.2)."""
    at = opt.start + 1 + _RECORD
    while at < opt.end:
        at += 4 + int.from_bytes(octets[at + 2 : at + 4], "big")
    if at != opt.end:
        raise MalformedError("options do not fill their record")


def encode_query(question: bytes, *, dnssec_ok: bool, checking_disabled: bool, edns: bool) -> bytes:
    """A query with id 0; AD says that we understand it in the answer (RFC 6840 §5.7)."""
    flags = bytes((_RD, _AD | (_CD if checking_disabled else 0)))
    counts = b"\0\1\0\0\0\0\0\1" if edns else b"\0\1\0\0\0\0\0\0"
    return b"\0\0" + flags + counts + question + (opt_record(dnssec_ok=dnssec_ok) if edns else b"")


def mix_case(question: bytes, noise: bytes) -> bytes:
    """`question` with each letter of its name in the case that `noise` (as long as the name) says: 0x20."""
    name = question[:-4]
    letters = int.from_bytes(name.translate(_CASE_BITS), "big") & int.from_bytes(noise, "big")
    return (int.from_bytes(name, "big") ^ letters).to_bytes(len(name), "big") + question[-4:]


def answers(message: bytes, question: bytes, *, exact: bool) -> bool:
    """Whether `message` is a response to `question`: letter by letter, or whatever the case of its name."""
    end = HEADER + len(question)
    if len(message) < end or message[2] & (_QR | _OPCODE) != _QR or message[4:6] != b"\0\1":
        return False
    echoed = message[HEADER:end]
    if exact:
        return echoed == question
    return echoed[-4:] == question[-4:] and echoed[:-4].lower() == question[:-4].lower()


def is_bare_error(message: bytes) -> bool:
    """Whether `message` is a response of nothing but a header that says what went wrong."""
    return len(message) == HEADER and bool(message[2] & _QR and rcode(message)) and not any(message[4:])


def is_truncated(message: bytes) -> bool:
    """Whether TC is set in `message`."""
    return bool(message[2] & _TC)


def rcode(message: bytes) -> int:
    """The four bits of the header."""
    return message[3] & 15


def record_count(message: bytes) -> int:
    """How many records there are in `message`, as its header says."""
    return sum(int.from_bytes(message[field : field + 2], "big") for field in (6, 8, 10))


def has_records(message: bytes) -> bool:
    """Whether anything but a question is in `message`, an OPT record for instance."""
    return any(message[6:12])


def is_authentic(message: bytes) -> bool:
    """Whether AD is set in `message`."""
    return bool(message[3] & _AD)
