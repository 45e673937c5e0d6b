from collections.abc import Awaitable, Callable

import pytest

from fakes import loops
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


def watching(body: Callable[[Deadlines, FakeClock], Awaitable[None]]) -> None:
    """Run `body` with a watch of deadlines whose time is the test's."""

    async def main() -> None:
        clock = FakeClock()
        deadlines = Deadlines(clock)
        try:
            await body(deadlines, clock)
        finally:
            deadlines.stop()

    loops.run(main())


def test_expires_once() -> None:
    """When its deadline has come a thing expires, once; others live on."""

    async def body(deadlines: Deadlines, clock: FakeClock) -> None:
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

    watching(body)


def test_a_deadline_may_move() -> None:
    """What counts is the deadline of the moment."""

    async def body(deadlines: Deadlines, clock: FakeClock) -> None:
        thing = Thing(clock.now + 1)
        deadlines.add(thing)
        thing.deadline += 10
        clock.advance(5)
        await turns()
        assert not thing.expired
        thing.deadline = clock.now
        await until(lambda: thing.expired, "it expires")

    watching(body)


def test_discarded() -> None:
    """What was discarded does not expire; discarding it again does nothing."""

    async def body(deadlines: Deadlines, clock: FakeClock) -> None:
        thing = Thing(clock.now)
        deadlines.add(thing)
        deadlines.discard(thing)
        deadlines.discard(thing)
        await turns()
        assert not thing.expired

    watching(body)


def test_one_ends_another() -> None:
    """Of two that have expired at once, the first may discard the second."""

    async def body(deadlines: Deadlines, clock: FakeClock) -> None:
        first, second = Thing(clock.now), Thing(clock.now)
        first.then = lambda: deadlines.discard(second)
        second.then = lambda: deadlines.discard(first)
        deadlines.add(first)
        deadlines.add(second)
        await until(lambda: first.expired or second.expired, "one expires")
        await turns()
        assert first.expired + second.expired == 1

    watching(body)


def test_one_begins_another() -> None:
    """What expires may add a new one, as who retries does."""

    async def body(deadlines: Deadlines, clock: FakeClock) -> None:
        again = Thing(clock.now)
        first = Thing(clock.now, lambda: deadlines.add(again))
        deadlines.add(first)
        await until(lambda: again.expired, "the new one expires")

    watching(body)


def test_a_bug_in_one(caplog: pytest.LogCaptureFixture) -> None:
    """What one raises is logged, and the deadlines of the others hold."""

    async def body(deadlines: Deadlines, clock: FakeClock) -> None:
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

    watching(body)
    assert caplog.text.count("RuntimeError: bug") == 3


def test_no_timer_without_things() -> None:
    """The loop has a timer only while there is something to watch."""

    async def body(deadlines: Deadlines, clock: FakeClock) -> None:
        assert deadlines._timer is None
        thing = Thing(clock.now)
        deadlines.add(thing)
        assert deadlines._timer is not None
        await until(lambda: thing.expired, "it expires")
        assert deadlines._timer is None

    watching(body)


def test_stop() -> None:
    """Stopped, nothing expires any more; stopping twice does nothing."""

    async def body(deadlines: Deadlines, clock: FakeClock) -> None:
        thing = Thing(clock.now)
        deadlines.add(thing)
        deadlines.stop()
        deadlines.stop()
        await turns()
        assert not thing.expired

    watching(body)
