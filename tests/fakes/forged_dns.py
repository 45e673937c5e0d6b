"""Answers to a query: the true one, and what somebody who does not see the query may come up with."""

import socket
from collections.abc import Iterator

NAME, TRUE, FORGED = "www.example", "192.0.2.1", "192.0.2.66"

IDS = 1 << 16


def answer(asked: bytes, address: str) -> bytes:
    """The response to the query `asked` that `address` is all there is."""
    question = asked[12 : asked.index(b"\0", 12) + 5]
    record = b"\xc0\x0c\0\1\0\1\0\0\1\x2c\0\4" + socket.inet_aton(address)
    return asked[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + question + record


def with_wrong_ids(asked: bytes) -> Iterator[bytes]:
    """All there are: 65,535."""
    forged = answer(asked, FORGED)
    return (
        number.to_bytes(2, "big") + forged[2:] for number in range(IDS) if number.to_bytes(2) != asked[:2]
    )


def with_its_id(asked: bytes) -> list[bytes]:
    """Other letters, another name, type or class; a query; an answer without question."""
    forged = answer(asked, FORGED)
    labels = asked[12 : asked.index(b"\0", 12)]
    return [
        forged.replace(labels, labels.swapcase()),
        forged.replace(labels, b"\3WwX\7eXample"),
        forged.replace(labels + b"\0\0\1", labels + b"\0\0\x1c"),
        forged.replace(labels + b"\0\0\1\0\1", labels + b"\0\0\1\0\3"),
        forged[:2] + b"\1" + forged[3:],
        forged[:5] + b"\0" + forged[6:12] + forged[12 + len(labels) + 5 :],
    ]
