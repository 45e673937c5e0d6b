"""Hosts files and block lists: read when the resolver starts, and again when they change on the disk."""

import asyncio
import logging
import os
import shlex
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import NamedTuple

from sockslocal.config.model import DnsPolicy
from sockslocal.files import read_bounded
from sockslocal.problems import Problem, problem
from sockslocal.quoting import quote
from sockslocal.resolver.block_list import BlockList
from sockslocal.resolver.hosts import MAX_NAMES, Hosts
from sockslocal.resolver.list_process import ListsError, read_lists
from sockslocal.resolver.list_reader import ListRead
from sockslocal.resolver.tasks import cancelled

LOOK_S = 3.0
"""Seconds between two looks at whether a file has changed."""

RETRY_S = 60.0
"""Seconds after which lists are read again that could not be for reasons of ours."""

MAX_HOSTS = 4 << 20
"""Octets of a hosts file."""

_NOT_HOSTS = "put names that are to be blocked into a file of block_lists in [dns]"

PATIENCE_S = 10.0
"""Seconds that queries wait for the files at first, as they do in AdGuard Home and unbound; a million names
take some 5 s. Clients ask two or three times in that time, and then give up.
"""

_Signature = tuple[int, ...] | None

_log = logging.getLogger(__name__)


class Contents(NamedTuple):
    """What the files say."""

    hosts: Hosts = Hosts()
    blocks: BlockList = BlockList()


class PolicyFiles:
    """`changed` is given the whole of it each time; until then what was there before goes on to be good."""

    def __init__(self, changed: Callable[[Contents], None]) -> None:
        self._changed = changed
        self._contents = Contents()
        self._paths: tuple[tuple[Path, ...], tuple[Path, ...]] = ((), ())
        self._watching: asyncio.Task[None] | None = None
        self._unread: dict[str, Problem] = {}
        self._told: dict[str, ListRead] = {}
        self._read = asyncio.Event()
        self._patience: asyncio.TimerHandle | None = None

    async def ready(self) -> None:
        """Return once all has been looked at, whether or not it could be read, or that takes too long."""
        await self._read.wait()

    @property
    def problem(self) -> Problem | None:
        """A file that cannot be read."""
        return next(iter(self._unread.values()), None)

    def watch(self, policy: DnsPolicy) -> None:
        """From now on these files are meant; gone are the contents of others, at the latest with the next."""
        if self._watching is None and not policy.hosts and not policy.block_lists:
            self._read.set()
        if self._patience is None:
            self._patience = asyncio.get_running_loop().call_later(PATIENCE_S, self._wait_no_more)
        if self._paths == (policy.hosts, policy.block_lists):
            return
        self._paths = (policy.hosts, policy.block_lists)
        self._unread, self._told = {}, {}
        before = self._watching
        if before is not None:
            before.cancel()
        self._watching = asyncio.create_task(
            self._watch_instead(before, *self._paths), name="dns: hosts and block lists"
        )

    async def close(self) -> None:
        """Look no more."""
        if self._watching is not None:
            await cancelled((self._watching,))
        if self._patience is not None:
            self._patience.cancel()
        self._read.set()

    async def _watch_instead(
        self, before: asyncio.Task[None] | None, hosts: tuple[Path, ...], lists: tuple[Path, ...]
    ) -> None:
        """Watch once nobody else does."""
        if before is not None:
            await cancelled((before,))
        try:
            await self._watch(hosts, lists)
        except Exception:  # noqa: BLE001  what is known goes on to be good, and the log says what happened
            _log.exception("! hosts files and block lists are watched no more")
            self._read.set()

    async def _watch(self, hosts: tuple[Path, ...], lists: tuple[Path, ...]) -> None:
        """Read what has changed, for as long as there is anything to read."""
        seen_hosts: list[_Signature] | None = None
        seen_lists: list[_Signature] | None = None
        while True:
            pause = LOOK_S
            now_hosts = await asyncio.to_thread(_signatures, hosts)
            if now_hosts != seen_hosts:
                self._renew(self._contents._replace(hosts=await self._read_hosts(hosts)))
                seen_hosts = now_hosts
            now_lists = await asyncio.to_thread(_signatures, lists)
            if now_lists != seen_lists:
                try:
                    await self._renew_lists(lists, first=seen_lists is None)
                    seen_lists = now_lists
                except ListsError as error:
                    self._note(lists[0], str(error))
                    pause = RETRY_S
            self._read.set()
            if not hosts and not lists:
                return
            await asyncio.sleep(pause)

    def _wait_no_more(self) -> None:
        if not self._read.is_set():
            _log.warning("! hosts files and block lists take long to read: names are answered without them")
            self._read.set()

    def _renew(self, contents: Contents) -> None:
        self._contents = contents
        self._changed(contents)

    async def _read_hosts(self, paths: Sequence[Path]) -> Hosts:
        found = Hosts()
        for path in paths:
            try:
                content = await asyncio.to_thread(read_bounded, path, MAX_HOSTS)
            except OSError as error:
                self._note(path, error.strerror or str(error))
                continue
            before = found.wrong
            await _run(found.read(content))
            if found.full:
                reason = f"there are more than {MAX_NAMES:,} names in all hosts files"
                self._note(path, reason, remedy=_NOT_HOSTS)
            else:
                self._unread.pop(str(path), None)
            if found.wrong > before:
                _log.warning("! %s: lines not understood: %d", quote(str(path)), found.wrong - before)
        return found

    async def _renew_lists(self, paths: Sequence[Path], *, first: bool) -> None:
        """Take the lists, if they are whole; at first whatever can be read of them. Raises ListsError."""
        if not paths:
            self._renew(self._contents._replace(blocks=BlockList()))
            return
        _log.info("= reading block lists: %d", len(paths))
        lists = await read_lists(paths, lambda names: _log.info("= names in block lists so far: %d", names))
        for read in lists.files:
            self._tell(read)
        whole = not any(read.error for read in lists.files)
        if whole or first:
            self._renew(self._contents._replace(blocks=lists.blocks))
            _log.info("= names in block lists: %d", len(lists.blocks))

    def _tell(self, read: ListRead) -> None:
        if read.error is not None:
            self._note(Path(read.path), read.error)
        else:
            self._unread.pop(read.path, None)
        if self._told.get(read.path) == read:
            return
        self._told[read.path] = read
        if read.browsers:
            _log.info("= %s: rules for browsers only: %d", quote(read.path), read.browsers)
        if read.wrong:
            _log.warning(
                "! %s: lines not understood: %d, the first is line %d",
                quote(read.path),
                read.wrong,
                read.first_wrong,
            )

    def _note(self, path: Path, reason: str, remedy: str | None = None) -> None:
        """The status tells it until the file can be read; the log does once."""
        remedy = remedy or f"ls -l {shlex.quote(str(path))}"
        found = problem("dns-file-unreadable", path=path, reason=reason, remedy=remedy)
        if self._unread.get(str(path)) != found:
            _log.warning("! %s", found.text)
        self._unread[str(path)] = found


def _signatures(paths: Sequence[Path]) -> list[_Signature]:
    """What changes when a file does."""
    return [_signature(path) for path in paths]


def _signature(path: Path) -> _Signature:
    try:
        found = os.stat(path)  # noqa: PTH116  Path's is the same with more layers
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


async def _run(steps: Generator[None, None, None]) -> None:
    """Take `steps`, between which others have their turn."""
    for _ in steps:
        await asyncio.sleep(0)
