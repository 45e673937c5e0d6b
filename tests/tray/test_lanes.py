import threading

import pytest

from fakes.waiting import wait_until
from sockslocal_tray.lanes import Lane


class Deeds:
    """Notes what is done; what is called `slow` waits until it is let go, what is called `bad` fails."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.go_on = threading.Event()
        self.begun = threading.Event()

    def __call__(self, name: str) -> None:
        if name == "slow":
            self.begun.set()
            assert self.go_on.wait(10)
        if name == "bad":
            raise ValueError
        self.done.append(name)


@pytest.fixture
def deeds() -> Deeds:
    """Of this test."""
    return Deeds()


@pytest.fixture
def lane(deeds: Deeds) -> Lane[str]:
    """One that works."""
    made = Lane("lane", deeds)
    made.start()
    return made


def expect(deeds: Deeds, *names: str) -> None:
    """Exactly these are done, in this order."""
    wait_until(lambda: len(deeds.done) == len(names), seconds=10, what=f"{names} done")
    assert deeds.done == list(names)


def test_deeds_are_done_in_order(deeds: Deeds, lane: Lane[str]) -> None:
    """One after the other."""
    for name in ("a", "b", "c"):
        lane.put(name)
    expect(deeds, "a", "b", "c")


def test_a_slow_deed_keeps_nobody_waiting_who_asks(deeds: Deeds, lane: Lane[str]) -> None:
    """What waits already is not added again, and no more than a few wait."""
    lane.put("slow")
    assert deeds.begun.wait(10)
    for name in ["again", "again", *map(str, range(100))]:
        lane.put(name)
    deeds.go_on.set()
    expect(deeds, "slow", "again", *map(str, range(15)))


def test_a_deed_that_fails_is_not_the_end(deeds: Deeds, lane: Lane[str]) -> None:
    """The next one is done."""
    lane.put("bad")
    lane.put("good")
    expect(deeds, "good")
