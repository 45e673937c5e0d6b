import asyncio
import sys
import threading
import tracemalloc
from pathlib import Path

import pytest

from fakes.dns_tunnel import until
from sockslocal.resolver import list_process
from sockslocal.resolver.list_process import ListsError, child_command, read_lists
from sockslocal.resolver.names import to_wire


def nobody(_names: int) -> None:
    """Whom progress is told."""


def instead(monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Start this Python in place of the child."""
    monkeypatch.setattr(list_process, "child_command", lambda: [sys.executable, "-c", script])


def is_reading() -> bool:
    """Whether a thread waits for a child."""
    return any(thread.name == "block lists" for thread in threading.enumerate())


async def test_what_the_child_reads_comes_over(tmp_path: Path) -> None:
    """Names, and what came of each file."""
    path = tmp_path / "list"
    path.write_text("".join(f"n{number}.example\n" for number in range(1000)) + "/\n")
    lists = await read_lists([path, tmp_path / "absent"], nobody)
    assert len(lists.blocks) == 1000
    assert lists.blocks.has(to_wire("n7.example"))
    assert [(read.names, read.wrong, bool(read.error)) for read in lists.files] == [
        (1000, 1, False),
        (0, 0, True),
    ]


async def test_an_exception_in_one_list_is_from_all(tmp_path: Path) -> None:
    """It comes over beside what is blocked."""
    ads, good = tmp_path / "ads", tmp_path / "good"
    ads.write_text("||example^\n0.0.0.0 www.good.example\n")
    good.write_text("@@||good.example^\n")
    lists = await read_lists([good, ads], nobody)
    assert len(lists.blocks) == 2
    assert lists.blocks.excepts([to_wire("good.example")])
    assert not lists.blocks.excepts([to_wire("example")])


async def test_a_name_costs_eight_octets(tmp_path: Path) -> None:
    """A million names are 8 MB, and no garbage is made of them on the way."""
    path = tmp_path / "list"
    count = 50_000
    path.write_text("".join(f"0.0.0.0 n{number}.a-rather-long-name.example\n" for number in range(count)))
    await read_lists([], nobody)
    tracemalloc.start()
    try:
        lists = await read_lists([path], nobody)
        now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(lists.blocks) == count
    assert now < 9 * count
    assert peak < 13 * count


async def test_progress_is_told_on_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the child tells it."""
    told: list[int] = []
    script = """print('{"type":"progress","names":5}\\n{"type":"hashes","count":0}')"""
    instead(monkeypatch, script)
    assert len((await read_lists([], told.append)).blocks) == 0
    assert told == [5]


@pytest.mark.parametrize(
    "script",
    [
        "",
        "raise SystemExit(1)",
        "print('nonsense')",
        """print('{"type":"hashes","count":5}')""",
        """print('{"type":"hashes","count":99999999999}')""",
        """print('{"type":"other"}')""",
        """print('{"type":"hashes","count":0,"exceptions":1}')""",
    ],
)
async def test_a_child_that_fails_is_an_error(monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Whatever it writes, and no thread is left."""
    instead(monkeypatch, script)
    with pytest.raises(ListsError, match="its reader failed"):
        await read_lists([], nobody)
    await until(lambda: not is_reading())


async def test_no_child_at_all_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no process to be had."""
    monkeypatch.setattr(list_process, "child_command", lambda: ["/nowhere/to/be/found"])
    with pytest.raises(ListsError, match="no process can be started: No such file"):
        await read_lists([], nobody)


async def test_a_child_that_hangs_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    """After its time, or when nobody waits any more."""
    instead(monkeypatch, "import time; time.sleep(1000)")
    monkeypatch.setattr(list_process, "DEADLINE_S", 0.1)
    with pytest.raises(ListsError, match="it took more than"):
        await read_lists([], nobody)
    await until(lambda: not is_reading())
    monkeypatch.setattr(list_process, "DEADLINE_S", 1000.0)
    waiting = asyncio.create_task(read_lists([], nobody))
    await until(is_reading)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await until(lambda: not is_reading())


def test_a_module_beside_the_user_is_not_what_is_started() -> None:
    """The current folder is nobody's place for modules."""
    assert "-P" in child_command()
