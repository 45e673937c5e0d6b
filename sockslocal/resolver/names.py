"""Names as they go over the wire, in lower case (RFC 1035 §3.1): how rules are looked up."""

from collections.abc import Iterable, Iterator
from ipaddress import ip_address

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
"""What some editors begin a file with, and no name begins with."""


def to_wire(name: str) -> bytes:
    """A host name in lower-case A-labels, without final dot, in wire format."""
    return from_labels(name.encode("ascii").split(b"."))


def from_labels(labels: Iterable[bytes]) -> bytes:
    """Labels of 1 to 63 octets each as one name."""
    return b"".join(bytes((len(label),)) + label for label in labels) + b"\0"


def reverse(address: str) -> bytes:
    """The name under which the names of an IP address are asked for (RFC 1035 §3.5, RFC 3596 §2.5)."""
    return to_wire(ip_address(address).reverse_pointer)


def first_name(octets: bytes) -> bytes:
    """The name that `octets`, a question or a key of the cache, begins with."""
    end = 0
    while length := octets[end]:
        end += length + 1
    return octets[: end + 1]


def names_in(octets: bytes) -> Iterator[bytes]:
    """The names that stand in `octets` one after the other."""
    while octets:
        name = first_name(octets)
        yield name
        octets = octets[len(name) :]


def last_labels(name: bytes) -> bytes:
    """The last two labels of `name`, which often are those of a zone."""
    starts = [0]
    while length := name[starts[-1]]:
        starts.append(starts[-1] + length + 1)
    return name[starts[-3:][0] :]
