"""What of a configuration may be shown to strangers: what is known to hold no secret, and nothing else.

Pure: its text in, its text out. It need not be TOML: a broken file is what reports are often about.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from sockslocal.config.keys import KEYS
from sockslocal.quoting import MAX_SHOWN, hide_userinfo

HIDDEN = "•••"

_KNOWN = {key for keys in KEYS.values() for key in keys}
_HEADER = re.compile(r"\[[^\[\]#]*\]")
_PAIR = re.compile(r"""(?P<key>[A-Za-z0-9_-]+|"[^"]*")\s*=\s*(?P<value>.*)""")
_PLAIN = re.compile(r"""("[^"]*"|'[^']*'|true|false|[0-9][0-9_.]*|\[[^\[\]{}#]*\])\s*(#.*)?""")
_SOURCE = re.compile(r"""["'](keyring|prompt|(?:file|systemd):[^"']*|command:[^\s"']*)(.*)["']""")
_WORD = re.compile(r"[^\s\"'=,\[\]{}]{4,}")
_RULES = "[dns.rules]"


class Redacted(NamedTuple):
    """The text without what was `hidden`, which is to be hidden wherever it may be quoted."""

    text: str
    hidden: frozenset[str]


def redact(text: str) -> Redacted:
    """The configuration `text` without comments, and without values that may hold a secret."""
    hidden: set[str] = set()
    lines: list[str] = []
    section = ""
    for line in _whole_lines(text):
        if header := _HEADER.match(line):
            section = header[0]
            lines.append(section)
        elif line and not line.startswith("#"):
            lines.append(_pair(line, section, hidden))
        elif not line:
            lines.append("")
    return Redacted("\n".join(lines) + "\n", frozenset(hidden))


def _whole_lines(text: str) -> Iterator[str]:
    """The lines, a list that goes over several of them as one."""
    begun = ""
    for line in map(str.strip, text.splitlines()):
        begun = f"{begun} {line}" if begun else line
        if "= [" in begun and "]" not in begun:
            continue
        yield begun
        begun = ""
    if begun:
        yield begun


def _pair(line: str, section: str, hidden: set[str]) -> str:
    pair = _PAIR.match(line)
    if pair is None:
        return _hide(line, hidden)
    key, value = pair["key"], pair["value"]
    plain = _PLAIN.fullmatch(value)
    if plain is None or not (key in _KNOWN or section == _RULES):
        return f"{key} = {_hide(value, hidden)}"
    if key == "password_from":
        return f"{key} = {_source(plain[1], hidden)}"
    shown = hide_userinfo(plain[1])
    if shown == plain[1]:
        return f"{key} = {shown}"
    return f"{key} = {_hide(value, hidden)}"


def _source(value: str, hidden: set[str]) -> str:
    """Where the password is; of a command only its name, for people put secrets into arguments."""
    source = _SOURCE.fullmatch(value)
    if source is None:
        return _hide(value, hidden)
    return f'"{source[1]} {_hide(source[2], hidden)}"' if source[2] else value


def _hide(value: str, hidden: set[str]) -> str:
    """Have the whole and its words hidden everywhere, also where an error shows only the beginning."""
    whole = value.strip().strip("\"'")
    for part in (whole, *_WORD.findall(value)):
        hidden.update(filter(None, (part, part[:MAX_SHOWN])))
    return HIDDEN
