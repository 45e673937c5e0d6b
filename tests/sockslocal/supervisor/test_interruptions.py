import itertools
import time
from collections.abc import Collection

import pytest

from fakes.engine import Timers
from sockslocal.clocks import Reading
from sockslocal.net.engine import Engine
from sockslocal.net.local_addresses import Local
from sockslocal.supervisor.interruptions import LONGEST_S, LOOK_SHARE, TICK_S, Interruptions

HOME, OFFICE = Local("192.0.2.7", up=True), Local("198.51.100.7", up=True)


class Made:
    """A machine whose clocks and addresses are the test's."""

    def __init__(self, engine: Engine) -> None:
        self.timers = Timers(engine)
        self.now = Reading(100.0, 500.0, 1_700_000_000.0)
        self.locals = frozenset({HOME})
        self.looks = 0
        self.error: OSError | None = None
        self.recoveries: list[set[str]] = []
        self.interruptions = Interruptions(engine.poller, self._recover, lambda: self.now, self._look)
        self.interruptions.start()

    def tick(self, awake: float = TICK_S, asleep: float = 0.0, wall: float = 0.0) -> None:
        """Time passes, and then it is looked."""
        now = self.now
        steady = awake + asleep
        self.now = Reading(now.awake + awake, now.steady + steady, now.wall + steady + wall)
        self.timers.fire()

    def _recover(self, gone: Collection[str]) -> None:
        self.recoveries.append(set(gone))

    def _look(self) -> frozenset[Local]:
        self.looks += 1
        if self.error is not None:
            raise self.error
        return self.locals


@pytest.fixture
def made(engine: Engine) -> Made:
    """One that was just started."""
    return Made(engine)


async def test_nothing_is_done_while_nothing_happens(made: Made) -> None:
    """Neither at the start, nor where a busy machine is late."""
    for awake in (TICK_S, TICK_S + 2.0, TICK_S):
        made.tick(awake)
    assert made.recoveries == []
    assert set(made.timers.seconds) == {TICK_S}


@pytest.mark.parametrize("how", [{"awake": 9.0}, {"asleep": 3600.0}, {"wall": 900.0}])
async def test_after_time_that_passed_unnoticed_all_is_looked_after(
    made: Made, how: dict[str, float], caplog: pytest.LogCaptureFixture
) -> None:
    """Once, whether the process was stopped, or the machine slept, or was stopped whole."""
    caplog.set_level("INFO")
    made.tick(**how)
    made.tick()
    assert made.recoveries == [set()]
    assert caplog.text.count("have passed unnoticed") == 1


async def test_the_clock_may_be_set_back(made: Made) -> None:
    """That says nothing of the network."""
    made.tick(wall=-3600.0)
    assert made.recoveries == []


async def test_addresses_that_are_lost_are_told(made: Made) -> None:
    """And those that come are a reason too, as is an interface that is connected."""
    made.locals = frozenset({OFFICE})
    made.tick()
    made.locals = frozenset({OFFICE, HOME})
    made.tick()
    made.locals = frozenset({OFFICE, HOME._replace(up=False)})
    made.tick()
    made.locals = frozenset({OFFICE, HOME})
    made.tick()
    made.tick()
    assert made.recoveries == [{HOME.address}, set(), set(), set()]


async def test_addresses_may_be_others_after_sleep(made: Made) -> None:
    """Both at once are one reason."""
    made.locals = frozenset()
    made.tick(asleep=3600.0)
    made.tick()
    assert made.recoveries == [{HOME.address}]


async def test_addresses_that_cannot_be_looked_at_are_as_before(made: Made) -> None:
    """A want of descriptors is no other network."""
    made.error = OSError("Too many open files")
    made.tick()
    assert made.recoveries == []
    made.tick(asleep=60.0)
    assert made.recoveries == [set()]


async def test_what_the_system_says_is_believed(made: Made) -> None:
    """Before the next look."""
    made.interruptions.woken()
    assert made.recoveries == [set()]


async def test_looking_takes_no_more_than_its_share(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with hundreds of interfaces is looked at seldom; one look that took long says nothing."""

    def looks_in(ticks: int, *, each_takes: float) -> int:
        clock = itertools.count(step=each_takes)
        monkeypatch.setattr(time, "thread_time", lambda: next(clock))
        before = made.looks
        for _ in range(ticks):
            made.tick()
        return made.looks - before

    assert looks_in(10, each_takes=0.0) == 10
    assert looks_in(1, each_takes=9.0) == 1
    assert looks_in(10, each_takes=0.0) == 10
    assert looks_in(11, each_takes=2 * TICK_S * LOOK_SHARE) == 6
    assert looks_in(1 + 2 * int(LONGEST_S / TICK_S), each_takes=9.0) == 3


async def test_stopped_it_notices_nothing(engine: Engine) -> None:
    """Its timer is gone, also where it was never started."""
    made = Made(engine)
    made.interruptions.stop()
    assert made.timers.pending is None
    Interruptions(engine.poller, made._recover).stop()
