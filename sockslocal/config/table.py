"""Reads the values of one TOML table; whatever is wrong with one is one error that names its line.

What is wrong is noted, and reading goes on with something else in its place, so that all of it is found.
No error shows a value under a key that is called like a secret, nor what stands before an `@`.
"""

import difflib
import re
import shlex
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from sockslocal.config.keys import KEYS, RULE
from sockslocal.config.lines import Mention, Where, line_of, mentions
from sockslocal.errors import ConfigError
from sockslocal.problems import problem
from sockslocal.quoting import quote

MAX_ITEMS = 1_000
"""In one list: nobody writes more by hand."""

MAX_FAULTS = 50
"""More are not looked for: finding each in the text takes time."""

_SETTABLE = {"listen", "to", "server", "idle", "share"}
"""What `sockslocal forward set` can mend."""

_EXAMPLES = {"listen": "127.0.0.1:PORT", "to": "HOST:PORT", "server": "NAME", "address": "HOST:1080"}
"""What a command is shown with, where that says more than an example of the file."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_PASSWORD_KEYS = frozenset({"password", "passwd", "passphrase", "pass", "pw", "pwd", "secret"})
_SECRET_KEY = re.compile(r"pass|pwd|secret|token|credential|(?:^|[_-])(?:pw|key)(?:$|[_-])", re.IGNORECASE)

_Kind = TypeVar("_Kind", str, bool, int, list[Any], dict[str, Any])
_T = TypeVar("_T")
_D = TypeVar("_D")


class TooManyFaults(Exception):  # noqa: N818  it is what was found
    """There are `MAX_FAULTS` already."""


def is_name(text: str) -> bool:
    """Whether a server or a forward may be called so."""
    return _NAME.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class Source:
    """The text of the file, for errors to point into; `faults` are those that were noted, one for each place.

    Where a command edits the table `edited`, the text is the one before the edit: that is what the user sees.
    """

    path: Path
    text: str
    edited: tuple[str, ...] | None = None
    adds: bool = False
    faults: dict[Where, ConfigError] = field(default_factory=dict)
    _mentions: list[Mention] = field(default_factory=list, init=False, repr=False, compare=False)

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Within, a ConfigError is noted and goes no further."""
        try:
            yield
        except ConfigError as error:
            self.note(error)

    def note(self, fault: ConfigError) -> None:
        """Go on, though this is wrong; of several at one place the first is kept.

        Raises TooManyFaults: a file of which that much is wrong was given by mistake.
        """
        self.faults.setdefault(fault.where, fault)
        if len(self.faults) >= MAX_FAULTS:
            raise TooManyFaults

    def line(self, where: Where) -> int | None:
        """The line of `where`; None where that is not in the text yet."""
        if not where or (self.adds and where[:2] == self.edited):
            return None
        if not self._mentions:
            self._mentions.extend(mentions(self.text))
        return line_of(self.text, self._mentions, where)

    def error(self, where: Where, text: str, remedy: str) -> ConfigError:
        """The error that `text` is wrong with what stands at `where`."""
        found = problem("config-invalid", text=text, remedy=remedy)
        return ConfigError(found, self.path, self.line(where), where)


