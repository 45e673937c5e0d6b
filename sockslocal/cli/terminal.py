"""Printing: styled where a person reads, plain elsewhere, and never a control character from outside.

stdout is for data, stderr for talk.
"""

import os
import sys
from collections.abc import Iterable
from typing import Literal, NamedTuple, TextIO

from sockslocal.log import escape

Style = Literal["plain", "strong", "dim", "good", "bad", "warn"]

_CODES: dict[Style, str] = {"strong": "1", "dim": "2", "good": "32", "bad": "31", "warn": "33"}


class Span(NamedTuple):
    """Text in one style."""

    text: str
    style: Style = "plain"


Line = tuple[Span, ...]


def line(text: str, style: Style = "plain") -> Line:
    """A line in one style."""
    return (Span(text, style),)


def is_screen(stream: TextIO) -> bool:
    """Whether a person reads there, and the cursor can be moved."""
    return stream.isatty() and os.environ.get("TERM") != "dumb" and _understands_escapes()


def has_colour(stream: TextIO) -> bool:
    """Whether a person reads there and wants colour (https://no-color.org)."""
    return not os.environ.get("NO_COLOR") and is_screen(stream)


def has_unicode(stream: TextIO) -> bool:
    """Whether marks beyond ASCII can be shown."""
    return (stream.encoding or "").lower().replace("-", "").startswith("utf")


def text_of(line: Line, *, colour: bool) -> str:
    """The line as it is written."""
    return "".join(_painted(span, colour=colour) for span in line).rstrip()


def write(stream: TextIO, lines: Iterable[Line]) -> None:
    """Write `lines` to `stream`, in colour where that is wanted."""
    colour = has_colour(stream)
    stream.write("".join(f"{text_of(line, colour=colour)}\n" for line in lines))


def print_json(value: object, *, indent: int | None = 2) -> None:
    """`value` on stdout, in ASCII alone: no terminal can mistake a name for a command."""
    import json

    print(json.dumps(value, indent=indent), flush=True)


def say(text: str, style: Style = "plain") -> None:
    """Tell the person something that is not data."""
    write(sys.stderr, [line(text, style)])


def _painted(span: Span, *, colour: bool) -> str:
    text = escape(span.text)
    code = _CODES.get(span.style)
    return f"\x1b[{code}m{text}\x1b[0m" if colour and code and text else text


def _understands_escapes() -> bool:
    """Windows's console does once it is told to."""
    if sys.platform != "win32":
        return True
    import ctypes

    kernel = ctypes.windll.kernel32
    return all(kernel.SetConsoleMode(kernel.GetStdHandle(handle), 7) for handle in (-11, -12))
