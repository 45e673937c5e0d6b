"""Changes the text of a TOML file at one place and leaves every other character as it is.

The text is cut where `lines` says that a value or a table stands. Libraries that make a tree of the
file and its comments can do more, but with a table they remove the comment above the next one.
"""

import json
import re
from collections.abc import Sequence

from sockslocal.config.lines import Mention, Where, mentions

Setting = str | bool | Sequence[str]
"""A value as the file has it; an address or a duration is a text."""

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def with_value(text: str, table: Where, key: str, value: str) -> str:
    """`text` with `value` for `key` of `table`: in the place of the old one, or on a line after the last."""
    known = mentions(text)
    for mention in known:
        if mention.where == (*table, key):
            return text[: mention.value] + value + text[mention.end :]
    last = max(mention.end for mention in known if mention.where[: len(table)] == table)
    end = _line_end(text, last)
    return f"{text[:end]}{newline_of(text)}{rendered_key(key)} = {value}{text[end:]}"


def without(text: str, where: Where) -> str:
    """`text` without the lines of `where`; comments before and after them stay."""
    for first, last in reversed(_runs(mentions(text), where)):
        text = _cut(text, _line_start(text, first), _line_end(text, last))
    return text


def moved_before(text: str, where: Where, other: Where) -> str:
    """`text` with the lines of `where` above those of `other`, which come before them.

    Both take along the comments right above them, and `where` those that end it.
    """
    known = mentions(text)
    (first, last), *_ = _runs(known, where)
    (place, _), *_ = _runs(known, other)
    start, end = _with_comments_above(text, first), _with_comments_below(text, last)
    place = _with_comments_above(text, place)
    newline = newline_of(text)
    return text[:place] + text[start:end] + 2 * newline + _cut(text, start, end)[place:]


def _cut(text: str, start: int, end: int) -> str:
    """`text` without the lines from `start` to `end`, and no two empty lines where they were."""
    before, after = text[:start], text[end:].removeprefix("\r").removeprefix("\n")
    if not before or before.endswith(("\n\n", "\n\r\n")):
        after = after.removeprefix("\r").removeprefix("\n")
    return before + after


def _with_comments_above(text: str, at: int) -> int:
    """Where the line of `at` starts, or the first of the comments right above it."""
    start = _line_start(text, at)
    while start and text[(above := _line_start(text, start - 1)) : start].lstrip().startswith("#"):
        start = above
    return start


def _with_comments_below(text: str, at: int) -> int:
    """Where the line of `at` ends, or the last of the comments right below it.

    Not where those lead to something else without an empty line between: they are about that, then.
    """
    end = last = at = _line_end(text, at)
    while at < len(text):
        start = text.index("\n", at) + 1
        at = _line_end(text, start)
        line = text[start:at].strip()
        if not line.startswith("#"):
            return end if line else last
        last = at
    return last


def _runs(known: list[Mention], where: Where) -> list[tuple[int, int]]:
    """From where to where `where` is spoken of without anything else between."""
    runs: list[tuple[int, int]] = []
    follows = False
    for mention in known:
        if mention.where[: len(where)] != where:
            follows = False
        elif follows:
            runs[-1] = runs[-1][0], max(runs[-1][1], mention.end)
        else:
            runs.append((mention.start, mention.end))
            follows = True
    return runs


def _line_start(text: str, at: int) -> int:
    """Where the line of `at` starts."""
    return text.rfind("\n", 0, at) + 1


def _line_end(text: str, at: int) -> int:
    """Where the line of `at` ends, before its line break."""
    end = text.find("\n", at)
    if end < 0:
        return len(text)
    return end - 1 if text[end - 1] == "\r" else end


def newline_of(text: str) -> str:
    """The line break that `text` has."""
    return "\r\n" if "\r\n" in text else "\n"


def rendered_key(key: str) -> str:
    """`key` in TOML, in quotes where it needs them."""
    return key if _BARE_KEY.fullmatch(key) else rendered(key)


def rendered(value: Setting) -> str:
    """The value in TOML; JSON's escapes are TOML's too, but it leaves DEL as it is."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
