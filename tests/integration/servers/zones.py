"""Zones with every kind of answer that a resolver meets, signed, as large as a test wants."""

from collections.abc import Iterator
from typing import NamedTuple

import dns.dnssec
import dns.dnssectypes
import dns.name
import dns.rdataclass
import dns.rdatatype
import dns.zone
from cryptography.hazmat.primitives.asymmetric import ec

ORIGIN = "many.example."
SIGNED = "signed.example."

_HEAD = """\
@   3600 SOA ns root 1 7200 900 1209600 60
@   3600 NS  ns
ns  3600 A   192.0.2.53
"""

_KINDS = (
    "h{n} 300 A 192.0.2.{octet}",
    "h{n} 120 A 192.0.2.{octet}\nh{n} 120 A 198.51.100.{octet}\nh{n} 600 AAAA 2001:db8::{octet}",
    "h{n} 900 MX 10 mail{n}\nmail{n} 900 A 203.0.113.{octet}",
    "h{n} 60 CNAME a{n}\na{n} 61 CNAME b{n}\nb{n} 62 CNAME c{n}\nc{n} 63 A 192.0.2.{octet}",
    "h{n} 60 CNAME gone{n}",  # to a name that does not exist
    'h{n} 300 TXT "' + "x" * 240 + '" "' + "y" * 240 + '" "' + "z" * 200 + '"',
    "h{n} 300 SRV 0 5 5060 h{n}.sip\nh{n}.sip 300 A 192.0.2.{octet}",
    "*.h{n} 300 A 192.0.2.{octet}",  # which makes h{n} a name without records
    'h{n} 300 CAA 0 issue "ca{n}.example"\nh{n} 300 HTTPS 1 . alpn=h2',
    "h{n} 300 TYPE65280 \\# 4 c00002{octet:02x}",  # unknown types pass as they are (RFC 3597)
)
_TYPES = ("A", "AAAA", "MX", "TXT", "CNAME", "SRV", "CAA", "HTTPS", "TYPE65280", "NS")


class Question(NamedTuple):
    """What is asked."""

    name: str
    rdtype: str


def many_zone(count: int, origin: str = ORIGIN) -> str:
    """A zone with so many names, of all kinds in turn."""
    names = (_KINDS[n % len(_KINDS)].format(n=n, octet=n % 254 + 1) for n in range(count))
    return f"$ORIGIN {origin}\n{_HEAD}" + "\n".join(names) + "\n"


def signed_zone(count: int) -> str:
    """The same, signed with a key that is made for it (RFC 4034, with NSEC)."""
    zone = dns.zone.from_text(many_zone(count, SIGNED), SIGNED, relativize=False)
    key = ec.generate_private_key(ec.SECP256R1())
    dnskey = dns.dnssec.make_dnskey(key.public_key(), dns.dnssectypes.Algorithm.ECDSAP256SHA256)
    dns.dnssec.sign_zone(zone, keys=[(key, dnskey)], add_dnskey=True, lifetime=86_400)
    return f"$ORIGIN {SIGNED}\n{zone.to_text(relativize=False)}"


def questions(count: int, origin: str) -> Iterator[Question]:
    """As many questions: what is there, what is not, and the wrong type of what is."""
    for n in range(count):
        name = f"h{n}.{origin}"
        right = _RIGHT[n % len(_KINDS)]
        wrong = _TYPES[(n // len(_KINDS)) % len(_TYPES)]
        absent = f"no{n}.{origin}"
        below = f"x.y.{name}"
        yield from (
            Question(name, right),
            Question(name, wrong),
            Question(absent, right),
            Question(below, "A"),
        )


_RIGHT = ("A", "AAAA", "MX", "A", "A", "TXT", "SRV", "A", "CAA", "TYPE65280")
