"""What tests of dials and of flows have in common: servers to dial, and worlds of UDP without sockets."""

import random
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from fakes.dialling import ANA, TARGET
from fakes.socks5_server import FakeServer
from fakes.udp_world import World
from sockslocal.net import deadlines
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


@pytest.fixture
def look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deadlines are looked at more often, to have the tests wait less."""
    monkeypatch.setattr(deadlines, "PERIOD_S", 0.01)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A listening socket to be connected to by the server."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        yield listener


@pytest.fixture
def easy(listener: socket.socket) -> Iterator[FakeServer]:
    """A server without login, for which TARGET is `listener`."""
    with FakeServer() as running:
        running.names[TARGET.host] = listener.getsockname()
        yield running


@pytest.fixture
def strict(listener: socket.socket) -> Iterator[FakeServer]:
    """The same with a login."""
    with FakeServer(credentials=ANA) as running:
        running.names[TARGET.host] = listener.getsockname()
        yield running
