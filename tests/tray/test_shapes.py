from itertools import combinations
from typing import get_args

import pytest

from sockslocal.health import State
from sockslocal_tray.shapes import GRID, INKS, Polygon, application, shapes

STATES: tuple[State, ...] = get_args(State)


def silhouette(polygons: tuple[Polygon, ...]) -> set[tuple[float, float]]:
    """All corners, whatever their colours."""
    return {point for polygon in polygons for point in polygon.points}


@pytest.mark.parametrize("state", STATES)
def test_every_state_fits_the_grid(state: State) -> None:
    """Nothing is cut off by the edge of the icon."""
    assert all(0 <= value <= GRID for point in silhouette(shapes(state)) for value in point)


@pytest.mark.parametrize(("one", "other"), list(combinations(STATES, 2)))
def test_states_differ_in_shape(one: State, other: State) -> None:
    """Not in colour alone."""
    assert silhouette(shapes(one)) != silhouette(shapes(other))


def test_the_program_s_icon_is_a_tile() -> None:
    """Its background goes from edge to edge, with round corners."""
    tile, *inner = application()
    assert {min(x for x, _ in tile.points), max(y for _, y in tile.points)} == {0, GRID}
    assert (0, 0) not in tile.points
    assert len(inner) == len(shapes("up"))


def test_all_inks_are_there_for_both_kinds_of_panel() -> None:
    """And those of lines are not the same."""
    assert INKS[True].keys() == INKS[False].keys()
    assert INKS[True]["line"] != INKS[False]["line"]
