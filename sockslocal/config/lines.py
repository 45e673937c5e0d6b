"""Where in a TOML text a key stands: `tomllib` says it for errors of syntax only.

The text is one that `tomllib` has accepted: every statement is known to be well formed, and a walk through it
needs no more grammar than where strings, arrays and inline tables end.
"""

import re
import tomllib
from itertools import count

Where = tuple[str | int, ...]
"""The keys that lead to a value; a number is a place in an array."""

DEEPEST = 4
"""Keys this deep are found: a longer one is no key of ours, and the table above it is enough to find it."""

_STRING = (
    r'"""(?:[^"\\]|\\.|""?(?!"))*+"{3,5}'
    r"|'''(?:[^']|''?(?!'))*+'{3,5}"
    r'|"(?:[^"\\\n]|\\.)*+"'
    r"|'[^'\n]*+'"
)
_PART = r"""(?:[A-Za-z0-9_-]++|"(?:[^"\\\n]|\\.)*+"|'[^'\n]*+')"""
_KEY = re.compile(rf"{_PART}(?:[ \t]*\.[ \t]*{_PART})*+")
_BETWEEN = re.compile(r"(?:[ \t\n,]++|#[^\n]*+)*+")
_HEADER = re.compile(r"\[\[?[ \t]*+")
_HEADER_END = re.compile(r"[ \t]*+\]\]?")
_EQUALS = re.compile(r"[ \t]*+=[ \t]*+")
_SCALAR = re.compile(rf"{_STRING}|[^,\]}}#\n]++", re.DOTALL)
_NESTED = re.compile(rf"""(?:{_STRING}|#[^\n]*+|[^\[\]{{}}"'#]++)*+""", re.DOTALL)


def line_of(text: str, where: Where) -> int | None:
    """The line, from 1, of `where` or of the nearest thing around it; None where that is the whole file."""
    text = text.replace("\r\n", "\n")
    found = _Scanner(text).scan()
    for end in range(min(len(where), DEEPEST), 0, -1):
        if where[:end] in found:
            return text.count("\n", 0, found[where[:end]]) + 1
    return None


class _Scanner:
    """One walk through a text; `_at` is how far it has come."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._found: dict[Where, int] = {}

    def scan(self) -> dict[Where, int]:
        """The offset of every key's first mention."""
        table: Where = ()
        while not self._ends_at(""):
            start = self._at
            if self._text[start] == "[":
                self._over(_HEADER)
                table = self._key((), start)
                self._over(_HEADER_END)
            else:
                self._pair(table)
        return self._found

    def _over(self, pattern: re.Pattern[str]) -> str:
        matched = pattern.match(self._text, self._at)
        assert matched is not None, "a text that tomllib refuses"  # noqa: S101  the precondition of the module
        self._at = matched.end()
        return matched[0]

    def _ends_at(self, closing: str) -> bool:
        """Step over blanks, comments and commas; whether `closing`, or the end if that is empty, follows."""
        self._over(_BETWEEN)
        if not closing:
            return self._at == len(self._text)
        if self._text[self._at] != closing:
            return False
        self._at += 1
        return True

    def _key(self, table: Where, start: int) -> Where:
        """Read a key below `table`, and note that it and what it is part of stand at `start`."""
        for name in _names(self._over(_KEY)):
            if len(table) < DEEPEST:
                table = (*table, name)
                self._found.setdefault(table, start)
        return table

    def _pair(self, table: Where) -> None:
        key = self._key(table, self._at)
        self._over(_EQUALS)
        self._value(key)

    def _value(self, key: Where) -> None:
        opening = self._text[self._at]
        if opening not in "[{":
            self._over(_SCALAR)
        elif len(key) >= DEEPEST:
            self._skip_nested()
        elif opening == "[":
            self._array(key)
        else:
            self._at += 1
            while not self._ends_at("}"):
                self._pair(key)

    def _array(self, key: Where) -> None:
        self._at += 1
        for place in count():
            if self._ends_at("]"):
                return
            self._found.setdefault((*key, place), self._at)
            self._value((*key, place))

    def _skip_nested(self) -> None:
        """Step over an array or inline table of any depth, without recursion."""
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
