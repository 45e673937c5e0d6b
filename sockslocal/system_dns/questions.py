"""The two questions that are asked to see whether somebody answers (RFC 1035 §4).

Pure: bytes in, bytes out; far less than resolver/wire.py, for this runs as root.
"""

import struct

_QR = 0x80
_STATUS = 0x1000  # opcode 2
_RECURSION_DESIRED = 0x0100
_A, _IN = 1, 1
NOERROR, NXDOMAIN = 0, 3


def heartbeat(number: int) -> bytes:
    """A message that a resolver answers by itself: NOTIMP, for an opcode that nobody knows any more."""
    return struct.pack(">6H", number, _STATUS, 0, 0, 0, 0)


def question(number: int, name: str) -> bytes:
    """The question for the address of `name`, which is ASCII with labels of 1 to 63 octets."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.rstrip(".").split("."))
    return (
        struct.pack(">6H", number, _RECURSION_DESIRED, 1, 0, 0, 0) + labels + struct.pack(">BHH", 0, _A, _IN)
    )


def answers(message: bytes, number: int) -> int | None:
    """The response code, where `message` is a response to the message `number`; None for anything else."""
    if len(message) < 12 or not message[2] & _QR or message[:2] != number.to_bytes(2):
        return None
    return message[3] & 0x0F


def is_found(rcode: int | None) -> bool:
    """Whether the name was looked up: it is there, or somebody knows that it is not."""
    return rcode in (NOERROR, NXDOMAIN)
