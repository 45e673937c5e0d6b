"""Reads the file into a `Config`, or raises one ConfigError: what is wrong, where, and what mends it."""

import re
import shlex
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from sockslocal.config.keys import KEYS
from sockslocal.config.model import Config
from sockslocal.config.sections import Reader, server
from sockslocal.config.table import Source, Table
from sockslocal.errors import ConfigError
from sockslocal.files import read_bounded
from sockslocal.problems import problem

MAX_BYTES = 1 << 20
"""A configuration is written by hand; whatever is larger was given by mistake."""

RESERVED = "dns"
"""What `sockslocal on` and `off` call the resolver, so no forward can be called that."""

_POSITION = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_SYNTAX_REMEDIES = {
    "Invalid value": 'put texts in quotes, like "127.0.0.1:5432"',
    "Cannot overwrite a value": "this key stands twice: keep one of the two",
    "Cannot declare": "this table stands twice: make one of the two",
    "Expected '=' after a key": "write each key as: key = value",
    "": "correct the line; https://toml.io tells how the file is written",
}


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


def parse(text: str, path: Path) -> Config:
    """The configuration that `text` spells; `path` is for the errors. Raises ConfigError."""
    source = Source(path, text)
    return build(source, read_toml(source))


def build(source: Source, document: dict[str, Any]) -> Config:
    """The configuration that `document` holds. Raises ConfigError, which points into `source`."""
    root = Table(source, (), document)
    root.check_keys(KEYS)
    servers = {table.name: server(table) for table in root.tables("server")}
    reader = Reader(servers)
    tcp = {table.name: reader.tcp(table) for table in _forwards(root, "tcp")}
    udp = {table.name: reader.udp(table) for table in _forwards(root, "udp", tcp)}
    dns = root.table("dns")
    config = Config(source.path, servers, tcp, udp, None if dns is None else reader.dns(dns))
    reader.listeners.check()
    return config


def _forwards(root: Table, section: str, taken: Iterable[str] = ()) -> Iterator[Table]:
    """The tables of `section`, whose names are neither reserved nor those of other forwards."""
    for table in root.tables(section):
        if table.name == RESERVED:
            text = f'"{RESERVED}" is the name of the resolver, so [{section}.{RESERVED}] needs another'
            raise table.error(None, text, "choose another name")
        if table.name in taken:
            text = f"[tcp.{table.name}] and [udp.{table.name}] have one name, and commands need one for each"
            raise table.error(None, text, f"write [{section}.{table.name}-{section}]")
        yield table


def read_toml(source: Source) -> dict[str, Any]:
    """What the text says, as it stands there. Raises ConfigError where it is not TOML."""
    try:
        return tomllib.loads(source.text)
    except RecursionError:
        raise _syntax_error(source, "it is nested too deeply") from None
    except ValueError as error:  # TOMLDecodeError, or a number of more digits than Python reads
        raise _syntax_error(source, str(error)) from None


def _syntax_error(source: Source, message: str) -> ConfigError:
    position = _POSITION.search(message)
    what = _POSITION.sub("", message)
    remedy = next(remedy for begin, remedy in _SYNTAX_REMEDIES.items() if what.startswith(begin))
    line = None
    if position and position[1]:
        line = int(position[1])
        what = f"{what} (column {position[2]})"
    elif position:
        line = source.text.count("\n", 0, len(source.text.rstrip())) + 1
        what = f"{what}; the file ends in the middle of a line"
    found = problem("config-invalid", text=f"this is not TOML: {what}", remedy=remedy)
    return ConfigError(found, source.path, line)


def _unreadable(path: Path, reason: str, remedy: str, line: int | None = None) -> ConfigError:
    return ConfigError(problem("config-unreadable", path=path, reason=reason, remedy=remedy), path, line)
