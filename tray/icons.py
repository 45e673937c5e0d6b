"""The icons as pictures, drawn at the size that a panel asks for."""

from functools import lru_cache
from typing import NamedTuple

from PIL import Image, ImageDraw

from sockslocal.health import State
from sockslocal_tray.shapes import GRID, INKS, Polygon, shapes

Colour = tuple[int, int, int, int]

_CANVAS, _FINEST = 512, 16
"""A pixel is drawn as 16 by 16, which are averaged; as fewer where that would be larger than the canvas."""

_HALF = 0.5
"""Pillow counts from the middle of a pixel."""

_KEPT = 32
"""Pictures kept: the states at the few sizes that one panel asks for."""


_HALO: dict[bool, Colour] = {True: (0, 0, 0, 90), False: (255, 255, 255, 110)}
"""Around lines, for a panel of the other kind than was thought; on the right one nobody sees it."""


@lru_cache(_KEPT)
def draw(state: State, size: int, dark: bool) -> Image.Image:  # noqa: FBT001  a cache's key
    """The icon for `state` as a transparent square of `size` pixels, for a `dark` panel or a light one."""
    side = size * max(1, min(_FINEST, _CANVAS // size))
    image = Image.new("RGBA", (side, side))
    pen = ImageDraw.Draw(image)
    polygons = [(_scaled(polygon, side / GRID), polygon.ink) for polygon in shapes(state)]
    for points, ink in polygons:
        if ink in ("line", "faint"):
            pen.line([*points, *points[:2]], _HALO[dark], width=side // GRID, joint="curve")
    for points, ink in polygons:
        pen.polygon(points, INKS[dark][ink])
    return image.resize((size, size), Image.Resampling.BOX)


def _scaled(polygon: Polygon, scale: float) -> list[tuple[float, float]]:
    return [(x * scale - _HALF, y * scale - _HALF) for x, y in polygon.points]


class Drawing(NamedTuple):
    """An icon of no size yet; two that show the same are equal."""

    state: State
    dark: bool

    def at(self, size: int) -> Image.Image:
        """The picture at `size` pixels, which is not to be changed."""
        return draw(self.state, size, self.dark)
