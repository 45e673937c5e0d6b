"""The question that shows whether datagrams come back: DNS for the root's name servers (RFC 1035 §4.1).

Every DNS server answers it, if only to refuse. An echo in place of a DNS server will do as well, and shows
more: whether a datagram comes back whole.
"""

import struct

_QUESTION = struct.Struct(">HHHHHHBHH")
_RECURSION_DESIRED, _RESPONSE = 0x0100, 0x80
_NS, _IN = 2, 1
_HEADER_OCTETS = 12


def question(identifier: int) -> bytes:
    """The question with a 16-bit `identifier`, which should be random."""
    return _QUESTION.pack(identifier, _RECURSION_DESIRED, 1, 0, 0, 0, 0, _NS, _IN)


def answers(asked: bytes, payload: bytes) -> bool:
    """Whether `payload` is a response to what was `asked`, or an echo of it, whole or cut."""
    if payload[:2] != asked[:2]:
        return False
    return asked.startswith(payload) or (len(payload) >= _HEADER_OCTETS and bool(payload[2] & _RESPONSE))