@dataclass(frozen=True, slots=True)
class Table:
    """The table that stands at `where`, the whole file if that is empty."""

    source: Source
    where: tuple[str, ...]
    values: dict[str, Any]

    @property
    def name(self) -> str:
        return self.where[-1]

    @property
    def subject(self) -> str:
        """How an error calls what the table describes."""
        match self.where:
            case ("server", name):
                return f"server {quote(name)}"
            case ("dns", _):
                return self.header
            case (_, name):
                return f"forward {quote(name)}"
            case _:
                return self.header

    @property
    def header(self) -> str:
        """How the table is called in the file."""
        return f"[{'.'.join(self.where)}]" if self.where else "the file"

    def error(self, key: str | None, text: str, remedy: str) -> ConfigError:
        """The error that `text` is wrong with `key`, or with the whole table if that is None."""
        return self.source.error(self.where if key is None else (*self.where, key), text, remedy)

    def called(self, key: str) -> str:
        """How an error calls the value of `key`."""
        return f"{quote(key)} of {self.subject}" if self.where else quote(key)

    @property
    def is_edited(self) -> bool:
        """Whether a command is about to change or add this table."""
        return self.where == self.source.edited

    def remedy(self, key: str, right: str | None = None) -> str:
        """What mends `key`, a command where there is one; `right` is a text that would do."""
        section = self.where[0]
        if len(self.where) == 2 and section == "dns":
            return f"write {quote(key)} = {quote(right) if right else RULE}"
        given = quote(right) if right else KEYS[section][key]
        if self.source.adds and self.is_edited:
            return self._adding(key, shlex.quote(right) if right else _EXAMPLES.get(key) or given.strip('"'))
        if section in {"tcp", "udp"} and key in _SETTABLE:
            option = shlex.quote(right) if right else _EXAMPLES.get(key) or given.strip('"')
            return f"sockslocal forward set {self.name} --{key} {option}"
        return f"write {key} = {given}"

    def _adding(self, key: str, option: str) -> str:
        """The command that adds this table, with `option` for `key`."""
        given = {other: _as_option(value) for other, value in self.values.items() if _may_show(other, value)}
        section, name = self.where
        given[key] = "" if KEYS[section][key] == "true" else option
        if section == "server":
            command = f"sockslocal server add {name} {given.pop('address', 'ADDRESS')}"
        else:
            places = f"{given.pop('listen', 'LISTEN')} {given.pop('to', 'TO')}"
            command = f"sockslocal forward add {section} {name} {places}"
        options = (f" --{other.replace('_', '-')} {value}".rstrip() for other, value in given.items())
        return command + "".join(options)

    def check_keys(self, known: Iterable[str]) -> None:
        """Note each key that is not one of `known`."""
        known = list(known)
        for key in self.values:
            if key.lower() in _PASSWORD_KEYS:
                self.source.note(self._password_error(key))
            elif key not in known:
                near = difflib.get_close_matches(key.lower(), known, n=1)
                remedy = f"did you mean {near[0]}?" if near else f"known here: {', '.join(known)}"
                self.source.note(self.error(key, f"unknown key {quote(key)} in {self.header}", remedy))

    def _password_error(self, key: str) -> ConfigError:
        login = f"sockslocal login {self.name}" if self.where[:1] == ("server",) else "sockslocal login"
        text = f"{quote(key)} in {self.header}: this file is no place for a password"
        return self.error(key, text, f"delete the line, then: {login}")

    def group(self, section: str) -> dict[str, dict[str, Any]]:
        """What stands in `section`, by name. Raises ConfigError where that is no group of tables."""
        group = self._typed(section, dict, f"tables [{section}.NAME]", {})
        for name, values in group.items():
            if not isinstance(values, dict):
                text = f"{quote(name)} in [{section}] is no table; all keys stand in tables with a name"
                raise self.source.error((section, name), text, f"write [{section}.NAME] above it")
        return group

    def tables(self, section: str) -> Iterator["Table"]:
        """The named tables of `section`, such as `[tcp.db]` and `[tcp.web]`."""
        group: dict[str, dict[str, Any]] = {}
        with self.source.noting():
            group = self.group(section)
        for name, values in group.items():
            table = Table(self.source, (section, name), values)
            if is_name(name):
                yield table
            else:
                kind = "server" if section == "server" else "forward"
                text = f"{quote(name)} is no name for a {kind}"
                remedy = "use letters, digits, - and _, a letter or digit first"
                self.source.note(table.error(None, text, remedy))

    def table(self, key: str) -> "Table | None":
        """The table `key`, or None where the file has none."""
        with self.source.noting():
            if key in self.values:
                where = (*self.where, key)
                return Table(self.source, where, self._typed(key, dict, f"a table [{'.'.join(where)}]", {}))
        return None

    def flag(self, key: str, *, default: bool) -> bool:
        """Whether `key` is true; `default` where it is not there."""
        with self.source.noting():
            return self._typed(key, bool, "true or false", default)
        return default

    def count(self, key: str, default: int, *, most: int) -> int:
        """The whole number `key`, from 1 to `most`; `default` where it is not there."""
        with self.source.noting():
            number = self._typed(key, int, "a whole number", default)
            if 1 <= number <= most:
                return number
            text = f"{self.called(key)} is {_shown(number)}; it has to be from 1 to {most}"
            raise self.error(key, text, self.remedy(key))
        return default

    def given(self, key: str, read: "Callable[[Value], _T]", default: _D) -> _T | _D:
        """What `read` makes of the text `key`; `default` where the table has none."""
        with self.source.noting():
            if key in self.values:
                return read(self._value(key))
        return default

    def needed(self, key: str, read: "Callable[[Value], _T]", default: _D) -> _T | _D:
        """What `read` makes of the text `key`, which has to be there; `default` where that cannot be."""
        if key not in self.values:
            self.source.note(self._missing(key))
        return self.given(key, read, default)

    def given_list(self, key: str) -> "list[Value]":
        """The texts of `key`, which may be one or a list of them; none where the table has no such key."""
        with self.source.noting():
            return self._values(key)
        return []

    def needed_list(self, key: str) -> "list[Value]":
        """As `given_list`, of what has to be there."""
        if key not in self.values:
            self.source.note(self._missing(key))
        return self.given_list(key)

    def _value(self, key: str) -> "Value":
        return Value(self, key, None, self._typed(key, str, "a text in quotes", ""))

    def _values(self, key: str) -> "list[Value]":
        given = self.values.get(key, [])
        if isinstance(given, str):
            return [Value(self, key, None, given)]
        if not isinstance(given, list):
            raise self._mistyped((key,), given, "a text in quotes or a list of them")
        if key in self.values and not given:
            raise self.error(key, f"{self.called(key)} is an empty list", self.remedy(key))
        if len(given) > MAX_ITEMS:
            raise self.error(key, f"{self.called(key)} has more than {MAX_ITEMS} items", "use fewer")
        return [self._item(key, place, item) for place, item in enumerate(given)]

    def _missing(self, key: str) -> ConfigError:
        return self.error(key, f"{self.subject} has no {quote(key)}", self.remedy(key))

    def _item(self, key: str, place: int, item: object) -> "Value":
        if not isinstance(item, str):
            raise self._mistyped((key, place), item, "a text in quotes")
        return Value(self, key, place, item)

    def _typed(self, key: str, kind: type[_Kind], wanted: str, default: _Kind) -> _Kind:
        value = self.values.get(key, default)
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise self._mistyped((key,), value, wanted)
        return value

    def _mistyped(self, where: tuple[str, *tuple[int, ...]], value: object, wanted: str) -> ConfigError:
        key = where[0]
        remedy = self.remedy(key) if self.where else f"write {wanted}"
        owner = f"an item in {self.called(key)}" if where[1:] else self.called(key)
        shown = "" if _SECRET_KEY.search(key) else f"{_shown(value)}, "
        text = f"{owner} is {shown}not {wanted}"
        return self.source.error((*self.where, *where), text, remedy)


