"""The data plane for a test: an engine in a loop, and proof afterwards that nothing was lost or left over."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from fakes import loops
from sockslocal.address import Endpoint
from sockslocal.net.datagrams import Batch, best_batch
from sockslocal.net.deadlines import Deadlines
from sockslocal.net.descriptors import DescriptorBudget
from sockslocal.net.engine import Engine
from sockslocal.net.login import Answer, Login
from sockslocal.net.pipes import PipePool
from sockslocal.net.poller import LoopPoller, Poller, best_poller
from sockslocal.net.server_addresses import ServerAddresses
from sockslocal.net.tls import Tls
from sockslocal.net.way import Way

Result = TypeVar("Result")

POLLERS: tuple[Callable[[], Poller], ...] = (best_poller, LoopPoller)
"""To parametrize tests with: this platform's own poller, and the portable one."""


class FakeClock:
    """Seconds that pass only when told to."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass."""
        self.now += seconds


async def until(predicate: Callable[[], object], what: str, *, seconds: float = 10.0) -> None:
    """Return as soon as `predicate` holds; fail with `what` where it does not within `seconds`."""
    deadline = time.monotonic() + seconds
    while not predicate():  # what is waited for has no event
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        await asyncio.sleep(0.002)


async def turns(count: int = 5) -> None:
    """Let the loop turn: what is ready by now is handled."""
    for _ in range(count):
        await asyncio.sleep(0.001)


class Timers:
    """In place of a poller's: what is to be called later is called when the test says so."""

    def __init__(self, engine: Engine) -> None:
        self.seconds: list[float] = []
        """Of all that were ever set."""
        self.pending: Callable[[], None] | None = None
        engine.poller.later = self._later  # type: ignore[method-assign]

    def fire(self) -> None:
        """Call the one that was set last."""
        callback, self.pending = self.pending, None
        assert callback is not None, "no timer is set"
        callback()

    def _later(self, seconds: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        self.seconds.append(seconds)
        self.pending = callback
        return _Timer(self)  # type: ignore[return-value]  # of it only `cancel` is used


class _Timer:
    def __init__(self, timers: Timers) -> None:
        self._timers = timers
        self._callback = timers.pending

    def cancel(self) -> None:
        if self._timers.pending is self._callback:
            self._timers.pending = None


class _Errors(logging.Handler):
    """Errors that nobody but the log is told of."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.found.append(logging.Formatter().format(record))


@contextmanager
def error_log() -> Iterator[list[str]]:
    """The errors that are logged until the end of the block."""
    errors = _Errors()
    logging.getLogger().addHandler(errors)
    try:
        yield errors.found
    finally:
        logging.getLogger().removeHandler(errors)


def make_engine(
    poller: Poller, batch: Batch, clock: Callable[[], float] = time.monotonic, descriptors: int = 4_096
) -> Engine:
    """An engine of these parts; `descriptors` is how many it believes to have."""
    budget = DescriptorBudget(descriptors)
    return Engine(
        poller=poller,
        deadlines=Deadlines(clock),
        batch=batch,
        pipes=PipePool(budget.ceiling),
        budget=budget,
        clock=clock,
    )


async def assert_nothing_is_left(engine: Engine) -> None:
    """Fail where sockets stay watched, pipes lent, descriptors promised, or tasks."""
    await until(lambda: not engine.poller._handlers, "no sockets are watched")
    await until(lambda: not engine.deadlines._mortals, "no deadlines are watched")
    assert engine.budget.promised == 0, "a dial still has a descriptor promised"
    assert engine.pipes.lent == 0, "a pipe was not given back"
    await until(lambda: asyncio.all_tasks() == {asyncio.current_task()}, "no tasks are running")


def run(test: Callable[[Engine], Awaitable[Result]]) -> Result:
    """Run `test` with an engine, as the fixture of that name is one."""

    async def main() -> Result:
        engine = make_engine(best_poller(), best_batch())
        try:
            result = await test(engine)
            await assert_nothing_is_left(engine)
        finally:
            engine.stop()
        return result

    with error_log() as errors:
        result = loops.run(main())
    assert not errors, "\n".join(errors)
    return result


class Told:
    """Callables that remember what they were called with."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def __call__(self, value: Any) -> None:
        self.calls.append(value)

    @property
    def last(self) -> Any:
        return self.calls[-1]


def way_to(
    address: tuple[str, int],
    answer: Answer = None,
    *,
    clock: Callable[[], float] = time.monotonic,
    connect_timeout: float = 10.0,
    tls: Tls | None = None,
) -> Way:
    """The way to a server whose login is settled."""
    endpoint = Endpoint(*address)
    login = Login("office", clock, lambda: False)
    login.settle(answer)
    return Way(
        name="office",
        endpoint=endpoint,
        addresses=ServerAddresses(endpoint, clock),
        login=login,
        connect_timeout=connect_timeout,
        password_remedy="sockslocal login office",
        reached=lambda _dial: None,
        missed=lambda _error: None,
        doubted=lambda: None,
        tls=tls,
    )
