import runpy
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import get_args

import pytest

from sockslocal.health import State

SCRIPT = Path(__file__).parents[2] / "installer" / "linux" / "draw_icons.py"
FILES: dict[Path, str] = dict(runpy.run_path(str(SCRIPT))["files"]())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_theme_shows_what_the_tray_draws(path: Path) -> None:
    """Whoever changes the geometry draws the files anew: python installer/linux/draw_icons.py."""
    assert path.read_text() == FILES[path]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_icons_are_well_formed(path: Path) -> None:
    """A square of 16 by 16, with paths in it: other elements are not recoloured by GTK."""
    root = ET.fromstring(path.read_text())  # noqa: S314  our own
    assert root.get("viewBox") == "0 0 16 16"
    assert {element.tag.rpartition("}")[2] for element in root} == {"path"}


def test_each_state_has_an_icon() -> None:
    """And the program has one of its own."""
    names = {path.stem for path in FILES}
    assert names == {"sockslocal", *(f"sockslocal-{state}-symbolic" for state in get_args(State))}


def test_nothing_else_is_in_the_theme() -> None:
    """What is not drawn any more is removed."""
    theme = SCRIPT.parent / "icons"
    assert {path for path in theme.rglob("*") if path.is_file()} == set(FILES)