@dataclass(frozen=True, slots=True)
class Value:
    """A text under `key`, at `place` of the list if it is in one; it can be complained about."""

    table: Table
    key: str
    place: int | None
    text: str

    @property
    def where(self) -> Where:
        return (*self.table.where, self.key, *(() if self.place is None else (self.place,)))

    @property
    def called(self) -> str:
        """How an error calls it."""
        return self.table.called(self.key)

    def error(self, text: str, remedy: str | None = None) -> ConfigError:
        """The error that `text` is wrong with this value; by default the remedy is the key's."""
        return self.table.source.error(self.where, text, remedy or self.remedy())

    def remedy(self, right: str | None = None) -> str:
        """What mends it; `right` is a text that would do."""
        if right and self.place is not None:
            return f"write {quote(right)} there"
        return self.table.remedy(self.key, right)


def _may_show(key: str, value: object) -> bool:
    """Whether the command that is proposed may repeat what `key` was given."""
    if value is True:
        return True
    if not isinstance(value, str) or not value.isprintable() or _SECRET_KEY.search(key):
        return False
    return key == "username" or "@" not in value


def _as_option(value: object) -> str:
    return "" if value is True else shlex.quote(str(value))


def _shown(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case str():
            return quote(value)
        case int() if abs(value) >= 10**15:
            return "a huge number"
        case int() | float():
            return f"the number {value}"
        case list() | dict():
            return "a list" if isinstance(value, list) else "a table"
        case _:
            return f"the date {value}"
