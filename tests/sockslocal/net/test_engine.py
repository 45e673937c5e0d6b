import dataclasses

import pytest

from fakes.descriptors import open_descriptors
from sockslocal.net.engine import Engine


async def test_made_for_this_platform() -> None:
    """One call makes all that sockets share; the pipes leave the budget's reserve alone."""
    engine = Engine.make(clock=lambda: 42.0)
    assert engine.clock() == 42.0
    assert engine.deadlines.clock() == 42.0
    assert engine.pipes._ceiling == engine.budget.ceiling < engine.budget.limit
    engine.stop()


async def test_stop_leaves_nothing() -> None:
    """After `stop` no descriptor is open, no timer runs, and idle pipes are closed."""
    before = open_descriptors()
    engine = Engine.make()
    pipe = engine.pipes.borrow()
    assert pipe is not None
    engine.pipes.give_back(pipe)
    engine.stop()
    assert open_descriptors() == before


async def test_it_is_what_it_is() -> None:
    """An engine's parts are not exchanged while it runs."""
    engine = Engine.make()
    with pytest.raises(dataclasses.FrozenInstanceError):
        engine.clock = lambda: 0.0  # type: ignore[misc]
    engine.stop()
