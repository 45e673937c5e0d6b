"""Asking again for what somebody may want soon, while nobody waits for it."""

import asyncio
import logging

from sockslocal.resolver.pipeline import Rest
from sockslocal.resolver.tasks import cancelled
from sockslocal.resolver.wire import Query

MAX_AT_ONCE = 32
"""Questions that are asked again at a time; the next hit of a further one proposes it once more."""

_log = logging.getLogger(__name__)


class Prefetch:
    """Asks by `fetch`, which keeps what comes of it in the cache."""

    def __init__(self, fetch: Rest) -> None:
        self._fetch = fetch
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, query: Query) -> bool:
        """Ask for what `query` asks for; False where too much is being asked for already."""
        if len(self._tasks) >= MAX_AT_ONCE:
            return False
        task = asyncio.create_task(self._run(query), name="dns prefetch")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    async def close(self) -> None:
        """Stop asking."""
        await cancelled(self._tasks)

    async def _run(self, query: Query) -> None:
        try:
            await self._fetch(query)
        except Exception:  # noqa: BLE001 (nobody waits for it who could be told of a bug)
            _log.exception("! a query failed")
