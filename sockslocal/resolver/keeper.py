"""The cache across restarts: read when the resolver opens, written now and then and when it closes.

TTLs go on while nobody runs, by the wall clock. Neither reading nor writing holds up the loop.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from pathlib import Path

from sockslocal.files import read_bounded, write_atomically
from sockslocal.resolver.answer import Answer
from sockslocal.resolver.cache import Cache
from sockslocal.resolver.digester import Digester
from sockslocal.resolver.errors import UnusableError
from sockslocal.resolver.kept import FORMAT, Kept, decode, encode
from sockslocal.resolver.tasks import cancelled
from sockslocal.resolver.wire import Query

SAVE_EVERY_S = 600.0
"""Seconds; what came since is lost where the daemon is killed."""

SLICE = 100
"""Answers that are encoded in one iteration of the loop: some 0.3 ms of work."""

MAX_BYTES = 1 << 30
"""Of the file; no cache is larger."""

_log = logging.getLogger(__name__)


class Keeper:
    """Keeps `cache`, whose clock is `now`, in the file `path`; `wall` gives the seconds since 1970.

    Of the file only answers that are `wanted` come back, taken apart by `digester` as new ones are.
    """

    def __init__(  # noqa: PLR0913  two clocks, and what the configuration may have changed meanwhile
        self,
        path: Path,
        cache: Cache,
        now: Callable[[], int],
        wall: Callable[[], float] = time.time,
        *,
        digester: Digester | None = None,
        wanted: Callable[[Query, Answer], bool] = lambda _query, _answer: True,
    ) -> None:
        self._path = path
        self._cache = cache
        self._now = now
        self._wall = wall
        self._digester = digester
        self._wanted = wanted
        self._task: asyncio.Task[None] | None = None
        self._flushes = 0
        self._loaded = False

    def open(self, *, keep: bool) -> None:
        """Begin, or remove what an earlier configuration had kept."""
        if keep:
            self._task = asyncio.create_task(self._run(), name="dns answers on disk")
        else:
            self._remove()

    def flush(self) -> None:
        """What is in the file now, or is being read from it or written to it, is forgotten."""
        self._flushes += 1
        self._remove()

    async def close(self) -> None:
        """Write what there is, if it is to be kept; not over what there was no time to read."""
        if self._task is not None:
            await cancelled((self._task,))
            self._task = None
            if self._loaded:
                await self._save()

    async def _run(self) -> None:
        await self._load()
        self._loaded = True
        while True:
            await asyncio.sleep(SAVE_EVERY_S)
            await self._save()

    async def _load(self) -> None:
        flushes = self._flushes
        try:
            content = await asyncio.to_thread(read_bounded, self._path, MAX_BYTES)
        except FileNotFoundError:
            return
        except OSError as error:
            _log.warning("! the kept DNS answers cannot be read: %s: %s", self._path, error)
            return
        digester = self._digester or Digester()
        for kept in decode(content):
            if kept is not None:
                await self._restore(kept, digester)
            if self._flushes != flushes:
                return
        _log.debug("= answers kept from earlier: %d", len(self._cache))

    async def _restore(self, kept: Kept, digester: Digester) -> None:
        flushes = self._flushes
        try:
            answer = await digester.digest(kept.message, upstream="", path="")
        except UnusableError:
            return
        if self._flushes == flushes and self._wanted(kept.query, answer):
            now = self._now()
            left = kept.end - int(self._wall())
            self._cache.restore(kept.query, answer, now + left - answer.lifetime, now)

    async def _save(self) -> None:
        flushes, ahead = self._flushes, int(self._wall()) - self._now()
        answers = self._cache.kept()
        pieces = [FORMAT]
        for start in range(0, len(answers), SLICE):
            some = answers[start : start + SLICE]
            pieces += (encode(key, answer, end + ahead) for key, answer, end in some)
            await asyncio.sleep(0)
        if self._flushes != flushes:
            return
        try:
            await asyncio.to_thread(self._write, b"".join(pieces))
        except OSError as error:
            _log.warning("! the DNS answers cannot be kept: %s: %s", self._path, error)
        if self._flushes != flushes:
            self._remove()

    def _write(self, content: bytes) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomically(self._path, content)

    def _remove(self) -> None:
        try:
            self._path.unlink(missing_ok=True)
        except OSError as error:
            _log.warning("! the kept DNS answers cannot be removed: %s: %s", self._path, error)
