"""Reads the file into a `Config`, or raises one ConfigError: what is wrong, where, and what mends it."""

import re
import shlex
import tomllib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from sockslocal.config.keys import KEYS
from sockslocal.config.model import Config, Limits
from sockslocal.config.sections import Reader, limits, server
from sockslocal.config.table import Source, Table, TooManyFaults
from sockslocal.errors import ConfigError
from sockslocal.files import read_bounded
from sockslocal.problems import problem

MAX_BYTES = 1 << 20
"""A configuration is written by hand; whatever is larger was given by mistake."""

RESERVED = "dns"
"""What `sockslocal on` and `off` call the resolver, so no forward can be called that."""

_Record = TypeVar("_Record")

_POSITION = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_SYNTAX = (
    ("Invalid value", "this is no value", 'put texts in quotes, like "127.0.0.1:5432"'),
    ("Illegal character '\\n'", "a text has no closing quote", "close it with a quote"),
    ("Cannot overwrite a value", "this key stands there twice", "keep one of the two"),
    ("Cannot declare", "this table stands there twice", "put all its keys under one of the two"),
    ("Expected '=' after", "this is no key with its value", "write it as: key = value"),
)
"""How an error of `tomllib` begins, the same for who never heard of TOML, and what mends it."""


def load(path: Path) -> Config:
    """The configuration in `path`. Raises ConfigError."""
    return parse(read_text(path), path)


def read_text(path: Path) -> str:
    """The text of `path`. Raises ConfigError; never waits, not even for the writer of a pipe."""
    try:
        content = read_bounded(path, MAX_BYTES)
    except FileNotFoundError:
        raise ConfigError(problem("config-missing", path=path), path) from None
    except PermissionError as error:
        raise _unreadable(path, str(error.strerror), f"chmod u+r {shlex.quote(str(path))}") from None
    except OSError as error:
        raise _unreadable(path, str(error.strerror), "sockslocal config path") from None
    try:
        return content.decode("utf-8-sig")  # some editors on Windows begin a file with a byte order mark
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _unreadable(path, "it is not UTF-8", "save it as UTF-8", line) from None


def check(path: Path) -> tuple[Config, list[ConfigError]]:
    """What of the configuration in `path` can be used, and all that is wrong with it.

    Raises ConfigError where it cannot be read at all.
    """
    source = Source(path, read_text(path))
    return examine(source, read_toml(source)), [*source.faults.values()]


def parse(text: str, path: Path) -> Config:
    """The configuration that `text` spells; `path` is for the errors. Raises ConfigError."""
    source = Source(path, text)
    config = examine(source, read_toml(source))
    if source.faults:
        raise next(iter(source.faults.values()))
    return config


def examine(source: Source, document: dict[str, Any]) -> Config:
    """What of the configuration that `document` holds can be used; what is wrong is noted in `source`."""
    try:
        return _examine(source, document)
    except TooManyFaults:
        return Config(source.path)


def _examine(source: Source, document: dict[str, Any]) -> Config:
    root = Table(source, (), document)
    root.check_keys(KEYS)
    servers = dict(_whole(source, root.tables("server"), server))
    group = document.get("server")
    reader = Reader(group if isinstance(group, dict) else ())  # what is wrong with a server is told once
    tcp = dict(_whole(source, _forwards(root, "tcp"), reader.tcp))
    taken = document.get("tcp")
    udp = dict(_whole(source, _forwards(root, "udp", taken if isinstance(taken, dict) else ()), reader.udp))
    dns = dict(_whole(source, filter(None, [root.table("dns")]), reader.dns))
    reader.listeners.check()
    bounds = dict(_whole(source, filter(None, [root.table("limits")]), limits))
    return Config(source.path, servers, tcp, udp, dns.get("dns"), bounds.get("limits", Limits()))


def _whole(
    source: Source, tables: Iterable[Table], read: Callable[[Table], _Record]
) -> Iterator[tuple[str, _Record]]:
    """The records of those `tables` that nothing is wrong with, by name."""
    for table in tables:
        faults = len(source.faults)
        record = read(table)
        if len(source.faults) == faults:
            yield table.name, record


def _forwards(root: Table, section: str, taken: Iterable[str] = ()) -> Iterator[Table]:
    """The tables of `section`, whose names are neither reserved nor those of other forwards."""
    for table in root.tables(section):
        if table.name == RESERVED:
            text = f"[{section}.{RESERVED}] needs another name: commands call the resolver so"
            root.source.note(table.error(None, text, f"choose another name, like {RESERVED}-{section}"))
        elif table.name in taken:
            text = f"there is a [tcp.{table.name}] and a [udp.{table.name}], but a name is for one forward"
            root.source.note(table.error(None, text, f"choose another name, like {table.name}-{section}"))
        else:
            yield table


def read_toml(source: Source) -> dict[str, Any]:
    """What the text says, as it stands there. Raises ConfigError where it is not TOML."""
    try:
        return tomllib.loads(source.text + "\n")  # without it, an error in the last line would have no line
    except tomllib.TOMLDecodeError as error:
        raise _syntax_error(source, str(error)) from None
    except RecursionError:
        raise source.error((), "lists are nested too deeply", "use fewer brackets") from None
    except ValueError:  # int() refuses to read for ever
        raise source.error((), "a number has too many digits", "use fewer digits") from None


def _syntax_error(source: Source, message: str) -> ConfigError:
    last = source.text.rstrip().count("\n") + 1
    position = _POSITION.search(message)
    if position is None or position[1] is None:
        line, text, remedy = last, "a list or a text is not closed", 'close it, with ] or """'
    else:
        line, text = int(position[1]), message[: position.start()]
        remedy = "correct the line; https://toml.io tells how the file is written"
        for beginning, plain, mending in _SYNTAX:
            if message.startswith(beginning):
                text, remedy = plain, mending
        text = f"{text} (column {position[2]})"
    if line >= last and source.text[-1:] != "\n":
        text = f"{text}; the file ends there: was it cut off?"
    return ConfigError(problem("config-invalid", text=text, remedy=remedy), source.path, line)


def _unreadable(path: Path, reason: str, remedy: str, line: int | None = None) -> ConfigError:
    return ConfigError(problem("config-unreadable", path=path, reason=reason, remedy=remedy), path, line)
