import sys
import time

import pytest

from sockslocal import clocks
from sockslocal.clocks import Reading, lapse

BEFORE = Reading(awake=100.0, steady=500.0, wall=1_700_000_000.0)


def later(awake: float, steady: float | None = None, wall: float | None = None) -> Reading:
    """A reading after so many seconds; the clocks go alike where nothing else is said."""
    steady = awake if steady is None else steady
    wall = steady if wall is None else wall
    return Reading(BEFORE.awake + awake, BEFORE.steady + steady, BEFORE.wall + wall)


@pytest.mark.parametrize(
    ("now", "seconds"),
    [
        (later(2.0), 0.0),
        (later(9.0), 7.0),
        (later(2.0, 3_602.0), 3_600.0),
        (later(2.0, 2.0, 902.0), 900.0),
        (later(2.0, 2.0, -900.0), 0.0),
        (later(9.0, 69.0), 60.0),
    ],
    ids=["none", "stopped", "slept", "a paused machine", "set back", "slept and stopped"],
)
def test_time_that_passed_unnoticed(now: Reading, seconds: float) -> None:
    """The longest that one of the clocks tells, where 2 s were to pass."""
    assert lapse(BEFORE, now, 2.0) == pytest.approx(seconds)


def test_the_steady_clock_is_the_systems_own() -> None:
    """It counts the time asleep on Linux."""
    first = clocks.steady()
    assert clocks.steady() >= first
    if sys.platform == "linux":
        assert first == pytest.approx(time.clock_gettime(time.CLOCK_BOOTTIME), abs=5)


def test_a_reading_is_of_now() -> None:
    """By the three clocks."""
    first, second = clocks.read(), clocks.read()
    assert all(before <= after for before, after in zip(first, second, strict=True))
    assert lapse(first, second, 0.0) < 60
