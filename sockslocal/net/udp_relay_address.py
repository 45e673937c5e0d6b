"""Where the datagrams of an association go (`BND.ADDR` and `BND.PORT` of RFC 1928 §6).

Servers behind NAT or listening on a wildcard name an address that is of no use to the client, and a hostile
one may name an address that is none of its business. So a public address is believed, and what could only
be reached from where the server stands is replaced by the address under which we reach the server.
"""

from enum import Enum, auto
from ipaddress import ip_address, ip_network

from sockslocal.address import Endpoint, IPAddress, ip_of, unmapped


class Scope(Enum):
    """From where an address can be reached."""

    NOWHERE = auto()
    """It names no single machine, or means another one on every link."""
    MACHINE = auto()
    SITE = auto()
    PUBLIC = auto()


# Of IANA's special-purpose registries what matters here. Python's own `is_global` and `is_private` would do,
# had their answers not changed from one version to the next.
_SCOPES = tuple(
    (ip_network(network), scope)
    for scope, networks in (
        (Scope.MACHINE, ("127.0.0.0/8", "::1/128")),
        (Scope.NOWHERE, ("0.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4")),
        (Scope.NOWHERE, ("::/96", "100::/64", "fe80::/10", "ff00::/8")),
        (Scope.SITE, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "fec0::/10")),
        (Scope.SITE, ("100.64.0.0/10", "192.0.0.0/24", "198.18.0.0/15", "64:ff9b:1::/48")),
    )
    for network in networks
)


def scope_of(address: IPAddress) -> Scope:
    """From where `address` can be reached; what is not special is public, and so are examples (RFC 5737)."""
    return next((scope for network, scope in _SCOPES if address in network), Scope.PUBLIC)


def names_one_machine(host: str) -> bool:
    """Whether datagrams may be sent to `host`: it is no multicast, broadcast or unspecified address.

    A name is believed: where it leads, only the server knows.
    """
    address = ip_of(host)
    return address is None or not (
        address.is_multicast or address.is_unspecified or str(address) == "255.255.255.255"
    )


def relay_address(bound: Endpoint, server: str, override: str | None = None) -> Endpoint | None:
    """Where to send datagrams, or None where the reply cannot be used.

    `server` is the IP address of the control connection's peer, `override` an IP address that the user set.
    """
    if not bound.port:
        return None
    if override is not None:
        return Endpoint(override, bound.port)
    ours = unmapped(ip_address(server))
    address = ip_of(bound.host)
    if address is not None and _is_believable(unmapped(address), ours):
        return Endpoint(str(unmapped(address)), bound.port)
    return Endpoint(str(ours), bound.port)


def _is_believable(address: IPAddress, server: IPAddress) -> bool:
    """Whether the server can be meant by `address`, seen from here."""
    scope = scope_of(address)
    return scope is Scope.PUBLIC or (scope is not Scope.NOWHERE and scope is scope_of(server))
