from itertools import combinations
from typing import get_args

import pytest
from PIL import Image

from sockslocal.health import State
from sockslocal_tray.icons import Drawing, draw

STATES: tuple[State, ...] = get_args(State)
SIZES = (16, 22, 24, 32, 48, 256)


def grey(state: State, *, dark: bool) -> bytes:
    """The icon at 16 pixels as somebody sees it who sees no colours, on the panel it is for."""
    panel = Image.new("RGBA", (16, 16), "#2d2d2d" if dark else "#f0f0f0")
    panel.alpha_composite(draw(state, 16, dark))
    return panel.convert("L").tobytes()


@pytest.mark.parametrize("size", SIZES)
def test_an_icon_has_the_size_that_is_asked_for(size: int) -> None:
    """With transparent corners and something in it."""
    image = draw("up", size, True)
    assert (image.size, image.mode) == ((size, size), "RGBA")
    assert image.getpixel((0, 0)) == (0, 0, 0, 0)
    assert image.getchannel("A").getextrema() == (0, 255)


@pytest.mark.parametrize("dark", [True, False])
@pytest.mark.parametrize(("one", "other"), list(combinations(STATES, 2)))
def test_states_are_told_apart_without_colours(one: State, other: State, *, dark: bool) -> None:
    """At the smallest size: at least one pixel in sixteen is clearly lighter or darker."""
    pairs = zip(grey(one, dark=dark), grey(other, dark=dark), strict=True)
    assert sum(abs(a - b) > 40 for a, b in pairs) >= 16


@pytest.mark.parametrize("dark", [True, False])
@pytest.mark.parametrize("state", STATES)
def test_an_icon_stands_out_from_its_panel(state: State, *, dark: bool) -> None:
    """Its strongest pixels have the contrast that WCAG 2.1 asks of graphics, 3 to 1."""
    panel = 0x2D if dark else 0xF0
    furthest = max(grey(state, dark=dark), key=lambda value: abs(value - panel))
    lighter, darker = sorted((_luminance(furthest), _luminance(panel)), reverse=True)
    assert (lighter + 0.05) / (darker + 0.05) >= 3


def _luminance(grey: int) -> float:
    """WCAG 2.1's relative luminance."""
    share = grey / 255
    return float(share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4)


def test_a_drawing_is_drawn_once() -> None:
    """Panels ask for the same sizes again and again."""
    assert Drawing("up", True).at(22) is Drawing("up", True).at(22)


def test_drawings_that_show_the_same_are_equal() -> None:
    """So that an icon is only changed where it looks different."""
    assert Drawing("up", True) == Drawing("up", True)
    assert len({Drawing("up", True), Drawing("up", False), Drawing("off", True)}) == 3
