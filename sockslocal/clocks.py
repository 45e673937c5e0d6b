"""Clocks that go on while the machine sleeps, and those that do not."""

import sys
import time
from typing import NamedTuple


def steady() -> float:
    """Seconds that go on while the machine sleeps, as TTLs do."""
    if sys.platform == "linux":
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    if sys.platform == "darwin":
        return time.clock_gettime(time.CLOCK_MONOTONIC)  # there it counts sleep, unlike time.monotonic
    return time.monotonic()


class Reading(NamedTuple):
    """What the clocks show at one moment, in seconds; `awake` stands still in sleep, where that is known."""

    awake: float
    steady: float
    wall: float


def read() -> Reading:
    """Now."""
    return Reading(time.monotonic(), steady(), time.time())


def lapse(before: Reading, now: Reading, expected_s: float) -> float:
    """The longest time of which nothing was noticed, where `expected_s` was to be between the two readings.

    It is that of a sleep, of a process that was stopped, or of a whole virtual machine; of that only the wall
    clock tells, once it is set. Setting it back tells nothing.
    """
    awake = now.awake - before.awake
    steady = now.steady - before.steady
    wall = now.wall - before.wall
    return max(awake - expected_s, steady - awake, wall - steady)
