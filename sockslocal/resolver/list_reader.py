"""The child that reads block lists, so that a million names cost the daemon neither time nor garbage.

It is given paths on stdin, each ended by a NUL octet, and writes messages to stdout, a line of JSON each: how
far it is, what came of each file, and at last how many hashes follow, 8 octets each, in ascending order.
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
from sockslocal.resolver.block_list import NotAName, hashed, names_of

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
    """What came of one file: its names, lines that name nothing, the first of those, and why it ended."""

    path: str
    names: int = 0
    wrong: int = 0
    first_wrong: int = 0
    error: str | None = None


class Hashes(msgspec.Struct, frozen=True, tag="hashes"):
    """So many follow."""

    count: int


Message = Progress | ListRead | Hashes

_encode = msgspec.json.encode


def main() -> None:
    """Serve one request; whoever else wants the processor comes first."""
    if sys.platform != "win32":
        os.nice(10)
    paths = sys.stdin.buffer.read().split(b"\0")[:-1]
    write_all([os.fsdecode(path) for path in paths], sys.stdout.buffer)


def write_all(paths: list[str], out: IO[bytes]) -> None:
    """Read the lists in `paths`, and write what is in them."""
    hashes = array("Q")
    for path in paths:
        _write(out, _read(path, hashes, out))
    ordered = array("Q", _without_repeats(sorted(hashes)))
    _write(out, Hashes(len(ordered)))
    out.write(ordered)
    out.flush()


def _read(path: str, hashes: "array[int]", out: IO[bytes]) -> ListRead:
    """Append the hashes of the names in the file."""
    before, wrong, first_wrong = len(hashes), 0, 0
    error = None
    try:
        with open_regular(Path(path)) as file:
            for number, line in enumerate(iter(lambda: file.readline(MAX_LINE), b""), start=1):
                try:
                    hashes.extend(map(hashed, names_of(line)))
                except NotAName:
                    wrong += 1
                    first_wrong = first_wrong or number
                if len(hashes) >= MAX_NAMES:
                    error = f"there are more than {MAX_NAMES:,} names in all lists"
                    break
                if not number % PROGRESS:
                    _write(out, Progress(len(hashes)))
    except OSError as failed:
        error = failed.strerror or str(failed)
    return ListRead(path, len(hashes) - before, wrong, first_wrong, error)


def _without_repeats(ordered: list[int]) -> Iterator[int]:
    """Each number once."""
    return (number for before, number in pairwise(chain((-1,), ordered)) if number != before)


def _write(out: IO[bytes], message: Message) -> None:
    out.write(_encode(message) + b"\n")
    out.flush()


if __name__ == "__main__":
    main()
