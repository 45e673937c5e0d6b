"""Edits the configuration file for the user: only what changes is touched, so comments and layout stay.

Whatever comes out has to read, by `tomllib`, as exactly what was asked for, and no more may be wrong with it
than before; else the file stays as it was. One command edits at a time, so that no edit is lost.
"""

import copy
import os
import shlex
import tomllib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from sockslocal.config import rewrite
from sockslocal.config.keys import KEYS
from sockslocal.config.lines import Where
from sockslocal.config.load import examine, read_text, read_toml
from sockslocal.config.model import Config
from sockslocal.config.rewrite import Setting
from sockslocal.config.table import Source, Table
from sockslocal.errors import ConfigError
from sockslocal.files import remove_leftovers, unwritable_remedy, write_atomically
from sockslocal.locks import folder_lock
from sockslocal.problems import problem
from sockslocal.quoting import listed, quote

LOCK_SECONDS = 5.0
"""For another command that edits the file to have done so, which takes milliseconds."""

_SECTIONS = ("server", "tcp", "udp")


class Edited(NamedTuple):
    """What of the file can be used now, and what was wrong with it before and is still.

    `rerouted` has the forwards, and `dns`, that go through another server now as they name none, be they
    faulty or not.
    """

    config: Config
    faults: tuple[ConfigError, ...]
    rerouted: tuple[str, ...] = ()
    default: str = ""
    """The server that those go through."""


def add_server(path: Path, name: str, settings: Mapping[str, Setting]) -> Edited:
    """Add `[server.NAME]` after the others; a missing file is made. Raises ConfigError, as all here do."""
    with _editing(path, may_be_missing=True) as file:
        return _add(file, "server", name, settings)


def remove_server(path: Path, name: str) -> Edited:
    """Remove `[server.NAME]`, which no forward may need."""
    with _editing(path) as file:
        where = file.find("server", ("server",), name)
        needed_by = [*file.document.get("tcp", ()), *file.document.get("udp", ())]
        needed_by += {"dns"} & file.document.keys()
        if needed_by and len(file.document["server"]) == 1:
            needed = f"it is the only one, and needed by {listed(needed_by)}"
            text = f"server {quote(name)} cannot be removed: {needed}"
            remedy = "add another server first, or remove what needs it"
            raise Source(path, file.text).error(where, text, remedy)
        first, *others = file.document["server"]
        edited = _remove(file, where)
        if name != first or not others:
            return edited
        return edited._replace(rerouted=tuple(_by_default(file)), default=others[0])


def use_server(path: Path, name: str) -> Edited:
    """Make `[server.NAME]` the first one, which is the default: what names no server goes through it."""
    with _editing(path) as file:
        where = file.find("server", ("server",), name)
        servers = file.document["server"]
        first = next(iter(servers))
        wanted = {**file.document, "server": {name: servers[name], **servers}}
        text = file.text if name == first else rewrite.moved_before(file.text, where, ("server", first))
        edited = file.replace(text, wanted, where)
        return edited._replace(rerouted=() if name == first else tuple(_by_default(file)), default=name)


def _by_default(file: "_File") -> Iterator[str]:
    """The forwards, and `dns`, that go through the first server, as they name none."""
    document = file.document
    tables = {**document.get("tcp", {}), **document.get("udp", {}), "dns": document.get("dns")}
    return (name for name, table in tables.items() if isinstance(table, dict) and not table.get("server"))


def add_forward(
    path: Path, kind: Literal["tcp", "udp"], name: str, settings: Mapping[str, Setting]
) -> Edited:
    """Add `[tcp.NAME]` or `[udp.NAME]`."""
    _refuse_misplaced(kind, name, settings)
    with _editing(path, may_be_missing=True) as file:
        return _add(file, kind, name, settings)


def remove_forward(path: Path, name: str) -> Edited:
    """Remove the forward `name`."""
    with _editing(path) as file:
        return _remove(file, file.find("forward", ("tcp", "udp"), name))


def set_forward(path: Path, name: str, changes: Mapping[str, Setting | None]) -> Edited:
    """Change keys of the forward `name`; a key that becomes None is removed."""
    with _editing(path) as file:
        where = file.find("forward", ("tcp", "udp"), name)
        _refuse_misplaced(where[0], name, changes)
        wanted = copy.deepcopy(file.document)
        text = _granted(wanted, file.text, Wish(where, changes))
        return file.replace(text, wanted, where, edited=[(*where, key) for key in changes])


class Wish(NamedTuple):
    """What is to be in a table: keys with their values; one that is None goes, others stay."""

    where: tuple[str, ...]
    settings: Mapping[str, Setting | None]


def put(path: Path, wishes: Sequence[Wish]) -> Edited:
    """Make all `wishes` come true at once, or none; tables and the file are made where they are missing."""
    with _editing(path, may_be_missing=True) as file:
        wanted, text = copy.deepcopy(file.document), file.text
        for wish in wishes:
            text = _granted(wanted, text, wish)
        return file.replace(text, wanted, wishes[0].where, edited=[wish.where for wish in wishes])


def _granted(document: dict[str, Any], text: str, wish: Wish) -> str:
    """`text` as wished; `document`, which is what it says, becomes so too."""
    *sections, name = wish.where
    for section in sections:
        document = document.setdefault(section, {})
    given = {key: setting for key, setting in wish.settings.items() if setting is not None}
    if name not in document:
        document[name] = {key: _plain(setting) for key, setting in given.items()}
        return _with_table(text, wish.where, given)
    for key, setting in wish.settings.items():
        old = document[name].pop(key, None)
        if setting is None:
            text = rewrite.without(text, (*wish.where, key))
            continue
        document[name][key] = _plain(setting)
        if old != document[name][key]:
            text = rewrite.with_value(text, wish.where, key, rewrite.rendered(setting))
    return text


