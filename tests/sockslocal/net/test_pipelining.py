import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from fakes.engine import FakeClock, Told, turns, until, way_to
from fakes.picky_server import picky_server
from fakes.probe_target import probe_target
from fakes.raw_server import raw_server
from fakes.socks5_server import Act, FakeServer, Script, Stage
from sockslocal.address import Endpoint
from sockslocal.config.model import ServerConfig
from sockslocal.net import probe_handshakes
from sockslocal.net.engine import Engine
from sockslocal.net.pipelining import FIRST_PAUSE_S, PipeliningScout
from sockslocal.net.profile import Profile
from sockslocal.secret import Secret
from sockslocal.socks5.client import Credentials, Pipelining

ANA = (b"ana", b"hunter2")
CREDENTIALS = Credentials("ana", Secret("hunter2"))


class FakeKeeper:
    """What has a profile; `learned` are the facts in the order in which they came."""

    def __init__(self, address: tuple[str, int], target: Endpoint | None, *, login: bool = True) -> None:
        self.way = way_to(address, CREDENTIALS if login else None)
        self.config = ServerConfig(name="office", address=Endpoint(*address), udp_probe=target)
        self.profile = Profile()
        self.learned: list[dict[str, Any]] = []

    def learn(self, **facts: object) -> None:
        self.profile = self.profile.replace(**facts)
        self.learned.append(facts)


@pytest.fixture
def target() -> Iterator[Endpoint]:
    """What answers to the question that is asked behind the server."""
    with probe_target() as endpoint:
        yield endpoint


@pytest.fixture
def server() -> Iterator[FakeServer]:
    """A server with a login."""
    with FakeServer(credentials=ANA) as running:
        yield running


async def looked(keeper: FakeKeeper, scout: PipeliningScout) -> dict[str, Any]:
    """What a look finds out."""
    scout.granted()
    await until(lambda: scout._task is None, "the look is over")
    return keeper.learned[-1]


@pytest.mark.parametrize("login", [True, False])
async def test_a_server_that_bears_everything(engine: Engine, target: Endpoint, *, login: bool) -> None:
    """Two trials show it, and a connection to get in."""
    with FakeServer(credentials=ANA if login else None) as server:
        keeper = FakeKeeper(server.address, target, login=login)
        found = await looked(keeper, PipeliningScout(engine, keeper))
        assert found == {"pipelined": True, "semi_pipelined": True}
        assert len(server.sessions) == 3


async def test_a_server_that_bears_nothing(
    engine: Engine, target: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is left in peace from then on."""
    monkeypatch.setattr(probe_handshakes, "SHORTEST_S", 5.0)
    monkeypatch.setattr(probe_handshakes, "LONGEST_S", 5.0)
    with picky_server() as address:
        keeper = FakeKeeper(address, target)
        scout = PipeliningScout(engine, keeper)
        assert await looked(keeper, scout) == {"pipelined": False, "semi_pipelined": False}
        scout.granted()
        assert scout._task is None


async def test_a_target_that_is_refused_shows_it_too(engine: Engine, server: FakeServer) -> None:
    """What counts is that the reply is the same."""
    keeper = FakeKeeper(server.address, Endpoint("127.0.0.1", 1))
    assert (await looked(keeper, PipeliningScout(engine, keeper)))["pipelined"]


async def test_without_a_target(engine: Engine, server: FakeServer) -> None:
    """Where nobody is to be asked, nothing is tried."""
    keeper = FakeKeeper(server.address, None)
    scout = PipeliningScout(engine, keeper)
    scout.granted()
    assert scout._task is None


@pytest.mark.parametrize("stage", [Stage.METHOD, Stage.REPLY])
async def test_a_server_that_says_nothing_is_not_looked_at_all_the_time(
    engine: Engine, server: FakeServer, target: Endpoint, clock: FakeClock, stage: Stage
) -> None:
    """However many requests it grants meanwhile."""
    server.script = Script(at=stage, act=Act.CLOSE)
    keeper = FakeKeeper(server.address, target)
    scout = PipeliningScout(engine, keeper)
    scout.granted()
    await until(lambda: scout._task is None, "the look is over")
    scout.granted()
    assert scout._task is None
    server.script = Script()
    clock.advance(FIRST_PAUSE_S)
    keeper.learned.clear()
    assert (await looked(keeper, scout))["pipelined"]


async def test_the_way_goes_by_what_was_seen(
    engine: Engine, server: FakeServer, target: Endpoint, clock: FakeClock
) -> None:
    """Not by what was known before; what is doubted is looked at again, a while later."""
    keeper = FakeKeeper(server.address, target)
    keeper.profile = Profile(pipelined=True, semi_pipelined=True)
    scout = PipeliningScout(engine, keeper)
    assert (keeper.way.pipelining, scout.settled) == (Pipelining.NONE, False)
    await looked(keeper, scout)
    assert (keeper.way.pipelining, scout.settled) == (Pipelining.FULL, True)
    scout.granted()
    assert scout._task is None
    scout.doubt()
    assert (keeper.way.pipelining, scout.settled) == (Pipelining.NONE, False)
    scout.granted()
    assert scout._task is None
    clock.advance(FIRST_PAUSE_S)
    await looked(keeper, scout)
    assert keeper.way.pipelining is Pipelining.FULL


async def test_a_server_that_grants_one_connection_only(engine: Engine, target: Endpoint) -> None:
    """That it refuses ours says nothing about those that it has."""
    with raw_server(lambda sock: sock.close()) as address:
        keeper = FakeKeeper(address, target, login=False)
        missed = Told()
        keeper.way.missed = missed
        scout = PipeliningScout(engine, keeper)
        scout.granted()
        await until(lambda: scout._task is None, "the look is over")
    assert (missed.calls, keeper.learned, scout.settled) == ([], [], False)


async def test_closing_ends_the_look(engine: Engine, server: FakeServer, target: Endpoint) -> None:
    """In the midst of it."""
    server.script = Script(at=Stage.REPLY, act=Act.STALL)
    keeper = FakeKeeper(server.address, target)
    scout = PipeliningScout(engine, keeper)
    scout.granted()
    await until(lambda: len(server.sessions) == 2, "the first trial")
    scout.close()
    assert keeper.way.pipelining is Pipelining.NONE
    await turns()
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert not keeper.learned
