"""The icons as pictures, drawn at the size that a panel asks for."""

from functools import lru_cache
from typing import NamedTuple

from PIL import Image, ImageDraw

from sockslocal.health import State
from sockslocal_tray.shapes import GRID, INKS, shapes

_CANVAS, _FINEST = 512, 16
"""A pixel is drawn as 16 by 16, which are averaged; as fewer where that would be larger than the canvas."""

_HALF = 0.5
"""Pillow counts from the middle of a pixel."""

_KEPT = 32
"""Pictures kept: the states at the few sizes that one panel asks for."""


@lru_cache(_KEPT)
def draw(state: State, size: int, dark: bool) -> Image.Image:  # noqa: FBT001  a cache's key
    """The icon for `state` as a transparent square of `size` pixels, for a `dark` panel or a light one."""
    side = size * max(1, min(_FINEST, _CANVAS // size))
    scale = side / GRID
    image = Image.new("RGBA", (side, side))
    pen = ImageDraw.Draw(image)
    for polygon in shapes(state):
        points = [(x * scale - _HALF, y * scale - _HALF) for x, y in polygon.points]
        pen.polygon(points, fill=INKS[dark][polygon.ink])
    return image.resize((size, size), Image.Resampling.BOX)


class Drawing(NamedTuple):
    """An icon of no size yet; two that show the same are equal."""

    state: State
    dark: bool

    def at(self, size: int) -> Image.Image:
        """The picture at `size` pixels, which is not to be changed."""
        return draw(self.state, size, self.dark)
