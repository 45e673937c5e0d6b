"""Waiting for a state instead of for a time."""

import time
from collections.abc import Callable


def wait_until(predicate: Callable[[], bool], *, seconds: float, what: str) -> None:
    """Return as soon as `predicate` holds; fail with `what` where it does not within `seconds`."""
    deadline = time.monotonic() + seconds
    while not predicate():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        time.sleep(0.005)
