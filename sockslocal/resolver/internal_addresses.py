"""Which records of an answer lead into this machine or its network: what `rebind_protection` leaves out.

A name of the Internet has no business there; one that says so has a browser talk to what only a neighbour
should reach (DNS rebinding).
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from sockslocal.resolver.records import AAAA, HTTPS, SVCB, A, Record

_IPV4HINT, _IPV6HINT = 4, 6  # RFC 9460 §14.3.2

_V4 = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "255.255.255.255/32",
    )
)
_V6 = tuple(IPv6Network(network) for network in ["::/127", "fc00::/7", "fe80::/10", "fec0::/10"])
_EMBEDDING = (  # and where in them the IPv4 address is
    (IPv6Network("::/96"), 12),
    (IPv6Network("::ffff:0:0/96"), 12),
    (IPv6Network("::ffff:0:0:0/96"), 12),
    (IPv6Network("64:ff9b::/96"), 12),
    (IPv6Network("64:ff9b:1::/48"), 12),
    (IPv6Network("2002::/16"), 2),
)


def is_internal(address: bytes) -> bool:
    """Whether 4 or 16 octets are the address of this machine, its link or a private network."""
    if len(address) == 4:
        plain = IPv4Address(address)
        return any(plain in network for network in _V4)
    long = IPv6Address(address)
    if any(long in network for network in _V6):
        return True
    return any(long in network and is_internal(address[at : at + 4]) for network, at in _EMBEDDING)


def leads_inside(record: Record) -> bool:
    """Whether `record` has such an address: in A, AAAA, and the hints of SVCB and HTTPS (RFC 9460 §7.3)."""
    if record.rdtype in (A, AAAA):
        return len(record.before) not in (4, 16) or is_internal(record.before)
    if record.rdtype in (SVCB, HTTPS):
        try:
            return _hints_inside(record.before)
        except IndexError:
            return True  # not what RFC 9460 says it is
    return False


def _hints_inside(data: bytes) -> bool:
    at = 2  # the priority
    while length := data[at]:
        at += length + 1
    at += 1
    while at < len(data):
        key, length = int.from_bytes(data[at : at + 2], "big"), int.from_bytes(data[at + 2 : at + 4], "big")
        at += 4 + length
        size = {_IPV4HINT: 4, _IPV6HINT: 16}.get(key, 0)
        if size and _any_inside(data[at - length : at], size):
            return True
    return False


def _any_inside(hints: bytes, size: int) -> bool:
    if len(hints) % size:
        return True
    return any(is_internal(hints[at : at + size]) for at in range(0, len(hints), size))
