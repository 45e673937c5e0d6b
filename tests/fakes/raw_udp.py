"""Datagrams in the name of another socket, as only root may send them."""

import socket
import struct

from fakes.socks5_wire import Address

_HEADER = struct.Struct(">HHHH")


def send_as(source: Address, destination: Address, payload: bytes) -> None:
    """Send `payload` to `destination` as if from `source`, an address of this machine (RFC 768, no checksum).

    Raises PermissionError.
    """
    header = _HEADER.pack(source[1], destination[1], _HEADER.size + len(payload), 0)
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP) as sock:
        sock.bind((source[0], 0))
        sock.sendto(header + payload, (destination[0], 0))


def may_send_as() -> bool:
    """Whether this process may."""
    try:
        socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP).close()
    except PermissionError:
        return False
    return True
