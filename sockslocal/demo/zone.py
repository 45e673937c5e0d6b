"""The DNS zone of the demo's network, and the answers from it (RFC 1035)."""

import textwrap
from collections.abc import Mapping

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.zone

ORIGIN = "demo.test"
LONG_NAME = f"long.{ORIGIN}"
"""Has a text that no UDP answer of the usual size holds, so that it has to be asked for over TCP."""

MAX_UDP_OCTETS = 1232
"""What an answer over UDP may have at most, however much the question offers (DNS flag day 2020)."""

_HEAD = """
$TTL 300
@     IN SOA ns hostmaster 1 3600 600 86400 60
@     IN NS  ns
@     IN MX  10 www
@     IN TXT "this zone exists only behind the demo's SOCKS5 server"
"""


class Zone:
    """Answers questions about `hosts` (name to IPv4 address), which lie below ORIGIN."""

    def __init__(self, hosts: Mapping[str, str]) -> None:
        addresses = "".join(f"{name}. IN A {address}\n" for name, address in hosts.items())
        long_text = " ".join(f'"{line}"' for line in textwrap.wrap("long answers go by TCP " * 120, 200))
        text = f"{_HEAD}{addresses}{LONG_NAME}. IN TXT {long_text}\n"
        self._origin = dns.name.from_text(ORIGIN)
        self._zone = dns.zone.from_text(text, origin=ORIGIN, relativize=False)

    def answer(self, query: bytes, *, over_udp: bool) -> bytes | None:
        """The answer to `query`, None for what is none; over UDP cut down with TC where it is too long."""
        try:
            asked = dns.message.from_wire(query)
            response = dns.message.make_response(asked)
        except (dns.exception.DNSException, ValueError):
            return None
        if len(asked.question) != 1:
            return None
        self._fill(response)
        if not over_udp:
            return response.to_wire(max_size=65_535)
        payload = min(max(asked.payload, 512), MAX_UDP_OCTETS)
        return response.to_wire(max_size=payload, prefer_truncation=True)

    def _fill(self, response: dns.message.Message) -> None:
        name, kind = response.question[0].name, response.question[0].rdtype
        if not name.is_subdomain(self._origin):
            response.set_rcode(dns.rcode.REFUSED)
            return
        response.flags |= dns.flags.AA
        found = self._zone.get_rrset(name, kind)
        if found is not None:
            response.answer.append(found)
            return
        if self._zone.get_node(name) is None:
            response.set_rcode(dns.rcode.NXDOMAIN)
        response.authority.append(self._zone.find_rrset(self._origin, dns.rdatatype.SOA))
