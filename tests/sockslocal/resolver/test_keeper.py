import asyncio
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from fakes.dns_client import Clock, ask, resolver
from fakes.dns_tunnel import FakeTunnel, query, response, until
from sockslocal.resolver import keeper
from sockslocal.resolver.cache import Cache
from sockslocal.resolver.digest import digest
from sockslocal.resolver.keeper import Keeper
from sockslocal.resolver.kept import FORMAT, encode
from sockslocal.resolver.wire import parse_query

WWW = parse_query(query().to_wire())
ADDRESS = digest(response(query(), "www.example A 192.0.2.1"), upstream="", path="")


class Life:
    """A cache and its keeper, from one start to one stop, at second `wall` since 1970."""

    def __init__(self, path: Path, *, now: int = 1000, wall: int = 1_000_000, size: int = 1_000_000) -> None:
        self.now = now
        self.cache = Cache(size, stale=3600)
        self.keeper = Keeper(path, self.cache, lambda: self.now, lambda: wall)

    async def loaded(self) -> "Life":
        """Open, and all that was kept is read."""
        self.keeper.open(keep=True)
        await until(lambda: self.keeper._loaded)
        return self

    def ttl(self) -> int | None:
        """Seconds left of the one answer."""
        found = self.cache.find(WWW, self.now)
        return None if found is None else found[0].lifetime - found[1]


async def kept(path: Path) -> None:
    """Leave a file behind with one answer for 300 s."""
    life = await Life(path).loaded()
    life.cache.store(WWW, ADDRESS, life.now)
    await life.keeper.close()


@pytest.mark.parametrize(("wall", "left"), [(1_000_000, 300), (1_000_100, 200), (1_000_300, None)])
async def test_ttls_go_on_while_nobody_runs(tmp_path: Path, wall: int, left: int | None) -> None:
    """By the wall clock, whatever the steady one says; what has ended can still be served as stale."""
    await kept(tmp_path / "answers")
    life = await Life(tmp_path / "answers", now=5, wall=wall).loaded()
    assert life.ttl() == left
    assert (life.cache.stale(WWW, life.now) is None) == (left is not None)
    await life.keeper.close()


async def test_a_wall_clock_that_went_back_makes_nothing_live_longer(tmp_path: Path) -> None:
    """What was kept in the future is not to be trusted."""
    await kept(tmp_path / "answers")
    life = await Life(tmp_path / "answers", wall=999_000).loaded()
    assert len(life.cache) == 0
    await life.keeper.close()


async def test_the_file_is_the_users_own(tmp_path: Path) -> None:
    """Which names are asked for is nobody else's business; the folder is made where there is none."""
    path = tmp_path / "state" / "answers"
    await kept(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_bytes().startswith(FORMAT)


async def test_it_is_written_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is killed loses only what came since."""
    monkeypatch.setattr(keeper, "SAVE_EVERY_S", 0.01)
    path = tmp_path / "answers"
    life = await Life(path).loaded()
    life.cache.store(WWW, ADDRESS, life.now)
    await until(lambda: path.exists() and len(path.read_bytes()) > len(FORMAT))
    await life.keeper.close()


@pytest.mark.parametrize("content", [b"", b"\xff" * 1000, FORMAT + bytes(1000), FORMAT + b"\xff" * 1000])
async def test_nonsense_is_as_good_as_no_file(tmp_path: Path, content: bytes) -> None:
    """It is passed over, and replaced at the end."""
    path = tmp_path / "answers"
    path.write_bytes(content)
    life = await Life(path).loaded()
    assert len(life.cache) == 0
    await life.keeper.close()
    assert path.read_bytes() == FORMAT


async def test_an_answer_that_is_none_is_passed_over(tmp_path: Path) -> None:
    """A message that no upstream would have been believed; the next one is read."""
    path = tmp_path / "answers"
    record = encode(WWW.key, ADDRESS, 1_000_300)
    broken = bytearray(record)
    broken[11 + 7] = 9  # nine records in the answer section
    path.write_bytes(FORMAT + broken + record)
    life = await Life(path).loaded()
    assert life.ttl() == 300
    await life.keeper.close()


async def test_what_cannot_be_read_or_written_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """And the resolver goes on without."""
    (tmp_path / "answers").mkdir()
    life = await Life(tmp_path / "answers").loaded()
    await life.keeper.close()
    life.keeper.flush()
    told = [record.message.split(":")[0] for record in caplog.records if record.levelname == "WARNING"]
    assert told == [
        "! the kept DNS answers cannot be read",
        "! the DNS answers cannot be kept",
        "! the kept DNS answers cannot be removed",
    ]


async def test_without_keep_nothing_stays(tmp_path: Path) -> None:
    """What an earlier configuration had kept is removed, and nothing is written."""
    path = tmp_path / "answers"
    await kept(path)
    life = Life(path)
    life.keeper.open(keep=False)
    assert not path.exists()
    await life.keeper.close()
    assert not path.exists()


async def test_flushing_forgets_what_is_on_disk(tmp_path: Path) -> None:
    """At once, and what is being read just then too."""
    path = tmp_path / "answers"
    await kept(path)
    life = Life(path)
    life.keeper.open(keep=True)
    life.keeper.flush()
    assert not path.exists()
    await until(lambda: life.keeper._loaded)
    assert len(life.cache) == 0
    await life.keeper.close()


async def during(path: Path, monkeypatch: pytest.MonkeyPatch, name: str, act: Callable[[Life], None]) -> None:
    """Act while the file is read or written (`name`) at the end of a life."""
    begun, go_on = threading.Event(), threading.Event()
    real = getattr(keeper, name)

    def held(*arguments: object) -> object:
        begun.set()
        go_on.wait(5)
        return real(*arguments)

    life = Life(path)
    if name == "write_atomically":
        await life.loaded()
    monkeypatch.setattr(keeper, name, held)
    life.cache.store(WWW, ADDRESS, life.now)
    if name == "read_bounded":
        life.keeper.open(keep=True)
    ending = asyncio.create_task(life.keeper.close()) if name == "write_atomically" else None
    await until(begun.is_set)
    act(life)
    go_on.set()
    await (ending or life.keeper.close())


async def test_flushing_forgets_what_is_being_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not come back."""
    path = tmp_path / "answers"
    await during(path, monkeypatch, "write_atomically", lambda life: life.keeper.flush())
    assert not path.exists()


async def test_who_closes_before_all_is_read_keeps_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of it is not written over the whole."""
    path = tmp_path / "answers"
    await kept(path)
    before = path.read_bytes()
    await during(path, monkeypatch, "read_bounded", lambda _: None)
    assert path.read_bytes() == before


async def test_the_resolver_remembers_across_restarts(tmp_path: Path) -> None:
    """An answer of its earlier life is a hit; after a flush it is asked for again."""
    tunnel, clock = FakeTunnel(), Clock()
    path = tmp_path / "answers"
    for flushed, asked in ((False, 1), (True, 1), (False, 2)):
        async with resolver(tunnel, clock=clock, settings={"keep": True}, answers=path) as made:
            assert made._keeper is not None
            await until(partial(getattr, made._keeper, "_loaded"))
            await ask(made, query())
            assert len(tunnel.asked) == asked
            if flushed:
                made.flush()
