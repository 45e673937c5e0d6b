"""`server test`."""

import sys
import textwrap
from argparse import Namespace
from typing import Any

from sockslocal.cli.context import Context
from sockslocal.cli.outcome import warn_of_other
from sockslocal.cli.propose import config_of, same
from sockslocal.cli.render import columns, width_of_terminal
from sockslocal.cli.screen import ASCII, NO_SERVER, UNICODE, Marks
from sockslocal.cli.terminal import Line, Span, Style, has_unicode, is_screen, line, print_json, say, write
from sockslocal.control.client import Client
from sockslocal.errors import ConfigError
from sockslocal.paths import Paths
from sockslocal.problems import ExitCode, problem

_SECONDS = 20.0
"""More than the daemon takes, also where this test waits for others."""

_NARROWEST = 32
"""Columns in which a sentence can be read; with fewer it has lines of its own, with an indent."""

_INDENT = 4

_STYLES: dict[str, Style] = {"good": "good", "note": "warn", "bad": "bad"}


def test(arguments: Namespace, context: Context) -> int:
    """What the server does, found out now."""
    client = Client(context.paths, deadline=_SECONDS)
    name = arguments.name or _first(client, context.paths)
    if is_screen(sys.stderr):
        say(f"testing {name} for a few seconds", "dim")
    report = client.call("server.test", name=name)
    if arguments.json:
        print_json(report)
    else:
        write(
            sys.stdout, lines_of(report, width_of_terminal(), UNICODE if has_unicode(sys.stdout) else ASCII)
        )
    return ExitCode.DONE


def _first(client: Client, paths: Paths) -> str:
    """The server that the daemon has first. Raises ConfigError where it has none."""
    status = client.status()
    if not same(config_of(status, paths.config), paths.config):
        warn_of_other(status)
    for name in status.servers:
        return name
    raise ConfigError(problem("config-invalid", text="there is no server to test", remedy=NO_SERVER))


def lines_of(report: dict[str, Any], width: int, marks: Marks) -> list[Line]:
    """The table, at most `width` columns wide where the words allow."""
    tested = f", at {report['address']}, tested in {report['seconds']:.1f} s"
    heading = (Span(report["server"], "strong"), Span(tested, "dim"))
    rows = report["rows"]
    left = columns([_cells(row, marks) for row in rows])
    taken = max((sum(len(span.text) for span in cells) for cells in left), default=0)
    beside = width - taken >= _NARROWEST
    indent = taken if beside else _INDENT
    lines: list[Line] = [heading, ()]
    for row, cells in zip(rows, left, strict=True):
        meaning = [Span(part, "dim") for part in textwrap.wrap(row["meaning"], max(width - indent, 1))]
        lines.append((*cells, *meaning[:1]) if beside else cells)
        lines += [(Span(" " * indent), part) for part in meaning[beside:]]
    return [*lines, (), line(report["summary"], "strong")]


def _cells(row: dict[str, Any], marks: Marks) -> tuple[Span, ...]:
    style = _STYLES.get(row["verdict"], "dim")
    mark = {"good": marks.good, "note": "!", "bad": marks.bad}.get(row["verdict"], marks.idle)
    return Span(mark, style), Span(row["title"]), Span(row["found"], style)
