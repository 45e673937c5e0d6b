"""What one resolver after the other was told: the cache, and the file that it is in across restarts.

Resolvers come and go with the configuration. This stays for as long as the daemon runs, so that nothing is
lost by a change that does not touch who answers, and nothing that is to be forgotten comes back: nobody else
has the file. TTLs go on while nobody runs, by the wall clock. Neither reading nor writing holds up the loop.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from sockslocal.clocks import steady
from sockslocal.config.model import DnsConfig
from sockslocal.files import read_bounded, write_atomically
from sockslocal.resolver.answer import Answer
from sockslocal.resolver.cache import Cache
from sockslocal.resolver.digester import Digester
from sockslocal.resolver.errors import UnusableError
from sockslocal.resolver.kept import Kept, decode, encode, head
from sockslocal.resolver.wire import Query

SAVE_EVERY_S = 600.0
"""Seconds; what came since is lost where the daemon is killed."""

LAST_SAVE_S = 3.0
"""Seconds for the last one; a disk that hangs does not keep the daemon from ending."""

SLICE = 100
"""Answers that are encoded in one iteration of the loop: some 0.3 ms of work."""

MAX_BYTES = 1 << 30
"""Of the file; no cache is larger."""

_log = logging.getLogger(__name__)


class Judge(Protocol):
    """Who knows which answers of former times may still be given."""

    async def ready(self) -> None:
        """Return once it knows."""

    def is_silent_on(self, query: Query, answer: Answer) -> bool:
        """Whether what was answered to `query` is as good as any."""


class Memory:
    """The cache, whose clock is `clock`, and the file `path`; `wall` gives the seconds since 1970.

    Without a path nothing is ever on disk.
    """

    def __init__(
        self,
        path: Path | None = None,
        *,
        clock: Callable[[], float] = steady,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.cache = Cache(0)
        self._path = path
        self._clock = clock
        self._wall = wall
        self._reader: tuple[Digester, Judge] | None = None
        self._task: asyncio.Task[None] | None = None
        self._ending = asyncio.Event()
        self._sources: bytes | None = None
        self._keeps = False
        self._is_whole = path is None
        """Whether nothing is in the file that is not in the cache, so that it may be written."""
        self._removals = 0

    def now(self) -> int:
        """Whole seconds of the steady clock."""
        return int(self._clock())

    def go_by(self, config: DnsConfig | None) -> None:
        """`config` counts from now on: what others have answered goes, and what is not to be on disk."""
        self._keeps = config is not None and config.keep
        self.cache.limit(config.cache if config else 0, stale=int(config.stale) if config else 0)
        sources = b"" if config is None else _sources(config)
        if self._sources is not None and sources != self._sources:
            self.flush()
        elif not self._keeps:
            self._remove()
        self._sources = sources

    def open(self, digester: Digester, judge: Judge) -> None:
        """What the file holds is taken apart by `digester` and passed by `judge`, until others are given."""
        self._reader = digester, judge
        self.cache.forgive()
        if self._task is None and self._path is not None:
            self._task = asyncio.create_task(self._run(self._path), name="dns answers on disk")

    def flush(self) -> int:
        """Forget every answer, on disk too, or on its way there or back; gives how many were in the cache."""
        self._remove()
        return self.cache.flush()

    async def close(self) -> None:
        """Write what there is, if it is to be kept; not over what there was no time to read."""
        self._ending.set()
        if self._task is not None:
            await asyncio.wait((self._task,), timeout=LAST_SAVE_S)

    async def _run(self, path: Path) -> None:
        if self._keeps and not self._is_whole:
            await self._load(path)
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(SAVE_EVERY_S):
                    await self._ending.wait()
            await self._save(path)
            if self._ending.is_set():
                return

    async def _load(self, path: Path) -> None:
        removals = self._removals
        try:
            content = await asyncio.to_thread(read_bounded, path, MAX_BYTES)
        except FileNotFoundError:
            content = b""
        except OSError as error:
            _log.warning("! the kept DNS answers cannot be read: %s: %s", path, error)
            content = b""
        if self._removals != removals:
            return
        beginning = head(self._sources or b"")
        if content and not content.startswith(beginning):
            _log.info("= the kept DNS answers are those of others than are asked now")
            self._remove()
            return
        for kept in decode(content, beginning):
            if kept is not None:
                await self._restore(kept, removals)
            if self._removals != removals or self._ending.is_set():
                return
        self._is_whole = True
        _log.debug("= answers kept from earlier: %d", len(self.cache))

    async def _restore(self, kept: Kept, removals: int) -> None:
        assert self._reader is not None  # noqa: S101  whoever opened gave it
        try:
            answer = await self._reader[0].digest(kept.message, upstream="", path="")
        except UnusableError:
            return
        await self._reader[1].ready()
        if self._removals == removals and self._reader[1].is_silent_on(kept.query, answer):
            now = self.now()
            left = kept.end - int(self._wall())
            self.cache.restore(kept.query, answer, now + left - answer.lifetime, now)

    async def _save(self, path: Path) -> None:
        if not self._keeps or not self._is_whole:
            return
        removals, ahead = self._removals, int(self._wall()) - self.now()
        answers = self.cache.kept()
        pieces = [head(self._sources or b"")]
        for start in range(0, len(answers), SLICE):
            some = answers[start : start + SLICE]
            pieces += (encode(key, answer, end + ahead) for key, answer, end in some)
            await asyncio.sleep(0)
        if self._removals != removals:
            return
        try:
            await asyncio.to_thread(_write, path, b"".join(pieces))
        except OSError as error:
            _log.warning("! the DNS answers cannot be kept: %s: %s", path, error)
        if self._removals != removals:
            self._remove()

    def _remove(self) -> None:
        """Have no file, nor one that is being written, and nothing more of one that is being read."""
        self._removals += 1
        self._is_whole = True
        try:
            if self._path is not None:
                self._path.unlink(missing_ok=True)
        except OSError as error:
            _log.warning("! the kept DNS answers cannot be removed: %s: %s", self._path, error)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_atomically(path, content)


def _sources(config: DnsConfig) -> bytes:
    """What decides who answers, and what of it is passed on."""
    return repr((config.upstreams, config.servers, config.policy)).encode()
