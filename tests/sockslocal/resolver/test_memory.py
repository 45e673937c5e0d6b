import asyncio
import dataclasses
import threading
from collections.abc import Callable
from pathlib import Path

import dns.message
import pytest

from fakes.dns_client import Clock, ask, resolver
from fakes.dns_tunnel import FakeTunnel, addresses, query, response, until
from sockslocal.address import Endpoint
from sockslocal.config.model import Block, DnsConfig, DnsPolicy, DnsRule, Upstream
from sockslocal.resolver import memory
from sockslocal.resolver.answer import Answer
from sockslocal.resolver.digest import digest
from sockslocal.resolver.digester import Digester
from sockslocal.resolver.kept import encode, head
from sockslocal.resolver.memory import Memory
from sockslocal.resolver.wire import Query, parse_query

WWW = parse_query(query().to_wire())
ADDRESS = digest(response(query(), "www.example A 192.0.2.1"), upstream="", path="")
CONFIG = DnsConfig(
    listen=(Endpoint("127.0.0.1", 0),),
    upstreams=(Upstream("udp", Endpoint("192.0.2.1", 53)),),
    servers=("office",),
    keep=True,
)
OTHERS = dataclasses.replace(CONFIG, upstreams=(Upstream("udp", Endpoint("192.0.2.2", 53)),))
NOT_KEPT = dataclasses.replace(CONFIG, keep=False)
HEAD = head(memory._sources(CONFIG))


class Judge:
    """Passes everything."""

    async def ready(self) -> None:
        """At once."""

    def is_silent_on(self, query: Query, answer: Answer) -> bool:
        return (query.key, answer) == (WWW.key, ADDRESS)


class Life:
    """A memory from one start of the daemon to its stop, at second `wall` since 1970."""

    def __init__(self, path: Path, *, now: int = 1000, wall: int = 1_000_000) -> None:
        self.memory = Memory(path, clock=lambda: now, wall=lambda: wall)

    def open(self, config: DnsConfig = CONFIG) -> "Life":
        """As a resolver does."""
        self.memory.go_by(config)
        self.memory.open(Digester(), Judge())
        return self

    async def loaded(self, config: DnsConfig = CONFIG) -> "Life":
        """Open, and all that was kept is read."""
        self.open(config)
        await until(lambda: self.memory._is_whole)
        return self

    def learn(self) -> None:
        """An answer for 300 s comes."""
        self.memory.cache.store(WWW, ADDRESS, self.memory.now())

    def ttl(self) -> int | None:
        """Seconds left of the one answer."""
        found = self.memory.cache.find(WWW, self.memory.now())
        return None if found is None else found[0].lifetime - found[1]


async def kept(path: Path) -> None:
    """Leave a file behind with one answer for 300 s."""
    life = await Life(path).loaded()
    life.learn()
    await life.memory.close()


@pytest.mark.parametrize(("wall", "left"), [(1_000_000, 300), (1_000_100, 200), (1_000_300, None)])
async def test_ttls_go_on_while_nobody_runs(tmp_path: Path, wall: int, left: int | None) -> None:
    """By the wall clock, whatever the steady one says; what has ended can still be served as stale."""
    await kept(tmp_path / "answers")
    life = await Life(tmp_path / "answers", now=5, wall=wall).loaded()
    assert life.ttl() == left
    assert (life.memory.cache.stale(WWW, life.memory.now()) is None) == (left is not None)
    await life.memory.close()


async def test_a_wall_clock_that_went_back_makes_nothing_live_longer(tmp_path: Path) -> None:
    """What was kept in the future is not to be trusted."""
    await kept(tmp_path / "answers")
    life = await Life(tmp_path / "answers", wall=999_000).loaded()
    assert len(life.memory.cache) == 0
    await life.memory.close()


