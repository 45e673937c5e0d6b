"""Menus as text, as a person sees them."""

from collections.abc import Iterable, Iterator

from sockslocal_tray.menu import SEPARATOR, Row

_MARKS = {"none": "  ", "check": "☐ ", "radio": "○ "}
_CHECKED = {"check": "☑ ", "radio": "◉ "}


def drawn(rows: Iterable[Row], indent: str = "") -> str:
    """One line a row: its mark, its text, what it does; what cannot be chosen is in parentheses."""
    return "\n".join(_lines(rows, indent))


def _lines(rows: Iterable[Row], indent: str) -> Iterator[str]:
    for row in rows:
        if row == SEPARATOR:
            yield f"{indent}  ───"
            continue
        mark = _CHECKED[row.check] if row.checked else _MARKS[row.check]
        text = row.text if row.enabled else f"({row.text})"
        does = f"   [{' '.join(row.action).strip()}]" if row.action else ""
        yield f"{indent}{mark}{text}{' ▸' if row.children else ''}{does}{' *' if row.default else ''}"
        yield from _lines(row.children, indent + "    ")


def flat(rows: Iterable[Row]) -> list[Row]:
    """All rows, those of submenus too."""
    return [found for row in rows for found in (row, *flat(row.children))]
