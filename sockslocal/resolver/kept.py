"""Answers as they are kept in a file: whole messages, which are read again as warily as an upstream's.

A line that names the format and whose answers they are, then for each answer its end in seconds since 1970,
the DNSSEC flags that it was asked with, its length, and the message with the TTLs that it came with.
"""

import struct
from collections.abc import Iterator
from hashlib import blake2b
from typing import NamedTuple

from sockslocal.resolver.answer import LOCAL, Answer
from sockslocal.resolver.wire import (
    HEADER,
    MalformedError,
    Query,
    Refused,
    answers,
    encode_query,
    parse_query,
    question_end,
)

_FORMAT = b"sockslocal answers 2 "

_FIXED = struct.Struct("!QBH")
_AD_WANTED = 4  # one of the flags of `Profile.variant`
_DO, _CD = 1, 2  # those of `Profile.suffix`


class Kept(NamedTuple):
    """A message that answered `query`, whose TTLs end at second `end`."""

    query: Query
    message: bytes
    end: int


def head(sources: bytes) -> bytes:
    """What the file begins with where `sources` say who answers: of others it begins with something else."""
    return _FORMAT + blake2b(sources, digest_size=16).hexdigest().encode() + b"\n"


def encode(key: bytes, answer: Answer, end: int) -> bytes:
    """What stands in the file for one of `Cache.kept`.

    Nothing for what a name's other entry says too, and for what was said here: it may be otherwise next time.
    """
    end_of_question = _name_end(key) + 4
    question, suffix = key[:end_of_question], key[end_of_question:]
    if len(suffix) > 1 or answer.path == LOCAL:
        return b""
    message = b"".join((b"\0\0", answer.header(_AD_WANTED), question, answer.body))
    return _FIXED.pack(end, suffix[0] if suffix else 0, len(message)) + message


def decode(content: bytes, beginning: bytes) -> Iterator[Kept | None]:
    """What is in a file that has that `head`, as far as it can be read; None in the place of no message."""
    at = len(beginning) if content.startswith(beginning) else len(content)
    while len(content) - at >= _FIXED.size:
        end, flags, length = _FIXED.unpack_from(content, at)
        at += _FIXED.size + length
        if at > len(content):
            return
        yield _read(content[at - length : at], flags, end)


def _read(message: bytes, flags: int, end: int) -> Kept | None:
    try:
        question = message[HEADER : question_end(message)]
        query = parse_query(
            encode_query(
                question, dnssec_ok=bool(flags & _DO), checking_disabled=bool(flags & _CD), edns=True
            )
        )
    except (MalformedError, Refused):
        return None
    return Kept(query, message, end) if answers(message, question, exact=True) else None


def _name_end(key: bytes) -> int:
    """Where the name ends that `key` begins with."""
    at = 0
    while key[at]:
        at += key[at] + 1
    return at + 1
