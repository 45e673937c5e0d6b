import sys
import time

import pytest

from sockslocal.resolver.clock import steady


def test_the_clock_goes_on() -> None:
    """It is the system's own, which counts the time asleep on Linux."""
    first = steady()
    assert steady() >= first
    if sys.platform == "linux":
        assert first == pytest.approx(time.clock_gettime(time.CLOCK_BOOTTIME), abs=5)
