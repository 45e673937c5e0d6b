"""The child that reads block lists, so that a million names cost the daemon neither time nor garbage.

It is given paths on stdin, each ended by a NUL octet, and writes messages to stdout, a line of JSON each: how
far it is, what came of each file, and at last how many hashes follow, 8 octets each, in ascending order:
those of blocked names, then those of exceptions.
"""

import os
import sys
from array import array
from collections.abc import Iterator
from itertools import chain, pairwise
from pathlib import Path
from typing import IO

import msgspec

from sockslocal.files import open_regular
from sockslocal.resolver.block_list import NotAName, NotForDns, hashed, is_exception, names_of
from sockslocal.resolver.names import BYTE_ORDER_MARK

MAX_NAMES = 5_000_000
"""Of all lists together: 40 MB of the daemon's memory."""

MAX_LINE = 2048
"""Octets; a longer line is none of a list."""

PROGRESS = 250_000
"""Names between two reports."""


class Progress(msgspec.Struct, frozen=True, tag="progress"):
    """So many names have been read."""

    names: int


class ListRead(msgspec.Struct, frozen=True, tag="read"):
    """What came of one file: its names, lines that name nothing, the first of those, and why it ended.

    `browsers` counts rules that only those can follow.
    """

    path: str
    names: int = 0
    wrong: int = 0
    first_wrong: int = 0
    error: str | None = None
    browsers: int = 0


class Hashes(msgspec.Struct, frozen=True, tag="hashes"):
    """So many follow."""

    count: int
    exceptions: int = 0


Message = Progress | ListRead | Hashes

_encode = msgspec.json.encode


class _Names:
    """The hashes of all names, in the order of the files."""

    def __init__(self) -> None:
        self.blocked = array("Q")
        self.excepted = array("Q")

    def __len__(self) -> int:
        return len(self.blocked) + len(self.excepted)

    def add(self, line: bytes) -> None:
        """Those of a line; raises NotAName, NotForDns."""
        hashes = self.excepted if is_exception(line) else self.blocked
        hashes.extend(map(hashed, names_of(line)))


def main() -> None:
    """Serve one request; whoever else wants the processor comes first."""
    if sys.platform != "win32":
        os.nice(10)
    paths = sys.stdin.buffer.read().split(b"\0")[:-1]
    write_all([os.fsdecode(path) for path in paths], sys.stdout.buffer)


def write_all(paths: list[str], out: IO[bytes]) -> None:
    """Read the lists in `paths`, and write what is in them."""
    names = _Names()
    for path in paths:
        _write(out, _read(path, names, out))
    blocked, excepted = _ordered(names.blocked), _ordered(names.excepted)
    _write(out, Hashes(len(blocked), len(excepted)))
    out.write(blocked)
    out.write(excepted)
    out.flush()


def _read(path: str, names: _Names, out: IO[bytes]) -> ListRead:
    """Append the hashes of the names in the file."""
    before, wrong, first_wrong, browsers = len(names), 0, 0, 0
    error = None
    try:
        with open_regular(Path(path)) as file:
            if file.read(len(BYTE_ORDER_MARK)) != BYTE_ORDER_MARK:
                file.seek(0)
            for number, line in enumerate(iter(lambda: file.readline(MAX_LINE), b""), start=1):
                try:
                    names.add(line)
                except NotForDns:
                    browsers += 1
                except NotAName:
                    wrong += 1
                    first_wrong = first_wrong or number
                if len(names) >= MAX_NAMES:
                    error = f"there are more than {MAX_NAMES:,} names in all lists"
                    break
                if not number % PROGRESS:
                    _write(out, Progress(len(names)))
    except OSError as failed:
        error = failed.strerror or str(failed)
    return ListRead(path, len(names) - before, wrong, first_wrong, error, browsers)


def _ordered(hashes: "array[int]") -> "array[int]":
    """Each of them once, in ascending order."""
    return array("Q", _without_repeats(sorted(hashes)))


def _without_repeats(ordered: list[int]) -> Iterator[int]:
    """Each number once."""
    return (number for before, number in pairwise(chain((-1,), ordered)) if number != before)


def _write(out: IO[bytes], message: Message) -> None:
    out.write(_encode(message) + b"\n")
    out.flush()


if __name__ == "__main__":
    main()
