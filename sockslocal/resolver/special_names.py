"""Names that mean something to this machine or its network only, so that nobody else is asked for them.

RFC 6761 (localhost, invalid, test, private addresses), 6762 (local), 7686 (onion), 8375 (home.arpa),
9462 (resolver.arpa: it would tell clients of ways round this resolver), 9476 (alt), and the zones of the
addresses that are nobody's in particular: RFC 6303 §4 and 7793. A rule of the user's comes first.
"""

from collections.abc import Iterator

from sockslocal.resolver.local_answers import Addresses, EmptyZone, NoSuchName, Pointer, Treatment
from sockslocal.resolver.names import reverse, to_wire

LOCALHOST = to_wire("localhost")

_LOOPBACK = (bytes((127, 0, 0, 1)), bytes(15) + b"\1")
_NOWHERE = {"invalid": "6761", "test": "6761", "local": "6762", "onion": "7686", "alt": "9476"}
_EMPTY = {"home.arpa": "8375", "resolver.arpa": "9462"}

_PRIVATE_V4 = (
    ["0", "10", "127", "254.169", "168.192", "2.0.192", "100.51.198", "113.0.203", "255.255.255.255"]
    + [f"{second}.172" for second in range(16, 32)]
    + [f"{second}.100" for second in range(64, 128)]
)
"""RFC 6303 §4.1 and §4.2, RFC 7793; the last are shared by whoever has no addresses of their own."""

_PRIVATE_V6 = ["d.f", "8.e.f", "9.e.f", "a.e.f", "b.e.f", "8.b.d.0.1.0.0.2"]
"""RFC 6303 §4.4 to §4.6: unique local, link-local and documentation."""


def special_names() -> dict[bytes, Treatment]:
    """What is done with each of them and all beneath it."""
    return dict(_entries())


def _entries() -> Iterator[tuple[bytes, Treatment]]:
    yield LOCALHOST, Addresses(_LOOPBACK, "RFC 6761")
    for name, rfc in _NOWHERE.items():
        yield to_wire(name), NoSuchName(to_wire(name), f"RFC {rfc}")
    empty = dict(_EMPTY)
    empty |= {f"{zone}.in-addr.arpa": "6303" for zone in _PRIVATE_V4}
    empty |= {f"{zone}.ip6.arpa": "6303" for zone in _PRIVATE_V6}
    for name, rfc in empty.items():
        yield to_wire(name), EmptyZone(to_wire(name), f"RFC {rfc}")
    yield reverse("::"), EmptyZone(reverse("::"), "RFC 6303")
    for address in ("127.0.0.1", "::1"):
        yield reverse(address), Pointer(LOCALHOST, "RFC 6761")
