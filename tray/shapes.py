"""The icons as geometry: a tunnel's mouth, and in it or beside it how it does.

Each state is told by its shape alone, for those who see colours badly and for panels that show none. All is
polygons on a grid of 16 by 16, whose lines fall between pixels at the sizes of most panels.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from sockslocal.health import State

GRID = 16
"""Units of width and of height."""

Ink = Literal["line", "faint", "green", "blue", "amber", "red", "mark", "cross", "tile"]
Point = tuple[float, float]


class Polygon(NamedTuple):
    """A filled area."""

    points: tuple[Point, ...]
    ink: Ink


INKS: dict[bool, dict[Ink, str]] = {
    True: {
        "line": "#f4f4f4",
        "faint": "#b4b4b4",
        "green": "#4ade80",
        "blue": "#7cc0ff",
        "amber": "#ffc53d",
        "red": "#f03e3e",
        "mark": "#1c1c1c",
        "cross": "#ffffff",
        "tile": "#233042",
    },
    False: {
        "line": "#2e2e2e",
        "faint": "#7a7a7a",
        "green": "#15803d",
        "blue": "#1d5fc4",
        "amber": "#b86e00",
        "red": "#c81e1e",
        "mark": "#ffffff",
        "cross": "#ffffff",
        "tile": "#233042",
    },
}
"""The inks for a dark panel (True) and for a light one."""

_CENTRE = 8.0
_OUTER, _INNER = 7.0, 5.0  # radii of the arch: it is two units thick
_FLOOR = 15.0
_STEP = math.radians(6)


def shapes(state: State) -> tuple[Polygon, ...]:
    """What is drawn for `state`, in this order."""
    return _SHAPES[state]


def application() -> tuple[Polygon, ...]:
    """The program's own icon: the tunnel that carries, on a tile, in the inks for dark panels."""
    return (_tile(3.0), *(_shrunk(polygon, 0.62) for polygon in shapes("up")))


def _arc(x: float, y: float, radius: float, start: float, end: float) -> list[Point]:
    """Points from `start` to `end`, in degrees from the right; 90 is the top."""
    first, last = math.radians(start), math.radians(end)
    count = max(2, math.ceil(abs(last - first) / _STEP) + 1)
    angles = [first + (last - first) * number / (count - 1) for number in range(count)]
    return [(x + radius * math.cos(angle), y - radius * math.sin(angle)) for angle in angles]


def _polygon(points: Iterable[Point], ink: Ink) -> Polygon:
    return Polygon(tuple((round(x, 3), round(y, 3)) for x, y in points), ink)


def _disc(x: float, y: float, radius: float, ink: Ink) -> Polygon:
    return _polygon(_arc(x, y, radius, 0, 354), ink)


def _bar(start: Point, end: Point, width: float, ink: Ink) -> Polygon:
    """A straight line with square ends."""
    along_x, along_y = end[0] - start[0], end[1] - start[1]
    length = math.hypot(along_x, along_y)
    across_x, across_y = -along_y / length * width / 2, along_x / length * width / 2
    corners = [
        (start[0] + across_x, start[1] + across_y),
        (end[0] + across_x, end[1] + across_y),
        (end[0] - across_x, end[1] - across_y),
        (start[0] - across_x, start[1] - across_y),
    ]
    return _polygon(corners, ink)


def _tile(radius: float) -> Polygon:
    """The whole square, with round corners."""
    near, far = radius, GRID - radius
    corners = [(far, near, 90, 0), (far, far, 0, -90), (near, far, -90, -180), (near, near, 180, 90)]
    return _polygon(
        [point for x, y, start, end in corners for point in _arc(x, y, radius, start, end)], "tile"
    )


def _shrunk(polygon: Polygon, share: float) -> Polygon:
    middle = GRID / 2
    points = [(middle + (x - middle) * share, middle + (y - middle) * share) for x, y in polygon.points]
    return _polygon(points, polygon.ink)


