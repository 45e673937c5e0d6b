"""Edits the configuration file for the user: only what changes is touched, so comments and layout stay.

Whatever comes out has to read, by `tomllib`, as exactly what was asked for, and as a valid
configuration; else the file stays as it was.
"""

import copy
import errno
import shlex
import tomllib
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sockslocal.config import rewrite
from sockslocal.config.load import build, read_text, read_toml
from sockslocal.config.model import Config
from sockslocal.config.rewrite import Setting
from sockslocal.config.table import Source, Table
from sockslocal.errors import ConfigError
from sockslocal.files import write_atomically
from sockslocal.problems import problem
from sockslocal.quoting import listed, quote

_SECTIONS = ("server", "tcp", "udp")


def add_server(path: Path, name: str, settings: Mapping[str, Setting]) -> Config:
    """Add `[server.NAME]` after the others; a missing file is made. Raises ConfigError, as all here do."""
    return _add(_File.read(path, may_be_missing=True), "server", name, settings)


def remove_server(path: Path, name: str) -> Config:
    """Remove `[server.NAME]`, which no forward may need."""
    file = _File.read(path)
    where = file.find("server", ("server",), name)
    users = [*file.document.get("tcp", ()), *file.document.get("udp", ()), *({"dns"} & file.document.keys())]
    if users and len(file.document["server"]) == 1:
        text = f"server {quote(name)} cannot be removed: it is the only one, and needed by {listed(users)}"
        raise Source(path, file.text).error(where, text, "add another server first, or remove what needs it")
    return _remove(file, where)


def add_forward(
    path: Path, kind: Literal["tcp", "udp"], name: str, settings: Mapping[str, Setting]
) -> Config:
    """Add `[tcp.NAME]` or `[udp.NAME]`."""
    return _add(_File.read(path, may_be_missing=True), kind, name, settings)


def remove_forward(path: Path, name: str) -> Config:
    """Remove the forward `name`."""
    file = _File.read(path)
    return _remove(file, file.find("forward", ("tcp", "udp"), name))


def set_forward(path: Path, name: str, changes: Mapping[str, Setting | None]) -> Config:
    """Change keys of the forward `name`; a key that becomes None is removed."""
    file = _File.read(path)
    where = file.find("forward", ("tcp", "udp"), name)
    wanted, text = copy.deepcopy(file.document), file.text
    table = wanted[where[0]][name]
    for key, setting in changes.items():
        table.pop(key, None)
        if setting is None:
            text = rewrite.without(text, (*where, key))
        else:
            table[key] = _plain(setting)
            text = rewrite.with_value(text, where, key, rewrite.rendered(setting))
    return file.replace(text, wanted, where)


@dataclass(frozen=True, slots=True)
class _File:
    """The file as it is before the edit."""

    path: Path
    text: str
    document: dict[str, Any]

    @classmethod
    def read(cls, path: Path, *, may_be_missing: bool = False) -> "_File":
        try:
            text = read_text(path)
        except ConfigError as error:
            if not may_be_missing or error.problem.code != "config-missing":
                raise
            text = ""
        source = Source(path, text)
        document = read_toml(source)
        root = Table(source, (), document)
        for section in _SECTIONS:
            deque(root.tables(section), maxlen=0)  # only what is made of named tables can be edited
        return cls(path, text, document)

    def find(self, kind: str, sections: tuple[str, ...], name: str) -> tuple[str, str]:
        """The section and the name of the table `name`."""
        known = {key: section for section in sections for key in self.document.get(section, {})}
        if name not in known:
            names = f"known are {listed(known)}" if known else "the file has none"
            raise ConfigError(problem("unknown-name", kind=kind, name=name, known=names), self.path)
        return known[name], name

    def replace(
        self, text: str, wanted: dict[str, Any], where: tuple[str, str], *, adds: bool = False
    ) -> Config:
        """Write `text`, if it says what is `wanted` and that is valid; `where` is the edited table."""
        config = build(Source(self.path, self.text, where, adds), wanted)
        if not _says(text, wanted):
            line = Source(self.path, self.text, where, adds).line(where)
            found = problem(
                "config-invalid",
                text=f"[{'.'.join(where)}] is written in a way that no command can change",
                remedy=f"edit {shlex.quote(str(self.path))}",
            )
            raise ConfigError(found, self.path, line)
        self._write(text)
        return config

    def _write(self, text: str) -> None:
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_atomically(self.path, text.encode())
        except OSError as error:
            folder = shlex.quote(str(self.path.parent))
            remedy = f"df {folder}" if error.errno in {errno.ENOSPC, errno.EDQUOT} else f"ls -ld {folder}"
            found = problem("config-unwritable", path=self.path, reason=error.strerror, remedy=remedy)
            raise ConfigError(found, self.path) from None


def _add(file: _File, section: str, name: str, settings: Mapping[str, Setting]) -> Config:
    where = (section, name)
    if name in file.document.get(section, {}):
        source = Source(file.path, file.text)
        raise source.error(where, f"there is a [{section}.{name}] already", "choose another name")
    wanted = copy.deepcopy(file.document)
    wanted.setdefault(section, {})[name] = {key: _plain(setting) for key, setting in settings.items()}
    lines = [
        f"[{section}.{rewrite.rendered_key(name)}]",
        *(f"{rewrite.rendered_key(key)} = {rewrite.rendered(value)}" for key, value in settings.items()),
    ]
    before = file.text.rstrip("\r\n")
    newline = rewrite.newline_of(file.text)
    text = (before + 2 * newline if before else "") + newline.join(lines) + newline
    return file.replace(text, wanted, where, adds=True)


def _remove(file: _File, where: tuple[str, str]) -> Config:
    wanted = copy.deepcopy(file.document)
    del wanted[where[0]][where[1]]
    return file.replace(rewrite.without(file.text, where), wanted, where)


def _says(text: str, wanted: dict[str, Any]) -> bool:
    """Whether `text` reads as `wanted`, sections that became empty aside."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return False
    return _without_empty(document) == _without_empty(wanted)


def _without_empty(document: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if value != {}}


def _plain(setting: Setting) -> str | bool | list[str]:
    return setting if isinstance(setting, str | bool) else list(setting)
