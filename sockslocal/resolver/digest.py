"""From an upstream's message to the `Answer` that is kept and served.

dnspython reads and writes the message, so what leaves here is well-formed whatever came in. Of the answer
section only what answers the question is taken: its name, the names its CNAMEs lead to, and the signatures of
those (RFC 5452 §6).
"""

import io
import struct

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from sockslocal.resolver.answer import DEFINITIVE, Answer
from sockslocal.resolver.errors import UnusableError
from sockslocal.resolver.wire import HEADER, NXDOMAIN, ttl_fields

MAX_TTL = 86_400
"""Seconds (1 day) anything is kept at most (RFC 8767 §4 allows any such cap)."""

MAX_NEGATIVE_TTL = 3_600
"""Seconds that something does not exist at most (RFC 2308 §5 suggests 1 to 3 hours)."""

MAX_CHAIN = 11
"""CNAMEs that are followed."""

_LARGEST = 65_535 - 64  # room for our OPT record


def digest(message: bytes, *, upstream: str, path: str) -> Answer:
    """What `message`, a response to one question, answers; raises UnusableError.

    TTLs within an RRset are the lowest of them, those with the highest bit set are 0 (RFC 2181 §5.2, §8).
    Only definitive answers have records; a failure is reduced to its code.
    """
    try:
        parsed = dns.message.from_wire(message, keyring=False, ignore_trailing=True)
        rcode = int(parsed.rcode())
        if rcode not in DEFINITIVE:
            return Answer(rcode=_plain(rcode), upstream=upstream, path=path)
        return _digest(parsed, upstream, path)
    except dns.exception.DNSException as error:
        raise UnusableError(f"malformed answer ({type(error).__name__})") from None


def _plain(rcode: int) -> int:
    """A code that fits in a header; the extended ones are between us and the upstream."""
    return rcode if rcode < 16 else int(dns.rcode.SERVFAIL)


def _digest(parsed: dns.message.Message, upstream: str, path: str) -> Answer:
    question = parsed.question[0]
    chain = _chain(parsed, question)
    exists = any(rrset.name == chain[-1] and _is_wanted(rrset, question) for rrset in parsed.answer)
    if exists and parsed.rcode() == NXDOMAIN:
        raise UnusableError("answer for a name said not to exist")
    answer = [rrset for rrset in parsed.answer if _belongs(rrset, chain, question)]
    kept = answer + parsed.authority + parsed.additional
    for rrset in kept:
        rrset.ttl = min(rrset.ttl, MAX_TTL)
    cacheable = exists or _limit_negative(parsed.authority, chain[-1], question.rdclass)
    counts, body = _render(question, answer, parsed.authority, parsed.additional)
    return Answer(
        rcode=int(parsed.rcode()),
        authentic=bool(parsed.flags & dns.flags.AD),
        counts=counts,
        body=body,
        ttls=ttl_fields(body, sum(counts)),
        lifetime=min((rrset.ttl for rrset in kept), default=0) if cacheable else 0,
        denies_name=parsed.rcode() == NXDOMAIN and len(chain) == 1,
        upstream=upstream,
        path=path,
    )


def _chain(parsed: dns.message.Message, question: dns.rrset.RRset) -> list[dns.name.Name]:
    """The question's name and those its CNAMEs lead to (RFC 1034 §3.6.2)."""
    aliases = {
        rrset.name: rrset[0].target
        for rrset in parsed.answer
        if rrset.rdtype == dns.rdatatype.CNAME and rrset.rdclass == question.rdclass
    }
    chain = [question.name]
    if question.rdtype in (dns.rdatatype.CNAME, dns.rdatatype.ANY):
        return chain
    while chain[-1] in aliases:
        chain.append(aliases[chain[-1]])
        if len(chain) > MAX_CHAIN + 1:
            raise UnusableError("CNAMEs without end")
    return chain


def _is_wanted(rrset: dns.rrset.RRset, question: dns.rrset.RRset) -> bool:
    """Whether `rrset` has the type and class asked for."""
    types = question.rdtype in (rrset.rdtype, dns.rdatatype.ANY)
    return types and question.rdclass in (rrset.rdclass, dns.rdataclass.ANY)


def _belongs(rrset: dns.rrset.RRset, chain: list[dns.name.Name], question: dns.rrset.RRset) -> bool:
    """Whether a record of the answer section is part of the answer."""
    if question.rdclass not in (rrset.rdclass, dns.rdataclass.ANY):
        return False
    rdtype = rrset.covers if rrset.rdtype == dns.rdatatype.RRSIG else rrset.rdtype
    if rdtype == dns.rdatatype.DNAME and any(name.is_subdomain(rrset.name) for name in chain):
        return True
    wanted = question.rdtype in (rdtype, rrset.rdtype, dns.rdatatype.ANY)
    return rrset.name in chain and (wanted or rdtype == dns.rdatatype.CNAME)


def _limit_negative(authority: list[dns.rrset.RRset], name: dns.name.Name, rdclass: int) -> bool:
    """Give the SOA that denies `name` the TTL of that (RFC 2308 §5); False where there is none."""
    for rrset in authority:
        if rrset.rdtype == dns.rdatatype.SOA and rrset.rdclass == rdclass and name.is_subdomain(rrset.name):
            rrset.ttl = min(rrset.ttl, rrset[0].minimum, MAX_NEGATIVE_TTL)
            return True
    return False


def _render(question: dns.rrset.RRset, *sections: list[dns.rrset.RRset]) -> tuple[tuple[int, ...], bytes]:
    """The number of records in each section, and all octets after the question."""
    file, compressed = io.BytesIO(bytes(HEADER)), dict[dns.name.Name, int]()
    file.seek(HEADER)
    question.name.to_wire(file, compressed)
    file.write(struct.pack("!HH", question.rdtype, question.rdclass))
    start = file.tell()
    counts = tuple(
        sum(rrset.to_wire(file, compressed, want_shuffle=False) for rrset in section) for section in sections
    )
    if file.tell() > _LARGEST:
        raise UnusableError("longer than a message can be")
    return counts, file.getvalue()[start:]
