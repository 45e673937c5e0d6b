"""The numbers of SOCKS5, and the address field of its requests, replies and datagrams (RFC 1928 §3 to §7)."""

import ipaddress
from enum import IntEnum, StrEnum
from functools import lru_cache
from typing import NamedTuple

from sockslocal.address import AddressError, Endpoint, ip_of, normalise_host, unmapped

VERSION = 5

LOGIN_VERSION = 1
"""Of the user name and password sub-negotiation (RFC 1929 §2)."""

MAX_FIELD_OCTETS = 255
"""A name, a user name and a password each have their length in one octet."""

CACHED_ADDRESSES = 1024
"""Few addresses are in use at a time, each many times over."""


class Method(IntEnum):
    """How a client logs in (RFC 1928 §3)."""

    NO_AUTHENTICATION = 0x00
    GSSAPI = 0x01
    USERNAME_PASSWORD = 0x02
    NO_ACCEPTABLE = 0xFF


class Command(IntEnum):
    """What is asked for here (RFC 1928 §4), and what two servers offer beyond that: see `udp_over_tcp`.

    BIND is not among it: a server handshake refuses it as it refuses all that it does not know.
    """

    CONNECT = 0x01
    UDP_ASSOCIATE = 0x03
    HEV_UDP = 0x05
    GOST_UDP = 0xF3


class AddressType(IntEnum):
    """What stands in an address field (RFC 1928 §5)."""

    IPV4 = 0x01
    DOMAIN_NAME = 0x03
    IPV6 = 0x04


# Plain numbers: each datagram is compared with them, and an enum's members take twice as long to reach.
_IPV4 = int(AddressType.IPV4)
_DOMAIN_NAME = int(AddressType.DOMAIN_NAME)
_IPV6 = int(AddressType.IPV6)


class Reply(IntEnum):
    """What a server answers to a request (RFC 1928 §6)."""

    SUCCEEDED = 0x00
    GENERAL_FAILURE = 0x01
    NOT_ALLOWED = 0x02
    NETWORK_UNREACHABLE = 0x03
    HOST_UNREACHABLE = 0x04
    CONNECTION_REFUSED = 0x05
    TTL_EXPIRED = 0x06
    COMMAND_NOT_SUPPORTED = 0x07
    ADDRESS_TYPE_NOT_SUPPORTED = 0x08


UNDERSTOOD = frozenset(range(7)) - {Reply.GENERAL_FAILURE}
"""Replies that only a server gives that has understood the request; any other may come of a mere mishap."""


class Stage(StrEnum):
    """What a handshake waits for; the value is the word for it that a user reads."""

    GREETING = "greeting"
    AUTHENTICATION = "authentication"
    READY = "wait for a request"
    REPLY = "reply"
    DONE = "transfer"

    @property
    def awaited(self) -> str:
        """What the server owes at this stage, in words; nothing where it owes nothing."""
        return _AWAITED.get(self, ("", ""))[0]

    @property
    def suspect(self) -> str:
        """What a user is to look at where the server keeps silent at this stage."""
        return _AWAITED.get(self, ("", ""))[1]


_AWAITED = {
    Stage.GREETING: (
        "its choice of a way to log in",
        "check that this is the address of the SOCKS5 server",
    ),
    Stage.AUTHENTICATION: (
        "its word on the login",
        "check the server's log, or whether it is too busy to check the password",
    ),
    Stage.REPLY: (
        "its answer to the request",
        "check that the target answers, for the server may be waiting for it; else the server's log",
    ),
}
"""For each stage at which the server has to say something: what, and what to check if it does not."""


class Request(NamedTuple):
    """A command and what it is about: where to connect to, or where datagrams will come from."""

    command: Command
    target: Endpoint


@lru_cache(CACHED_ADDRESSES)
def encode_address(endpoint: Endpoint) -> bytes:
    """ATYP, ADDR and PORT: an IP literal as an address, never as text, a v4-mapped one as IPv4.

    Raises AddressError for what does not fit: an empty, non-ASCII or too long name, a port above 65535.
    """
    host, port = endpoint
    if not 0 <= port <= 0xFFFF:
        raise AddressError(f"{port} is not a port")
    address = ip_of(host)
    if address is not None:
        packed = unmapped(address).packed
        kind = AddressType.IPV4 if len(packed) == 4 else AddressType.IPV6
        return bytes((kind,)) + packed + port.to_bytes(2)
    if not host.isascii() or not 0 < len(host) <= MAX_FIELD_OCTETS:
        raise AddressError(f"{host!r} is not a name of 1 to {MAX_FIELD_OCTETS} ASCII octets")
    return bytes((AddressType.DOMAIN_NAME, len(host))) + host.encode("ascii") + port.to_bytes(2)


def address_end(data: bytes | memoryview, start: int) -> int | None:
    """Where the address field that begins at `start` ends, None for an unknown ATYP.

    Needs the field's first two octets; the end may lie beyond what is there.
    """
    kind = data[start]
    if kind == _IPV4:
        return start + 1 + 4 + 2
    if kind == _DOMAIN_NAME:
        return start + 1 + 1 + data[start + 1] + 2
    if kind == _IPV6:
        return start + 1 + 16 + 2
    return None


@lru_cache(CACHED_ADDRESSES)
def decode_address(field: bytes) -> Endpoint:
    """The endpoint in a whole address field; a v4-mapped address as IPv4.

    The host is empty where the field has a name that is no host name: servers send empty ones and lone NULs.
    """
    port = int.from_bytes(field[-2:])
    if field[0] == AddressType.DOMAIN_NAME:
        return Endpoint(_host_name(field[2:-2]), port)
    return Endpoint(str(unmapped(ipaddress.ip_address(field[1:-2]))), port)


def _host_name(octets: bytes) -> str:
    try:
        return normalise_host(octets.decode("ascii"))
    except ValueError:
        return ""