def _arch(ink: Ink) -> Polygon:
    """The whole tunnel's mouth."""
    outer = _arc(_CENTRE, _CENTRE, _OUTER, 180, 0)
    inner = _arc(_CENTRE, _CENTRE, _INNER, 0, 180)
    points = [
        (_CENTRE - _OUTER, _FLOOR),
        *outer,
        (_CENTRE + _OUTER, _FLOOR),
        (_CENTRE + _INNER, _FLOOR),
        *inner,
        (_CENTRE - _INNER, _FLOOR),
    ]
    return _polygon(points, ink)


_CUT = 6.0
"""Below this, and right of the middle, is the place of a badge."""


def _broken_arch(ink: Ink) -> Polygon:
    """The mouth without its right leg, where the badge is."""
    outer = _arc(_CENTRE, _CENTRE, _OUTER, 180, _angle(_OUTER))
    inner = _arc(_CENTRE, _CENTRE, _INNER, _angle(_INNER), 180)
    return _polygon([(_CENTRE - _OUTER, _FLOOR), *outer, *inner, (_CENTRE - _INNER, _FLOOR)], ink)


def _angle(radius: float) -> float:
    """Where the circle of `radius` meets the badge's place, on the right."""
    return math.degrees(math.asin((_CENTRE - _CUT) / radius))


_TRAIN = 3.0
"""Radius of what stands in the tunnel when it carries."""


def _train(ink: Ink) -> Polygon:
    roof = _arc(_CENTRE, _CENTRE, _TRAIN, 180, 0)
    return _polygon([(_CENTRE - _TRAIN, _FLOOR), *roof, (_CENTRE + _TRAIN, _FLOOR)], ink)


def _half_train(ink: Ink) -> Polygon:
    """As much of it as the badge leaves."""
    roof = _arc(_CENTRE, _CENTRE, _TRAIN, 180, 100)
    return _polygon([(_CENTRE - _TRAIN, _FLOOR), *roof, (roof[-1][0], _FLOOR)], ink)


def _warning() -> Sequence[Polygon]:
    return (
        _polygon([(11.5, 7.0), (16.0, 16.0), (7.0, 16.0)], "amber"),
        _polygon([(10.8, 10.0), (12.2, 10.0), (12.0, 13.0), (11.0, 13.0)], "mark"),
        _disc(11.5, 14.3, 0.8, "mark"),
    )


def _cross() -> Sequence[Polygon]:
    return (
        _disc(11.5, 11.5, 4.5, "red"),
        _bar((9.4, 9.4), (13.6, 13.6), 1.7, "cross"),
        _bar((9.4, 13.6), (13.6, 9.4), 1.7, "cross"),
    )


def _padlock() -> Sequence[Polygon]:
    shackle = [*_arc(11.5, 10.0, 3.0, 180, 0), (14.5, 11.5), (13.0, 11.5)]
    shackle += [*_arc(11.5, 10.0, 1.5, 0, 180), (10.0, 11.5), (8.5, 11.5)]
    return (
        _polygon(shackle, "amber"),
        _polygon([(7.5, 11.0), (15.5, 11.0), (15.5, 16.0), (7.5, 16.0)], "amber"),
        _polygon([(10.8, 12.2), (12.2, 12.2), (12.2, 14.4), (10.8, 14.4)], "mark"),
    )


_SHAPES: dict[State, tuple[Polygon, ...]] = {
    "off": (_arch("faint"),),
    "connecting": (_arch("line"), *(_disc(_CENTRE, y, 1.3, "blue") for y in (6.2, 9.9, 13.6))),
    "up": (_arch("line"), _train("green")),
    "degraded": (_broken_arch("line"), _half_train("green"), *_warning()),
    "failed": (_broken_arch("line"), *_cross()),
    "needs-unlock": (_broken_arch("line"), *_padlock()),
}
