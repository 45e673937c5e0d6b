"""Where the datagrams of an association go (`BND.ADDR` and `BND.PORT` of RFC 1928 §6).

Servers behind NAT or listening on a wildcard name an address that is of no use to the client, and a hostile
one may name an address that is none of its business. So a public address is believed, and what could only
be reached from where the server stands is replaced by the address under which we reach the server.
"""

from ipaddress import ip_address

from sockslocal.address import Endpoint, IPAddress, ip_of, unmapped


def relay_address(bound: Endpoint, server: str, override: str | None = None) -> Endpoint | None:
    """Where to send datagrams, or None where the reply cannot be used.

    `server` is the IP address of the control connection's peer, `override` an IP address that the user set.
    """
    if not bound.port:
        return None
    if override is not None:
        return Endpoint(override, bound.port)
    address = ip_of(bound.host)
    ours = unmapped(ip_address(server))
    if address is None or not _is_believable(unmapped(address), ours):
        return Endpoint(str(ours), bound.port)
    return Endpoint(str(unmapped(address)), bound.port)


def _is_believable(address: IPAddress, server: IPAddress) -> bool:
    """Whether the server can be meant by `address`, seen from here."""
    if address == server:
        return True
    if address.is_unspecified or address.is_multicast or address.is_link_local or address.is_reserved:
        return False
    if address.is_loopback:
        return server.is_loopback
    return address.is_global or (not server.is_global and not server.is_loopback)
