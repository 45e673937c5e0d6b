"""Tests may be `async`; those that ask for an engine must leave nothing in it."""

import asyncio
import inspect
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fakes import loops
from fakes.engine import FakeClock, assert_nothing_is_left, error_log, make_engine
from fakes.socks5_server import FakeServer
from fakes.targets import tcp_echo, udp_echo
from sockslocal.address import Endpoint
from sockslocal.net import broker
from sockslocal.net.datagrams import Batch, best_batch
from sockslocal.net.engine import Engine
from sockslocal.net.poller import Poller, best_poller, new_loop

_failed = pytest.StashKey[bool]()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a test that is `async` in the loop of its fixtures, or in one of its own."""
    if not inspect.iscoroutinefunction(pyfuncitem.function):
        return None
    names = inspect.signature(pyfuncitem.function).parameters
    test = pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names})
    runner: Any = pyfuncitem.funcargs.get("runner", loops)
    pyfuncitem.stash[_failed] = True
    runner.run(test)
    pyfuncitem.stash[_failed] = False
    return True


@pytest.fixture
def runner(request: pytest.FixtureRequest) -> Iterator[asyncio.Runner]:
    """The loop of a test, for fixtures that have to run something in it."""
    quick = "quick_loop" in request.fixturenames
    with asyncio.Runner(loop_factory=loops.QuickLoop if quick else new_loop) as made:
        yield made


@pytest.fixture
def quick_loop(runner: asyncio.Runner) -> loops.QuickLoop:
    """A test that asks for it runs in it, and not in one that can have the data plane's poller."""
    loop = runner.get_loop()
    assert isinstance(loop, loops.QuickLoop)
    return loop


@pytest.fixture
def poller() -> Callable[[], Poller]:
    """What the engine has; to be parametrized."""
    return best_poller


@pytest.fixture
def batch() -> Callable[[], Batch]:
    """Likewise."""
    return best_batch


@pytest.fixture
def descriptors() -> int:
    """How many the engine believes to have; to be parametrized."""
    return 4_096


@pytest.fixture
def clock() -> FakeClock:
    """The engine of a test that asks for it has this clock, any other the true one."""
    return FakeClock()


@pytest.fixture
def errors() -> Iterator[list[str]]:
    """What is logged as an error; a test with an engine takes out those that it expects."""
    with error_log() as found:
        yield found


@pytest.fixture
def server() -> Iterator[FakeServer]:
    """A SOCKS5 server without login; where tests want another one, their module has its own."""
    with FakeServer() as running:
        yield running


@pytest.fixture
def tcp_target() -> Iterator[Endpoint]:
    """A TCP target that sends everything back."""
    with tcp_echo() as address:
        yield Endpoint(*address)


@pytest.fixture
def udp_target() -> Iterator[Endpoint]:
    """A UDP target that sends everything back, probes too."""
    with udp_echo() as address:
        yield Endpoint(*address)


@pytest.fixture
def sweep_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """To have tests of flows wait less."""
    monkeypatch.setattr(broker, "SWEEP_S", 0.01)


@pytest.fixture
def engine(
    request: pytest.FixtureRequest,
    runner: asyncio.Runner,
    errors: list[str],
    *,
    poller: Callable[[], Poller],
    batch: Callable[[], Batch],
    descriptors: int,
) -> Iterator[Engine]:
    """The data plane; fails a test that leaves sockets watched, pipes lent, tasks, or logged errors."""
    clock = request.getfixturevalue("clock") if "clock" in request.fixturenames else time.monotonic

    async def make() -> Engine:
        return make_engine(poller(), batch(), clock, descriptors)

    made = runner.run(make())
    try:
        yield made
        if not request.node.stash.get(_failed, False):
            runner.run(assert_nothing_is_left(made))
            assert not errors, "\n".join(errors)
    finally:
        made.stop()
