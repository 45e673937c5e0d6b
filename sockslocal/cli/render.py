"""Errors and tables as a person reads them."""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from sockslocal.cli.propose import spelled
from sockslocal.cli.terminal import Line, Span, Style, write
from sockslocal.errors import ConfigError, SockslocalError
from sockslocal.problems import Problem

_GAP = "  "


def print_error(error: SockslocalError, config: Path | None = None) -> None:
    """What is wrong, where, and what mends it, on stderr; commands are for the file `config`."""
    write(sys.stderr, problem_lines(error.problem, config, where=_where(error)))


def print_warning(problem: Problem, config: Path) -> None:
    """As an error, for what does not keep the command from being done."""
    write(sys.stderr, problem_lines(problem, config, label="warning", style="warn"))


def problem_lines(
    problem: Problem,
    config: Path | None,
    *,
    where: str | None = None,
    label: str = "error",
    style: Style = "bad",
) -> list[Line]:
    """`error: …`, `  --> file:line` and `  help: …`."""
    lines: list[Line] = [(Span(f"{label}: ", style), Span(problem.text))]
    if where is not None:
        lines.append((Span("  --> ", "dim"), Span(where)))
    if problem.remedy:
        remedy = spelled(problem.remedy, config) if config else problem.remedy
        lines.append((Span("  help: ", "dim"), Span(remedy, "strong")))
    return lines


def _where(error: SockslocalError) -> str | None:
    if not isinstance(error, ConfigError) or error.path is None:
        return None
    if error.line is not None:
        return f"{short_path(error.path)}:{error.line}"
    return None if str(error.path) in error.problem.text else short_path(error.path)


def short_path(path: Path) -> str:
    """`path` from where the user stands, or from home."""
    for folder, prefix in ((Path.cwd, ""), (Path.home, "~/")):
        try:
            return f"{prefix}{path.absolute().relative_to(folder())}"
        except (ValueError, OSError, RuntimeError):  # elsewhere; a folder that was removed; no home
            continue
    return str(path)


def columns(rows: Sequence[Sequence[Span]]) -> list[Line]:
    """Rows of equal length as lines whose columns stand below each other."""
    widths = [max(len(cell.text) for cell in column) for column in zip(*rows, strict=True)]
    return [tuple(_padded(cell, width) for cell, width in zip(row, widths, strict=True)) for row in rows]


def _padded(cell: Span, width: int) -> Span:
    return Span(cell.text.ljust(width) + _GAP, cell.style)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[Line]:
    """A table with a header."""
    cells = [[Span(cell) for cell in row] for row in rows]
    return columns([[Span(name, "dim") for name in header], *cells])


def width_of_terminal() -> int:
    """Columns to use: the terminal's, 80 where there is none."""
    return shutil.get_terminal_size((80, 24)).columns
