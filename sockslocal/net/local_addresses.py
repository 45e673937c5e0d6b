"""The addresses by which this machine speaks to others."""

import socket
from collections.abc import Iterator
from typing import NamedTuple

import psutil

from sockslocal.address import ip_of


class Local(NamedTuple):
    """An address, and whether its interface is connected."""

    address: str
    up: bool


def look() -> frozenset[Local]:
    """Those there are now, but for such as lead nowhere else. Raises OSError."""
    return frozenset(_found())


def _found() -> Iterator[Local]:
    connected = {name: state.isup for name, state in psutil.net_if_stats().items()}
    for name, entries in psutil.net_if_addrs().items():
        for entry in entries:
            address = entry.address.partition("%")[0]
            if entry.family in (socket.AF_INET, socket.AF_INET6) and _leads_out(address):
                yield Local(address, connected.get(name, True))


def _leads_out(text: str) -> bool:
    """Containers come and go with link-local addresses of their own, by which no server is reached."""
    address = ip_of(text)
    return address is not None and not (address.is_loopback or address.is_link_local)
