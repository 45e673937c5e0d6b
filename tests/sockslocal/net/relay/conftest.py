"""One contract for relays that splice and relays that copy, over each poller."""

import asyncio
import dataclasses
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from fakes.certificates import NAME, Authority
from fakes.engine import turns
from fakes.joints import WAYS, Joint, MakeFarPair, MakePair, Way, far_pair
from fakes.sockets import closing, tcp_pair
from fakes.tls_front import TlsFront
from sockslocal.config.model import TlsConfig
from sockslocal.net import poller as poller_module
from sockslocal.net.engine import Engine
from sockslocal.net.pipes import PipePool
from sockslocal.net.poller import Poller
from sockslocal.net.tls import Tls


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop's poller looks for resets more often."""
    monkeypatch.setattr(poller_module, "LOOK_S", 0.01)


@pytest.fixture(
    params=WAYS, ids=["best-splice", "best-copy", "loop-splice", "loop-copy", "best-tls", "loop-tls"]
)
def way(request: pytest.FixtureRequest) -> Way:
    """Each of them."""
    made: Way = request.param
    return made


@pytest.fixture
def poller(way: Way) -> Callable[[], Poller]:
    """What the engine has."""
    return way.make_poller


@pytest.fixture
def make_pool(way: Way) -> Callable[[], PipePool]:
    """Where the relay borrows its pipes; to be parametrized."""
    return partial(PipePool, ceiling=1 << 20 if way.splices else 0)


@pytest.fixture
def make_pair() -> MakePair:
    """Makes the program and the relay's local end; to be parametrized."""
    return tcp_pair


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TlsFront, Tls]]:
    """TLS in front of a server, and who knows its certificate."""
    authority = Authority(tmp_path_factory.mktemp("authority"))
    with TlsFront(("127.0.0.1", 1), authority.issue()) as running:
        yield running, Tls(TlsConfig(NAME, authority.ca))


@pytest.fixture
def make_far_pair(way: Way, request: pytest.FixtureRequest) -> MakeFarPair:
    """Makes the relay's remote end and the server."""
    return partial(far_pair, *request.getfixturevalue("front")) if way.tls else tcp_pair


@pytest.fixture
def joint(
    engine: Engine,
    runner: asyncio.Runner,
    make_pool: Callable[[], PipePool],
    make_pair: MakePair,
    make_far_pair: MakeFarPair,
) -> Iterator[Joint]:
    """A relay that is not started; at the end of the test both sockets and all pipes are free."""
    pool = make_pool()
    made = Joint(dataclasses.replace(engine, pipes=pool), make_pair, make_far_pair)
    with closing(made.program, made.server):
        yield made
        made.relay.abort()
        runner.run(turns())
        pool.close()
    assert len(made.ends) == 1, "the end is told once"
    assert made.local.fileno() == made.remote.fileno() == -1
    assert pool.lent == 0, "a pipe was not given back"
    assert not engine.watchdog._watched
