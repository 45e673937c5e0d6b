"""The clock that answers age by."""

import sys
import time


def steady() -> float:
    """Seconds that go on while the machine sleeps, as TTLs do."""
    if sys.platform == "linux":
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    if sys.platform == "darwin":
        return time.clock_gettime(time.CLOCK_MONOTONIC)  # there it counts sleep, unlike time.monotonic
    return time.monotonic()
