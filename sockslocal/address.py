"""Addresses as people write them: `host:port`, `[IPv6]:port`, `unix:/path`, port ranges.

Nothing here resolves a name: what goes through the tunnel is resolved by its far side.
"""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sockslocal.quoting import quote

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

MAX_NAME_OCTETS = 253
"""RFC 1035 §2.3.4: 255 octets on the wire are 253 as text without the final dot."""

MAX_RANGE = 1_000
"""Ports in one range: each is a listener with a descriptor of its own."""

MAX_SPELLED = 3
"""Addresses and ranges in one line of a table."""

_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
"""A last label that makes resolvers read the whole as an IPv4 address (WHATWG URL, "ends in a number")."""

_UNFIT_FOR_PATHS = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")

_TARGET, _LOOPBACK = "db.internal:5432", "127.0.0.1:5432"
"""What an address to connect to, and one to listen on, may look like."""

_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")


class AddressError(ValueError):
    """An address that cannot be used; its text says what was read and what would be right."""


class Endpoint(NamedTuple):
    """A host, as an IP literal or as a name in lower-case A-labels, and a port (0 to 65535)."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class UnixPath:
    """A Unix stream socket to listen on."""

    path: str

    def __str__(self) -> str:
        return f"unix:{self.path}"


ListenAddress = Endpoint | UnixPath


def ip_of(host: str) -> IPAddress | None:
    """The IP address that `host` spells, or None where it is a name."""
    if ":" not in host and not host[-1:].isdigit():
        return None
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def unmapped(address: IPAddress) -> IPAddress:
    """`::ffff:192.0.2.1` as the IPv4 address it stands for; any other address as it is."""
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def is_loopback(host: str) -> bool:
    """Whether `host` is an IP literal that only this machine can reach."""
    address = ip_of(host)
    return address is not None and unmapped(address).is_loopback


def normalise_host(text: str) -> str:
    """An IP literal in canonical form, or a name in lower-case A-labels (IDNA 2008) without final dot.

    Raises AddressError for what is neither, and for IPv6 zones, which mean nothing to a far side.
    """
    if "%" in text:
        raise AddressError(f"{quote(text)} has a zone, which means nothing beyond this machine")
    address = ip_of(text)
    if address is not None:
        return str(unmapped(address))
    return _normalise_name(text)


def _normalise_name(text: str) -> str:
    name = text.lower()
    if not name.isascii():
        name = _to_a_labels(text)
    name = name.removesuffix(".")
    labels = name.split(".")
    if len(name) > MAX_NAME_OCTETS or not all(_LABEL.fullmatch(label) for label in labels):
        raise AddressError(f"{quote(text)} is neither an IP address nor a host name")
    if _NUMBER.fullmatch(labels[-1]):
        raise AddressError(f"{quote(text)} looks like an IP address but is not one")
    return name


def _to_a_labels(name: str) -> str:
    """The name with an A-label for each label that is not ASCII; the others may have underscores."""
    import idna  # 2 MB of tables that only international names need

    try:
        if len(name) > MAX_NAME_OCTETS + 1:  # Punycode takes time that grows with the square of the length
            raise idna.IDNAError
        labels = idna.uts46_remap(name, std3_rules=False, transitional=False).split(".")
        return ".".join(label if label.isascii() else idna.alabel(label).decode("ascii") for label in labels)
    except UnicodeError:  # IDNAError is one; its text would show all of the name
        raise AddressError(f"{quote(name)} is not a valid international name") from None


def _split(text: str, like: str) -> tuple[str, str]:
    """`host:ports` as its two parts, still as text; `like` is what an error shows as right."""
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or not rest.startswith(":"):
            raise AddressError(f"{quote(text)} should be like [::1]:5432")
        if ":" not in host:
            raise AddressError(f"{quote(text)} has brackets round what is not an IPv6 address")
        return host, rest[1:]
    host, colon, ports = text.rpartition(":")
    if "://" in text:
        raise AddressError(f"{quote(text)} is a URL; it should be a host and a port, like {like}")
    if ":" in host:
        raise AddressError(f"{quote(text)} has an IPv6 address that needs brackets, like [::1]:5432")
    if not colon or not host:
        raise AddressError(f"{quote(text)} should be a host and a port, like {like}")
    return host, ports


def _port(text: str, whole: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 0 < int(text) < 65536):
        raise AddressError(f"{quote(whole)} has port {quote(text)}; a port is a number from 1 to 65535")
    return int(text)


def parse_endpoint(text: str, *, default_port: int | None = None, like: str = _TARGET) -> Endpoint:
    """`db.internal:5432`, `192.0.2.1:80` or `[2001:db8::1]:80`; without a port it is `default_port`.

    Raises AddressError, which shows `like` as what would be right.
    """
    if default_port is not None:
        if ip_of(text) is not None or ":" not in text:
            return Endpoint(normalise_host(text), default_port)
        if text.startswith("[") and text.endswith("]"):
            text = f"{text}:{default_port}"
    host, port = _split(text, like)
    return Endpoint(normalise_host(host), _port(port, text))


def parse_endpoints(text: str, *, like: str = _TARGET) -> tuple[Endpoint, ...]:
    """As `parse_endpoint`, but the port may be a range such as `6000-6010`, both ends included."""
    host, ports = _split(text, like)
    first, dash, last = ports.partition("-")
    low = _port(first, text)
    high = _port(last, text) if dash else low
    if high < low:
        raise AddressError(f"{quote(text)} has a range that ends before it starts")
    if high - low >= MAX_RANGE:
        raise AddressError(f"{quote(text)} has a range of more than {MAX_RANGE} ports")
    name = normalise_host(host)
    return tuple(Endpoint(name, port) for port in range(low, high + 1))


def spell(addresses: Sequence[ListenAddress]) -> str:
    """The addresses as people write them: `127.0.0.1:6000-6010`, several with commas, each once.

    Of more than `MAX_SPELLED` it is said how many more there are.
    """
    runs: list[list[ListenAddress]] = []
    for address in addresses:
        if runs and _follows(runs[-1][-1], address):
            runs[-1].append(address)
        else:
            runs.append([address])
    texts = list(dict.fromkeys(_spell_run(run[0], run[-1]) for run in runs))
    more = len(texts) - MAX_SPELLED
    return ", ".join(texts[:MAX_SPELLED]) + (f" and {more} more" if more > 0 else "")


def _follows(before: ListenAddress, address: ListenAddress) -> bool:
    if not isinstance(before, Endpoint) or not isinstance(address, Endpoint):
        return False
    return address == (before.host, before.port + 1)


def _spell_run(first: ListenAddress, last: ListenAddress) -> str:
    return f"{first}-{last.port}" if isinstance(last, Endpoint) and last != first else str(first)


def parse_listen(text: str) -> tuple[ListenAddress, ...]:
    """Where to listen: `127.0.0.1:5432`, `[::1]:5432`, a range, or `unix:/path`. Names are refused."""
    if text.startswith("unix:"):
        path = text.removeprefix("unix:")
        if not path.startswith("/"):
            raise AddressError(f"{quote(text)} should name an absolute path, like unix:/run/db.sock")
        if _UNFIT_FOR_PATHS.search(path):
            raise AddressError(f"{quote(text)} has control characters")
        if len(path.encode()) > 107:  # sun_path with its final NUL, unix(7)
            raise AddressError(f"{quote(text)} is longer than the 107 bytes a socket path may have")
        return (UnixPath(path),)
    text = re.sub(r"^localhost:", "127.0.0.1:", text, flags=re.IGNORECASE)
    endpoints = parse_endpoints(text, like=_LOOPBACK)
    if ip_of(endpoints[0].host) is None:
        raise AddressError(f"{quote(text)} should start with an address of this machine, like {_LOOPBACK}")
    return endpoints
