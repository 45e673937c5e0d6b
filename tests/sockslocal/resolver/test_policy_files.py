import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from fakes.dns_tunnel import until
from sockslocal.config.model import DnsPolicy
from sockslocal.quoting import quote
from sockslocal.resolver import hosts as hosts_module
from sockslocal.resolver import policy_files
from sockslocal.resolver.list_process import ListsError, read_lists
from sockslocal.resolver.local_answers import Addresses
from sockslocal.resolver.names import to_wire
from sockslocal.resolver.policy_files import Contents, PolicyFiles


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are looked at all the time."""
    monkeypatch.setattr(policy_files, "LOOK_S", 0.01)
    monkeypatch.setattr(policy_files, "RETRY_S", 0.01)


class Watched:
    """Files that are watched, and what was told of them."""

    def __init__(self) -> None:
        self.told: list[Contents] = []
        self.files = PolicyFiles(self.told.append)

    @property
    def blocked(self) -> int:
        """How many names are, at last."""
        return len(self.told[-1].blocks) if self.told else -1

    def addresses(self, name: str) -> tuple[bytes, ...]:
        """Those of `name` in the hosts files, at last."""
        found = self.told[-1].hosts.find(to_wire(name)) if self.told else None
        return found.addresses if isinstance(found, Addresses) else ()


@asynccontextmanager
async def watched(policy: DnsPolicy) -> AsyncIterator[Watched]:
    """Watch the files of `policy`."""
    made = Watched()
    made.files.watch(policy)
    try:
        yield made
    finally:
        await made.files.close()


async def test_hosts_files_are_read_again_when_they_change(tmp_path: Path) -> None:
    """And forgotten when they are gone from the configuration."""
    path = tmp_path / "hosts"
    path.write_text("192.0.2.1 nas.lan\n")
    async with watched(DnsPolicy(hosts=(path,))) as made:
        await until(lambda: made.addresses("nas.lan") == (bytes((192, 0, 2, 1)),))
        path.write_text("192.0.2.22 nas.lan\n")
        await until(lambda: made.addresses("nas.lan") == (bytes((192, 0, 2, 22)),))
        told = len(made.told)
        made.files.watch(DnsPolicy(hosts=(path,)))
        await asyncio.sleep(0.05)
        assert len(made.told) == told
        made.files.watch(DnsPolicy())
        await until(lambda: not made.told[-1].hosts)


async def test_lists_are_read_again_when_they_are_replaced(tmp_path: Path) -> None:
    """By another file of the same size, too."""
    path, other = tmp_path / "list", tmp_path / "other"
    path.write_text("aa.example\n")
    async with watched(DnsPolicy(block_lists=(path,))) as made:
        await until(lambda: made.blocked == 1)
        assert made.told[-1].blocks.has(to_wire("aa.example"))
        other.write_text("bb.example\n")
        other.replace(path)
        await until(lambda: made.told[-1].blocks.has(to_wire("bb.example")))
        made.files.watch(DnsPolicy())
        await until(lambda: made.blocked == 0)


async def test_the_old_list_serves_while_the_new_one_cannot_be_read(tmp_path: Path) -> None:
    """The status tells which, and no more when it is back."""
    path = tmp_path / "list"
    path.write_text("a.example\nb.example\n")
    async with watched(DnsPolicy(block_lists=(path,))) as made:
        await until(lambda: made.blocked == 2)
        assert made.files.problem is None
        path.unlink()
        await until(lambda: made.files.problem is not None)
        problem = made.files.problem
        assert problem is not None
        assert problem.code == "dns-file-unreadable"
        assert problem.text == f"{path} of [dns] cannot be read: No such file or directory"
        assert made.blocked == 2
        path.write_text("a.example\n")
        await until(lambda: made.blocked == 1)
        assert made.files.problem is None


async def test_at_first_what_can_be_read_serves(tmp_path: Path) -> None:
    """One of several lists that is not there does not take the others with it, nor does a hosts file."""
    path, hosts = tmp_path / "list", tmp_path / "hosts"
    path.write_text("a.example\n")
    policy = DnsPolicy(hosts=(hosts,), block_lists=(tmp_path / "absent", path))
    async with watched(policy) as made:
        await until(lambda: made.blocked == 1)
        problem = made.files.problem
        assert problem is not None
        assert str(hosts) in problem.text
        hosts.write_text("192.0.2.1 nas\n")
        await until(lambda: bool(made.addresses("nas")))


@pytest.mark.parametrize("exists", [True, False])
async def test_at_first_others_wait(tmp_path: Path, exists: bool) -> None:  # noqa: FBT001
    """Until all has been read, or could not be; where there is nothing to read, they do not."""
    path, hosts = tmp_path / "list", tmp_path / "hosts"
    if exists:
        path.write_text("a.example\n")
        hosts.write_text("192.0.2.1 nas.lan\n")
    async with watched(DnsPolicy(hosts=(hosts,), block_lists=(path,))) as made:
        assert not made.told
        await made.files.ready()
        assert (made.blocked, bool(made.addresses("nas.lan"))) == (exists, exists)
    async with watched(DnsPolicy()) as made:
        await made.files.ready()
        assert not made.told


@pytest.mark.parametrize("end", ["patience", "an error", "the end"])
async def test_nobody_waits_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, end: str
) -> None:
    """Not for a disk that hangs, nor after a bug of ours, nor for a resolver that is closed."""

    async def hanging(*_: object) -> None:
        if end == "an error":
            raise ValueError("a bug")
        await asyncio.Event().wait()

    monkeypatch.setattr(policy_files, "read_lists", hanging)
    monkeypatch.setattr(policy_files, "PATIENCE_S", 0.01 if end == "patience" else 1000.0)
    async with watched(DnsPolicy(block_lists=(tmp_path / "list",))) as made:
        if end != "the end":
            await made.files.ready()
    await made.files.ready()
    assert ("! hosts files and block lists take long" in caplog.text) == (end == "patience")


async def test_broken_lines_are_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """With their number, and the first of a list."""
    caplog.set_level(logging.INFO)
    path, hosts = tmp_path / "list", tmp_path / "hosts"
    path.write_text("a.example\n<html>\n</html>\nexample.com##.ad\n")
    hosts.write_text("nonsense here\n192.0.2.1 nas\n")
    async with watched(DnsPolicy(hosts=(hosts,), block_lists=(path,))) as made:
        await until(lambda: made.blocked == 1)
        await asyncio.sleep(0.05)
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert warnings == [
        f'! "{hosts}": lines not understood: 1',
        f'! "{path}": lines not understood: 2, the first is line 2',
    ]
    assert "= names in block lists: 1" in caplog.text
    assert f'= "{path}": rules for browsers only: 1' in caplog.text


async def test_what_did_not_change_is_not_told_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """All lists are read again when one is new, for they are one in memory."""
    broken, changing = tmp_path / "broken", tmp_path / "changing"
    broken.write_text("<html>\n")
    changing.write_text("a.example\n")
    async with watched(DnsPolicy(block_lists=(broken, changing))) as made:
        await until(lambda: made.blocked == 1)
        changing.write_text("a.example\nb.example\n</html>\n")
        await until(lambda: made.blocked == 2)
    told = [record.getMessage().split(":")[0] for record in caplog.records]
    assert told == [f"! {quote(str(path))}" for path in (broken, changing)]


async def test_hosts_files_have_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The status says so, and where lists of names to block belong; the first names are good."""
    monkeypatch.setattr(hosts_module, "MAX_NAMES", 2)
    path = tmp_path / "hosts"
    path.write_text("192.0.2.1 a b\n192.0.2.2 c\n")
    async with watched(DnsPolicy(hosts=(path,))) as made:
        await until(lambda: made.files.problem is not None)
        assert made.addresses("a")
        assert not made.addresses("c")
        problem = made.files.problem
        assert problem is not None
        assert "there are more than" in problem.text
        assert problem.remedy == "put names that are to be blocked into a file of block_lists in [dns]"
        path.write_text("192.0.2.1 a\n")
        await until(lambda: made.files.problem is None)


async def test_a_reader_that_fails_is_started_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Later; the problem is told until then."""
    path = tmp_path / "list"
    path.write_text("a.example\n")
    attempts = 0

    async def failing(*arguments: object) -> object:
        nonlocal attempts
        attempts += 1
        if attempts < 3:
            raise ListsError("no process can be started: Resource temporarily unavailable")
        return await read_lists(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(policy_files, "read_lists", failing)
    async with watched(DnsPolicy(block_lists=(path,))) as made:
        await until(lambda: made.files.problem is not None)
        await until(lambda: made.blocked == 1)
        assert made.files.problem is None
        assert attempts == 3
