"""The few octets of RFC 1928 that the fake server needs, written down on their own.

Kept apart from `sockslocal.socks5` on purpose: a codec that is tested against itself agrees with itself.
"""

import ipaddress

Address = tuple[str, int]

CONNECT, UDP_ASSOCIATE, HEV_UDP, GOST_UDP = 1, 3, 0x05, 0xF3


def address_octets(host: str, port: int) -> bytes:
    """ATYP, address and port; `host` that is no IP literal is sent as a name, which may be empty."""
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        name = host.encode()
        return b"\x03" + bytes([len(name)]) + name + port.to_bytes(2)
    return (b"\x01" if ip.version == 4 else b"\x04") + ip.packed + port.to_bytes(2)


def address_length(octets: bytes) -> int | None:
    """How long ATYP, address and port at the start of `octets` are; None while that cannot be known."""
    if not octets:
        return None
    if octets[0] == 3:
        return 4 + octets[1] if len(octets) > 1 else None
    return {1: 7, 4: 19}[octets[0]]


def parse_address(octets: bytes) -> tuple[Address, int]:
    """Host and port, and how many octets they took."""
    length = address_length(octets)
    if length is None or len(octets) < length:
        raise ValueError("the address is cut")
    port = int.from_bytes(octets[length - 2 : length])
    if octets[0] == 3:
        return (octets[2 : length - 2].decode(), port), length
    return (str(ipaddress.ip_address(octets[1 : length - 2])), port), length
