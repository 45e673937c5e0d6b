"""Who holds one end of a TCP connection, asked of Linux for that end alone (sock_diag(7)).

/proc/net/tcp says it too, but only as a line among those of all connections of the machine: whoever opens
many would make each look-up dear.
"""

import errno
import os
import socket
import struct
import sys
from ipaddress import ip_address

from sockslocal.address import unmapped

_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_NLM_F_REQUEST = 0x001
_NLM_F_DUMP = 0x300
_NLMSG_DONE = 3

_HEADER = struct.Struct("=IHHII")
"""struct nlmsghdr: length, type, flags, sequence, port."""
_QUESTION = struct.Struct("=BBBxI")
"""struct inet_diag_req_v2 up to its id: family, protocol, extensions, states."""
_CONNECTION = struct.Struct("!HH16s16s12s")
"""struct inet_diag_sockid: two ports, two addresses, then the interface and the cookie."""
_ANSWER = struct.Struct("=4x48s4x8xII")
"""struct inet_diag_msg: its id, then behind timers and queues the uid and the inode."""

_NO_COOKIE = bytes(4) + b"\xff" * 8
_MAX_ANSWER = 4096
"""Octets."""


def available() -> bool:
    """Whether this machine can be asked at all."""
    try:
        kind, _ = _ask(socket.AF_INET, bytes(_CONNECTION.size), _NLM_F_DUMP)
    except OSError:
        return False
    return kind == _NLMSG_DONE


def holder(near: tuple[str, int], far: tuple[str, int]) -> int | None:
    """The user id of the program whose socket is bound to `near` and connected to `far`.

    None where there is no such socket or nobody holds it any more. An IPv4 connection is found whichever
    family its socket has. Raises OSError where the system cannot be asked.
    """
    hosts = [unmapped(ip_address(host)) for host, _ in (near, far)]
    family = socket.AF_INET if hosts[0].version == 4 else socket.AF_INET6
    end = _CONNECTION.pack(near[1], far[1], *(host.packed for host in hosts), _NO_COOKIE)
    kind, answer = _ask(family, end)
    if kind != _SOCK_DIAG_BY_FAMILY:
        return None
    found, uid, inode = _ANSWER.unpack_from(answer)
    is_connection = found[:4] == end[:4]  # where there is none, a listener at `near` is named
    return int(uid) if is_connection and inode else None  # without inode the uid is 0, whoever it was


def _ask(family: int, end: bytes, flags: int = 0) -> tuple[int, bytes]:
    """The kind and the content of the answer; the kernel has given it when `send` returns."""
    if sys.platform != "linux":
        raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))
    states = 0 if flags else 0xFFFFFFFF
    question = _QUESTION.pack(family, socket.IPPROTO_TCP, 0, states) + end
    header = _HEADER.pack(_HEADER.size + len(question), _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST | flags, 0, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, _NETLINK_SOCK_DIAG) as netlink:
        netlink.setblocking(False)
        netlink.sendto(header + question, (0, 0))
        answer = netlink.recv(_MAX_ANSWER)
    _, kind, _, _, _ = _HEADER.unpack_from(answer)
    return kind, answer[_HEADER.size :]
