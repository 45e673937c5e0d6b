"""Who holds a local address that is wanted."""

from contextlib import suppress
from ipaddress import ip_address

import psutil

from sockslocal.address import Endpoint, unmapped


def find_holder(address: Endpoint, *, stream: bool) -> tuple[int, str] | None:
    """The process whose socket keeps others from `address`, and what it is called: `postgres (pid 812)`.

    None where there is none, or this user may not know. All descriptors of all processes are looked at.
    """
    with suppress(psutil.Error, OSError, ValueError):
        for held in psutil.net_connections("tcp" if stream else "udp"):
            bound = held.status == psutil.CONN_LISTEN or not stream
            if bound and held.pid and held.laddr and _overlap(address, Endpoint(*held.laddr)):
                return held.pid, f"{psutil.Process(held.pid).name()} (pid {held.pid})"
    return None


def _overlap(address: Endpoint, held: Endpoint) -> bool:
    """Whether a socket bound to `held` keeps others from `address`; `::` may hold IPv4 too."""
    theirs, ours = unmapped(ip_address(held.host)), ip_address(address.host)
    return held.port == address.port and (theirs == ours or theirs.is_unspecified or ours.is_unspecified)
