"""Writes the icons of the theme, from the same geometry that the tray draws.

Needs nothing but the packages of the checkout: python installer/linux/draw_icons.py
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import get_args

from sockslocal.health import State
from sockslocal_tray.shapes import GRID, INKS, Ink, Polygon, application, shapes

THEME = Path(__file__).parent / "icons" / "hicolor" / "scalable"

_CLASSES: dict[Ink, str] = {"green": "success", "amber": "warning", "red": "error"}
"""Whatever is of no class gets the panel's own colour, where it recolours symbolic icons as GTK does."""


def files() -> Iterator[tuple[Path, str]]:
    """Every file of the theme and its content."""
    yield THEME / "apps" / "sockslocal.svg", _document(application(), dark=True)
    for state in get_args(State):
        path = THEME / "status" / f"sockslocal-{state}-symbolic.svg"
        yield path, _document(shapes(state), dark=False)


def _document(polygons: Iterable[Polygon], *, dark: bool) -> str:
    lines = [_element(polygon, INKS[dark]) for polygon in polygons]
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{GRID}" height="{GRID}" viewBox="0 0 {GRID} {GRID}">'
    )
    return "\n".join([head, *lines, "</svg>", ""])


def _element(polygon: Polygon, inks: dict[Ink, str]) -> str:
    points = "L".join(f"{x:g},{y:g}" for x, y in polygon.points)
    kind = _CLASSES.get(polygon.ink)
    recoloured = f' class="{kind}"' if kind else ""
    return f'  <path{recoloured} fill="{inks[polygon.ink]}" d="M{points}Z"/>'


if __name__ == "__main__":
    for path, content in files():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