async def test_the_file_is_the_users_own(tmp_path: Path) -> None:
    """Which names are asked for is nobody else's business; the folder is made where there is none."""
    path = tmp_path / "state" / "answers"
    await kept(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_bytes().startswith(HEAD)


async def test_it_is_written_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is killed loses only what came since."""
    monkeypatch.setattr(memory, "SAVE_EVERY_S", 0.01)
    path = tmp_path / "answers"
    life = await Life(path).loaded()
    life.learn()
    await until(lambda: path.exists() and len(path.read_bytes()) > len(HEAD))
    await life.memory.close()


@pytest.mark.parametrize("content", [b"", b"\xff" * 1000, HEAD + bytes(1000), HEAD + b"\xff" * 1000])
async def test_nonsense_is_as_good_as_no_file(tmp_path: Path, content: bytes) -> None:
    """It is passed over, and replaced at the end."""
    path = tmp_path / "answers"
    path.write_bytes(content)
    life = await Life(path).loaded()
    assert len(life.memory.cache) == 0
    await life.memory.close()
    assert path.read_bytes() == HEAD


async def test_an_answer_that_is_none_is_passed_over(tmp_path: Path) -> None:
    """A message that no upstream would have been believed; the next one is read."""
    path = tmp_path / "answers"
    record = encode(WWW.key, ADDRESS, 1_000_300)
    broken = bytearray(record)
    broken[11 + 7] = 9  # nine records in the answer section
    path.write_bytes(HEAD + broken + record)
    life = await Life(path).loaded()
    assert life.ttl() == 300
    await life.memory.close()


async def test_what_cannot_be_read_or_written_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """And the resolver goes on without."""
    (tmp_path / "answers").mkdir()
    life = await Life(tmp_path / "answers").loaded()
    await life.memory.close()
    life.memory.flush()
    told = [record.message.split(":")[0] for record in caplog.records if record.levelname == "WARNING"]
    assert told == [
        "! the kept DNS answers cannot be read",
        "! the DNS answers cannot be kept",
        "! the kept DNS answers cannot be removed",
    ]


async def test_without_keep_nothing_stays(tmp_path: Path) -> None:
    """What was kept is removed before anything is opened, and nothing is written."""
    path = tmp_path / "answers"
    for config in (NOT_KEPT, None):
        await kept(path)
        life = Life(path)
        life.memory.go_by(config)
        assert not path.exists()
        life.memory.open(Digester(), Judge())
        life.learn()
        await life.memory.close()
        assert not path.exists()


async def test_without_a_path_nothing_is_kept() -> None:
    """A resolver of a test, or of a demonstration."""
    alone = Memory()
    alone.go_by(CONFIG)
    alone.open(Digester(), Judge())
    alone.cache.store(WWW, ADDRESS, alone.now())
    assert alone.flush() == 1
    await alone.close()


@pytest.mark.parametrize("config", [NOT_KEPT, None])
async def test_who_wants_nothing_kept_any_more_has_the_file_removed(
    tmp_path: Path, config: DnsConfig | None
) -> None:
    """At once, and for good: nothing that ends later writes it again."""
    path = tmp_path / "answers"
    await kept(path)
    life = await Life(path).loaded()
    life.memory.go_by(config)
    assert not path.exists()
    life.learn()
    await life.memory.close()
    assert not path.exists()


async def test_keeping_may_begin_while_it_runs(tmp_path: Path) -> None:
    """What was answered before is kept, too."""
    path = tmp_path / "answers"
    life = Life(path).open(NOT_KEPT)
    life.learn()
    life.memory.go_by(CONFIG)
    await life.memory.close()
    assert (await Life(path).loaded()).ttl() == 300


@pytest.mark.parametrize(
    "config",
    [
        OTHERS,
        dataclasses.replace(CONFIG, servers=("home",)),
        dataclasses.replace(CONFIG, policy=DnsPolicy(rules=(DnsRule("corp.example", Block()),))),
        dataclasses.replace(CONFIG, policy=DnsPolicy(rebind_protection=True)),
    ],
)
async def test_answers_of_others_are_forgotten(tmp_path: Path, config: DnsConfig) -> None:
    """Whether the configuration changed while it ran or while it did not; the file goes at once."""
    path = tmp_path / "answers"
    await kept(path)
    life = await Life(path).loaded(config)
    assert (life.ttl(), path.exists()) == (None, False)
    life.learn()
    life.memory.go_by(CONFIG)
    assert life.ttl() is None
    await life.memory.close()
    assert path.read_bytes() == HEAD


async def test_what_says_nothing_of_who_answers_costs_no_answer(tmp_path: Path) -> None:
    """One resolver after the other has them, and so has the file."""
    path = tmp_path / "answers"
    life = await Life(path).loaded()
    life.learn()
    life.open(dataclasses.replace(CONFIG, listen=(Endpoint("127.0.0.1", 1),), stale=0, prefetch=False))
    assert life.ttl() == 300
    life.open(dataclasses.replace(CONFIG, cache=0))
    assert life.ttl() is None
    await life.memory.close()


async def test_flushing_forgets_what_is_on_disk(tmp_path: Path) -> None:
    """At once, and what is being read just then too."""
    path = tmp_path / "answers"
    await kept(path)
    life = Life(path).open()
    life.memory.flush()
    assert not path.exists()
    await life.memory.close()
    assert path.read_bytes() == HEAD


async def during(
    path: Path, monkeypatch: pytest.MonkeyPatch, name: str, act: Callable[[Memory], object]
) -> None:
    """Act while the file is read or written (`name`) at the end of a life."""
    begun, go_on = threading.Event(), threading.Event()
    real = getattr(memory, name)

    def held(*arguments: object) -> object:
        begun.set()
        go_on.wait(5)
        return real(*arguments)

    life = Life(path)
    if name == "write_atomically":
        await life.loaded()
    monkeypatch.setattr(memory, name, held)
    life.learn()
    ending = None
    if name == "read_bounded":
        life.open()
    else:
        ending = asyncio.create_task(life.memory.close())
    await until(begun.is_set)
    act(life.memory)
    go_on.set()
    await (ending or life.memory.close())


@pytest.mark.parametrize("act", [Memory.flush, lambda made: made.go_by(NOT_KEPT)])
async def test_what_is_being_written_is_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, act: Callable[[Memory], object]
) -> None:
    """It does not come back."""
    path = tmp_path / "answers"
    await during(path, monkeypatch, "write_atomically", act)
    assert not path.exists()


async def test_what_is_being_read_is_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not come back either."""
    path = tmp_path / "answers"
    await kept(path)
    made: list[Memory] = []

    def act(life: Memory) -> None:
        life.flush()
        made.append(life)

    await during(path, monkeypatch, "read_bounded", act)
    assert len(made[0].cache) == 0
    assert path.read_bytes() == HEAD


async def test_who_closes_before_all_is_read_keeps_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of it is not written over the whole."""
    path = tmp_path / "answers"
    await kept(path)
    before = path.read_bytes()
    await during(path, monkeypatch, "read_bounded", lambda _: None)
    assert path.read_bytes() == before


async def test_nothing_comes_back_before_it_is_known_what_is_blocked(tmp_path: Path) -> None:
    """The lists are read first; what they or the rules speak of stays away."""
    path = tmp_path / "answers"
    await kept(path)
    life, judge = Life(path), Knowing()
    life.memory.go_by(CONFIG)
    life.memory.open(Digester(), judge)
    await until(lambda: judge.asked)
    assert len(life.memory.cache) == 0
    judge.knows.set()
    await until(lambda: life.memory._is_whole)
    assert len(life.memory.cache) == 0
    await life.memory.close()


class Knowing:
    """Passes nothing, once it knows."""

    def __init__(self) -> None:
        self.asked = False
        self.knows = asyncio.Event()

    async def ready(self) -> None:
        """Return when the test says so."""
        self.asked = True
        await self.knows.wait()

    def is_silent_on(self, query: Query, answer: Answer) -> bool:
        return (query.key, answer) != (WWW.key, ADDRESS)


async def test_the_next_resolver_remembers(tmp_path: Path) -> None:
    """One of this process or of the next; after a flush it is asked for again."""
    tunnel, clock = FakeTunnel(), Clock()
    path = tmp_path / "answers"
    for flushed, asked in ((False, 1), (True, 1), (False, 2)):
        left = Memory(path, clock=clock)
        for _ in range(2):
            async with resolver(tunnel, clock=clock, settings={"keep": True}, memory=left) as made:
                await until(lambda: left._is_whole)  # noqa: B023
                await ask(made, query())
                assert len(tunnel.asked) == asked
        if flushed:
            left.flush()
        await left.close()


async def test_what_is_on_its_way_when_a_resolver_ends_is_not_remembered() -> None:
    """It is answered; the next one may ask others."""
    held: list[dns.message.Message] = []

    def script(asked: dns.message.Message, _path: str) -> list[bytes]:
        held.append(asked)
        return []

    tunnel, left = FakeTunnel(script), Memory()
    async with resolver(tunnel, memory=left) as made:
        waiting = asyncio.create_task(made.query("www.example", "A"))
        await until(lambda: bool(held))
        made.stop_listening()
        (flow,) = tunnel.flows
        flow.deliver(flow.sent[0][:2] + addresses(held[0])[0][2:])
        assert (await waiting).rcode == "NOERROR"
    assert len(left.cache) == 0
