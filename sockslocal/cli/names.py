"""`_names`: what the configuration names, for shells that complete a word; never an error."""

import contextlib
import tomllib
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sockslocal.cli.context import Context
from sockslocal.config.load import MAX_BYTES
from sockslocal.config.table import is_name
from sockslocal.files import read_bounded
from sockslocal.problems import ExitCode

_SECTIONS = {"forwards": ("tcp", "udp"), "switches": ("tcp", "udp"), "servers": ("server",)}


def show(arguments: Namespace, context: Context) -> int:
    """One name a line; none where the file cannot be read."""
    for name in _names(arguments.kind, _read(context.paths.config)):
        print(name)
    return ExitCode.DONE


def _read(path: Path) -> dict[str, Any]:
    with contextlib.suppress(OSError, ValueError, RecursionError):
        return tomllib.loads(read_bounded(path, MAX_BYTES).decode("utf-8-sig"))
    return {}


def _names(kind: str, document: dict[str, Any]) -> Iterator[str]:
    """What could be typed: what is no name might mean something to the shell."""
    for section in _SECTIONS[kind]:
        tables = document.get(section)
        if isinstance(tables, dict):
            yield from filter(is_name, tables)
    if kind == "switches" and "dns" in document:
        yield "dns"
