"""Worlds of UDP without sockets, in which nothing goes on any more at the end."""

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from fakes.udp_world import World
from sockslocal.net.broker import SWEEP_S
from sockslocal.net.rungs import Rung


@pytest.fixture
def make_world(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., World]]:
    """Makes worlds, with what `World` takes; their pauses are not left to chance."""
    monkeypatch.setattr(random, "uniform", lambda low, _high: low)
    worlds: list[World] = []
    with ExitStack() as stack:

        def make_world(**options: Any) -> World:
            worlds.append(stack.enter_context(World(**options)))
            return worlds[-1]

        yield make_world
        for world in worlds:
            world.broker.close()
            assert (world.broker.flows, world.broker.associations) == (0, 0)
            assert (world.alive, world.pending) == ([], [])
            world.advance(SWEEP_S)
            assert world.is_quiet


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    """A server of which nothing is known."""
    return make_world()


@pytest.fixture
def proved(world: World) -> World:
    """One of which it is known that it carries datagrams at the address that it names, and names remotes."""
    world.health.prove(Rung.GIVEN)
    world.noted.clear()
    world.health.names_remotes = True
    return world
