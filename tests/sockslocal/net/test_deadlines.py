import asyncio
from collections.abc import Callable, Iterator

import pytest

from fakes.engine import FakeClock, turns, until
from sockslocal.net import deadlines as module
from sockslocal.net.deadlines import Deadlines


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PERIOD_S", 0.001)


class Thing:
    """Has a deadline, and does something when it has passed."""

    def __init__(self, deadline: float, then: Callable[[], None] = lambda: None) -> None:
        self.deadline = deadline
        self.then = then
        self.expired = 0

    def expire(self) -> None:
        self.expired += 1
        self.then()


@pytest.fixture
def deadlines(runner: asyncio.Runner, clock: FakeClock) -> Iterator[Deadlines]:
    """A watch of deadlines, in the loop of the test, whose time is the test's."""

    async def make() -> Deadlines:
        return Deadlines(clock)

    made = runner.run(make())
    yield made
    made.stop()


async def test_expires_once(deadlines: Deadlines, clock: FakeClock) -> None:
    """When its deadline has come a thing expires, once; others live on."""
    early, late = Thing(clock.now + 1), Thing(clock.now + 2)
    deadlines.add(early)
    deadlines.add(late)
    await turns()
    assert not early.expired
    clock.advance(1)
    await until(lambda: early.expired, "the early one expires")
    await turns()
    assert (early.expired, late.expired) == (1, 0)
    clock.advance(1)
    await until(lambda: late.expired, "the late one expires")


async def test_a_deadline_may_move(deadlines: Deadlines, clock: FakeClock) -> None:
    """What counts is the deadline of the moment."""
    thing = Thing(clock.now + 1)
    deadlines.add(thing)
    thing.deadline += 10
    clock.advance(5)
    await turns()
    assert not thing.expired
    thing.deadline = clock.now
    await until(lambda: thing.expired, "it expires")


async def test_discarded(deadlines: Deadlines, clock: FakeClock) -> None:
    """What was discarded does not expire; discarding it again does nothing."""
    thing = Thing(clock.now)
    deadlines.add(thing)
    deadlines.discard(thing)
    deadlines.discard(thing)
    await turns()
    assert not thing.expired


async def test_one_ends_another(deadlines: Deadlines, clock: FakeClock) -> None:
    """Of two that have expired at once, the first may discard the second."""
    first, second = Thing(clock.now), Thing(clock.now)
    first.then = lambda: deadlines.discard(second)
    second.then = lambda: deadlines.discard(first)
    deadlines.add(first)
    deadlines.add(second)
    await until(lambda: first.expired or second.expired, "one expires")
    await turns()
    assert first.expired + second.expired == 1


async def test_one_begins_another(deadlines: Deadlines, clock: FakeClock) -> None:
    """What expires may add a new one, as who retries does."""
    again = Thing(clock.now)
    first = Thing(clock.now, lambda: deadlines.add(again))
    deadlines.add(first)
    await until(lambda: again.expired, "the new one expires")


async def test_a_bug_in_one(deadlines: Deadlines, clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    """What one raises is logged, and the deadlines of the others hold."""

    def bug() -> None:
        raise RuntimeError("bug")

    things = [Thing(clock.now, bug if index % 2 else lambda: None) for index in range(6)]
    for thing in things:
        deadlines.add(thing)
    later = Thing(clock.now + 1)
    deadlines.add(later)
    await until(lambda: all(thing.expired for thing in things), "all expire")
    clock.advance(1)
    await until(lambda: later.expired, "the later one expires")
    assert caplog.text.count("RuntimeError: bug") == 3


async def test_no_timer_without_things(deadlines: Deadlines, clock: FakeClock) -> None:
    """The loop has a timer only while there is something to watch."""
    assert deadlines._timer is None
    thing = Thing(clock.now)
    deadlines.add(thing)
    assert deadlines._timer is not None
    await until(lambda: thing.expired, "it expires")
    assert deadlines._timer is None


async def test_stop(deadlines: Deadlines, clock: FakeClock) -> None:
    """Stopped, nothing expires any more; stopping twice does nothing."""
    thing = Thing(clock.now)
    deadlines.add(thing)
    deadlines.stop()
    deadlines.stop()
    await turns()
    assert not thing.expired