@dataclass(frozen=True, slots=True)
class _File:
    """The file as it is before the edit."""

    path: Path
    text: str
    document: dict[str, Any]

    @classmethod
    def read(cls, path: Path, *, may_be_missing: bool) -> "_File":
        try:
            text = read_text(path)
        except ConfigError as error:
            if not may_be_missing or error.problem.code != "config-missing":
                raise
            text = ""
        source = Source(path, text)
        document = read_toml(source)
        for section in _SECTIONS:
            Table(source, (), document).group(section)  # only what is made of tables can be edited
        return cls(path, text, document)

    def find(self, kind: str, sections: tuple[str, ...], name: str) -> tuple[str, str]:
        """The section and the name of the table `name`."""
        known = {key: section for section in sections for key in self.document.get(section, {})}
        if name not in known:
            names = f"known are {listed(known)}" if known else "the file has none"
            raise ConfigError(problem("unknown-name", kind=kind, name=name, known=names), self.path)
        return known[name], name

    def replace(
        self,
        text: str,
        wanted: dict[str, Any],
        where: tuple[str, ...],
        *,
        edited: Collection[Where] = (),
        adds: bool = False,
    ) -> Edited:
        """Write `text`, if it says what is `wanted`.

        `where` is the table that the edit is about, and `edited` what of it is new: nothing may be wrong
        with that, nor with anything that nothing was wrong with before.
        """
        before, after = (Source(self.path, self.text, where, adds) for _ in range(2))
        examine(before, self.document)
        config = examine(after, wanted)
        for fault in after.faults.values():
            if fault.where not in before.faults or _is_within(fault.where, edited):
                raise fault
        if not _says(text, wanted):
            found = problem(
                "config-invalid",
                text=f"[{'.'.join(where)}] is written in a way that no command can change",
                remedy=f"edit {shlex.quote(str(self.path))}",
            )
            raise ConfigError(found, self.path, after.line(where))
        self._write(text)
        return Edited(config, tuple(after.faults.values()))

    def _write(self, text: str) -> None:
        try:
            write_atomically(self.path, text.encode(), keep_mode=True)
        except OSError as error:
            remedy = unwritable_remedy(error, self.path)
            found = problem("config-unwritable", path=self.path, reason=error.strerror, remedy=remedy)
            raise ConfigError(found, self.path) from None


@contextmanager
def _editing(path: Path, *, may_be_missing: bool = False) -> Iterator[_File]:
    """The file, which no other command edits meanwhile; its folder is made where the file may be missing."""
    folder = Path(os.path.realpath(path)).parent
    if may_be_missing:
        with suppress(OSError):  # what hinders it hinders the writing too, and is told there
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with ExitStack() as stack:
        try:
            stack.enter_context(folder_lock(folder, LOCK_SECONDS))
        except TimeoutError:
            raise ConfigError(problem("config-busy", path=path, seconds=LOCK_SECONDS), path) from None
        remove_leftovers(path)
        yield _File.read(path, may_be_missing=may_be_missing)


def _refuse_misplaced(kind: str, name: str, keys: Iterable[str]) -> None:
    """Raise ConfigError for a key that only the other kind of forward has."""
    other = "udp" if kind == "tcp" else "tcp"
    for key in keys:
        if key in KEYS[other] and key not in KEYS[kind]:
            option = f"--{key.replace('_', '-')}"
            reason = f"{option} is for {other.upper()} forwards; {quote(name)} is a {kind.upper()} forward"
            raise ConfigError(problem("usage", reason=reason, remedy=f"leave out {option}"))


def _is_within(where: Where, places: Iterable[Where]) -> bool:
    return any(where[: len(place)] == place for place in places)


def _add(file: _File, section: str, name: str, settings: Mapping[str, Setting]) -> Edited:
    where = (section, name)
    if name in file.document.get(section, {}):
        source = Source(file.path, file.text)
        raise source.error(where, f"there is a [{section}.{name}] already", "choose another name")
    wanted = copy.deepcopy(file.document)
    wanted.setdefault(section, {})[name] = {key: _plain(setting) for key, setting in settings.items()}
    return file.replace(_with_table(file.text, where, settings), wanted, where, edited=[where], adds=True)


def _with_table(text: str, where: tuple[str, ...], settings: Mapping[str, Setting]) -> str:
    """`text` with a table more at its end."""
    lines = [
        f"[{'.'.join(map(rewrite.rendered_key, where))}]",
        *(f"{rewrite.rendered_key(key)} = {rewrite.rendered(value)}" for key, value in settings.items()),
    ]
    before, newline = text.rstrip("\r\n"), rewrite.newline_of(text)
    return (before + 2 * newline if before else "") + newline.join(lines) + newline


def _remove(file: _File, where: tuple[str, str]) -> Edited:
    wanted = copy.deepcopy(file.document)
    del wanted[where[0]][where[1]]
    return file.replace(rewrite.without(file.text, where), wanted, where)


def _says(text: str, wanted: dict[str, Any]) -> bool:
    """Whether `text` reads as `wanted`, sections that became empty aside."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return False
    same_order = [*document.get("server", ())] == [*wanted.get("server", ())]  # the first is the default
    return same_order and _without_empty(document) == _without_empty(wanted)


def _without_empty(document: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if value != {}}


def _plain(setting: Setting) -> str | bool | list[str]:
    return setting if isinstance(setting, str | bool) else list(setting)
