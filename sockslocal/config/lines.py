"""Where in a TOML text its keys and values stand: `tomllib` says it for errors of syntax only.

The text is one that `tomllib` has accepted: every statement is known to be well formed, and a walk through it
needs no more grammar than where strings, arrays and inline tables end.
"""

import re
import tomllib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

Where = tuple[str | int, ...]
"""The keys that lead to a value; a number is a place in an array."""

DEEPEST = 4
"""Keys are followed so far: `[tcp.db] listen` and a place in its list. None that means anything is deeper."""

_STRING = (
    r'"""(?:[^"\\]|\\.|""?(?!"))*+"{3,5}'
    r"|'''(?:[^']|''?(?!'))*+'{3,5}"
    r'|"(?:[^"\\\n]|\\.)*+"'
    r"|'[^'\n]*+'"
)
_PART = r"""(?:[A-Za-z0-9_-]++|"(?:[^"\\\n]|\\.)*+"|'[^'\n]*+')"""
_KEY = re.compile(rf"{_PART}(?:[ \t]*\.[ \t]*{_PART})*+")
_BETWEEN = re.compile(r"(?:[ \t\r\n,]++|#[^\n]*+)*+")
_HEADER = re.compile(r"\[\[?[ \t]*+")
_HEADER_END = re.compile(r"[ \t]*+\]\]?")
_EQUALS = re.compile(r"[ \t]*+=[ \t]*+")
_SCALAR = re.compile(
    rf"{_STRING}|[^\s,\]}}#]++(?: [0-9][0-9:.Zz+-]*+)?", re.DOTALL
)  # a space within is a date's
_NESTED = re.compile(rf"""(?:{_STRING}|#[^\n]*+|[^\[\]{{}}"'#]++)*+""", re.DOTALL)


class Mention(NamedTuple):
    """A table's header, a key with its value, or an item of an array, by offsets into the text.

    `value` is where the value begins, and `end` where it ends; of a header, both are where that ends.
    """

    where: Where
    start: int
    value: int
    end: int


def line_of(text: str, known: Sequence[Mention], where: Where) -> int | None:
    """The line, from 1, of `where` or of the nearest thing around it; None where that is the whole file.

    `known` is what `mentions` says of `text`.
    """
    for length in range(len(where), 0, -1):
        for mention in known:
            if mention.where[:length] == where[:length]:
                return text.count("\n", 0, mention.start) + 1
    return None


def mentions(text: str) -> list[Mention]:
    """All that a text which `tomllib` accepts speaks of, in order; an inline table before what it holds."""
    return sorted(_Walk(text).run(), key=lambda mention: mention.start)


class _Walk:
    """One walk through a text; `_at` is how far it has come."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def run(self) -> Iterator[Mention]:
        table: Where = ()
        while not self._ends():
            start = self._at
            if self._text[start] == "[":
                self._over(_HEADER)
                table = self._key(())
                self._over(_HEADER_END)
                yield Mention(table, start, self._at, self._at)
            else:
                yield from self._pair(table)

    def _over(self, pattern: re.Pattern[str]) -> str:
        matched = pattern.match(self._text, self._at)
        assert matched is not None, "a text that tomllib refuses"  # noqa: S101  the precondition of the module
        self._at = matched.end()
        return matched[0]

    def _ends(self, closing: str = "") -> bool:
        """Step over blanks, comments and commas; whether `closing`, or the end if that is empty, follows."""
        self._over(_BETWEEN)
        if not closing or self._text[self._at] != closing:
            return self._at == len(self._text)
        self._at += 1
        return True

    def _key(self, table: Where) -> Where:
        """Step over a key below `table`."""
        return (*table, *_names(self._over(_KEY)))[:DEEPEST]

    def _pair(self, table: Where) -> Iterator[Mention]:
        start = self._at
        key = self._key(table)
        self._over(_EQUALS)
        yield from self._value(key, start)

    def _value(self, key: Where, start: int) -> Iterator[Mention]:
        """Step over the value of `key`, whose mention begins at `start`."""
        value = self._at
        opening = self._text[value]
        if opening not in "[{":
            self._over(_SCALAR)
        elif len(key) >= DEEPEST:
            self._skip_nested()
        elif opening == "[":
            yield from self._items(key)
        else:
            self._at += 1
            while not self._ends("}"):
                yield from self._pair(key)
        yield Mention(key, start, value, self._at)

    def _items(self, key: Where) -> Iterator[Mention]:
        self._at += 1
        place = 0
        while not self._ends("]"):
            yield from self._value((*key, place), self._at)
            place += 1

    def _skip_nested(self) -> None:
        """Step over an array or inline table of any depth."""
        depth = 0
        while True:
            depth += 1 if self._text[self._at] in "[{" else -1
            self._at += 1
            if not depth:
                return
            self._over(_NESTED)


def _names(key: str) -> list[str]:
    """The parts of a dotted key, unquoted."""
    if '"' not in key and "'" not in key:
        return [part.strip() for part in key.split(".")]
    names = []
    table: object = tomllib.loads(f"{key} = 0")
    while isinstance(table, dict):
        ((name, table),) = table.items()
        names.append(name)
    return names
