"""Names, types and records as a person reads and types them."""

import re

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype

from sockslocal.address import AddressError, normalise_host
from sockslocal.errors import ControlError
from sockslocal.quoting import quote
from sockslocal.resolver.answer import Answer
from sockslocal.resolver.records import Reader, Record
from sockslocal.resolver.wire import HEADER, Query, parse_query

MAX_NAME = 1004
"""Characters: 250 octets, each as a backslash and three digits (RFC 1035 §5.1), and four dots."""

_NUMBER = re.compile(r"[0-9]{1,5}")


def parse(name: str, rdtype: str) -> Query:
    """A question as a client would send it, with EDNS; raises ControlError.

    A type may be a number, too (RFC 3597 §5 writes it as TYPE65).
    """
    known = f"TYPE{rdtype}" if _NUMBER.fullmatch(rdtype) else rdtype
    try:
        message = dns.message.make_query(_name(name), known, use_edns=0, payload=1232)
        return parse_query(message.to_wire())
    except dns.rdatatype.UnknownRdatatype:
        reason = f"{quote(rdtype)} is no type that can be asked for; others than those known go as TYPE65"
    except (dns.exception.DNSException, ValueError) as error:
        reason = f"{quote(name)} {quote(rdtype)} cannot be asked: {error}"
    raise ControlError.of("bad-request", reason=reason)


def _name(name: str) -> dns.name.Name:
    """International names go by IDNA 2008; what is no host name (`_dmarc.example`) goes as it stands."""
    if not name:
        raise ValueError("there is no name; the root of all is called .")
    if len(name) > MAX_NAME:
        raise ValueError(f"it has {len(name):,} characters, and a name at most {MAX_NAME:,}")
    if not name.isascii():
        try:
            name = normalise_host(name)
        except AddressError as error:
            raise ValueError(str(error)) from None
    return dns.name.from_text(name)


def name(wire: bytes) -> str:
    """A name in wire format as text."""
    return dns.name.from_wire(wire, 0)[0].to_text()


def rcode(answer: Answer) -> str:
    """`NOERROR`, `NXDOMAIN` and so on."""
    return dns.rcode.to_text(dns.rcode.Rcode(answer.rcode))


def records(query: Query, answer: Answer, age: int) -> tuple[str, ...]:
    """The records of the answer section, a line each."""
    message = answer.reply(query, stream=True, age=age)
    reader = Reader(message, HEADER + len(query.question))
    return tuple(map(_line, reader.records(answer.counts[0])))


def _line(record: Record) -> str:
    rdclass = dns.rdataclass.RdataClass.make(record.rdclass)
    rdtype = dns.rdatatype.RdataType.make(record.rdtype)
    data = b"".join((record.before, *record.names, record.after))
    words = (
        name(record.owner),
        str(record.ttl),
        dns.rdataclass.to_text(rdclass),
        dns.rdatatype.to_text(rdtype),
    )
    return " ".join((*words, _data(data, rdclass, rdtype)))


def _data(wire: bytes, rdclass: dns.rdataclass.RdataClass, rdtype: dns.rdatatype.RdataType) -> str:
    """The data in the type's own form; in hexadecimal (RFC 3597 §5) where dnspython cannot read it."""
    try:
        return dns.rdata.from_wire(rdclass, rdtype, wire, 0, len(wire)).to_text()
    except dns.exception.DNSException:
        return f"\\# {len(wire)} {wire.hex()}"
