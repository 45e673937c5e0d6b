"""Which address of this machine a datagram came to: an answer from another one is not heard by who connected.

A socket that is bound to all of them is told by IP_PKTINFO (ip(7)) or IPV6_PKTINFO (RFC 3542 §6.1), and tells
so where an answer is to come from. For IPv4 that is on Linux alone, and on Windows not at all, as Python has
no `recvmsg` there: answers then come from the address that routing chooses, so that whoever is to be asked at
several addresses has to list them in `listen`.
"""

import socket
import struct
import sys
from typing import Any, NamedTuple

ROOM = 64
"""Octets of ancillary data that one of these takes at most, header and padding included."""

_IP_PKTINFO = 8  # Linux's; Python knows it from 3.14 on
_IPV4 = struct.Struct("@i4s4s")  # interface, address to speak from, address in the header
_IPV6 = struct.Struct("@16si")

_ANY_INTERFACE = 0


class PeerAt(NamedTuple):
    """A `peer` who sent to one of several addresses of ours, and is to be answered from there: `local`.

    Both are as the engine wants them that received the datagram.
    """

    peer: Any
    local: Any


def ask_for_local_address(sock: socket.socket) -> None:
    """Have a bound datagram socket be told, if it is bound to all addresses and the platform can."""
    option = _option(sock)
    if option is not None and sock.getsockname()[0] in {"0.0.0.0", "::"}:  # noqa: S104  compares
        sock.setsockopt(*option, 1)


def tells_local_address(sock: socket.socket) -> bool:
    """Whether it was asked for."""
    option = _option(sock)
    return option is not None and bool(sock.getsockopt(*option))


def speaking_from(level: int, kind: int, data: bytes) -> bytes | None:
    """The data with which to answer who sent a datagram that came with these.

    Routing chooses the interface, but that of a link-local address. None for what says nothing of it, and
    where nobody can speak from an address, as it is that of a group.
    """
    if (level, kind) == (socket.IPPROTO_IP, _IP_PKTINFO) and len(data) == _IPV4.size:
        _, local, _ = _IPV4.unpack(data)
        return _IPV4.pack(_ANY_INTERFACE, local, bytes(4))
    if (level, kind) == (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO) and len(data) == _IPV6.size:
        local, interface = _IPV6.unpack(data)
        if local[0] != 0xFF:
            return _IPV6.pack(local, interface if _is_link_local(local) else _ANY_INTERFACE)
    return None


def _is_link_local(address: bytes) -> bool:
    """Whether it is in fe80::/10 (RFC 4291 §2.4)."""
    return address[0] == 0xFE and address[1] & 0xC0 == 0x80


def _option(sock: socket.socket) -> tuple[int, int] | None:
    """Level and name of the option of the socket's family."""
    if sys.platform != "win32" and sock.family == socket.AF_INET6:
        return socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO
    if sys.platform == "linux" and sock.family == socket.AF_INET:
        return socket.IPPROTO_IP, _IP_PKTINFO
    return None
