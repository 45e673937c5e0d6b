"""Answers past their TTL, where no upstream gives a fresh one in time (RFC 8767)."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from sockslocal.resolver.answer import Answer
from sockslocal.resolver.cache import STALE_TTL, Cache
from sockslocal.resolver.pipeline import Found, Rest, Seconds
from sockslocal.resolver.statistics import Statistics
from sockslocal.resolver.wire import Query

CLIENT_S = 1.8
"""Seconds a client waits for a fresh answer before it gets a stale one (RFC 8767 §5)."""


BUSY_S = 2
"""Seconds until what could not even be tried is."""

OUTAGE = 8
"""Questions in a row that nobody answers: then it is not about the names."""


class Recovery:
    """Has all be asked for again as soon as the upstreams answer after an outage."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._unanswered = 0

    async def __call__(self, query: Query, rest: Rest) -> Found:
        found = await rest(query)
        if found.answer.definitive:
            if self._unanswered >= OUTAGE:
                self._cache.forgive()
            self._unanswered = 0
        elif not found.answer.upstream:
            self._unanswered += 1
        return found


class ServeStale:
    """Give what the cache had, if the rest fails or takes long; for a while it is not asked again then.

    After that nobody waits for what failed before: `refresh` asks for it meanwhile, or soon if it is busy.
    The rest has to go on when nobody waits any more, as `Coalesce` does: what comes late is fresh too.
    """

    def __init__(
        self, cache: Cache, now: Seconds, statistics: Statistics, refresh: Callable[[Query], bool]
    ) -> None:
        self._cache = cache
        self._now = now
        self._statistics = statistics
        self._refresh = refresh

    async def __call__(self, query: Query, rest: Rest) -> Found:
        """The step."""
        stale = self._cache.stale(query, self._now())
        if stale is None:
            return await rest(query)
        if stale.again:
            return self._refreshed_beside(query, stale.answer)
        found = await _in_time(rest(query))
        if found is not None and found.answer.definitive:
            return found
        return self._served(query, stale.answer, STALE_TTL)

    def at_once(self, query: Query) -> Found | None:
        """What the cache had, where nobody can wait for the rest (RFC 8767 §5); None where it had nothing."""
        stale = self._cache.stale(query, self._now()) if query.profile.recursion else None
        return None if stale is None else self._refreshed_beside(query, stale.answer)

    def _refreshed_beside(self, query: Query, answer: Answer) -> Found:
        return self._served(query, answer, STALE_TTL if self._refresh(query) else BUSY_S)

    def _served(self, query: Query, answer: Answer, seconds: int) -> Found:
        """And by hits for so many `seconds`."""
        self._cache.revive(query, self._now(), seconds)
        self._statistics.stale += 1
        return Found(answer, cached=True)


async def _in_time(rest: Coroutine[Any, Any, Found]) -> Found | None:
    """What the rest finds while a client may be kept waiting."""
    try:
        async with asyncio.timeout(CLIENT_S):
            return await rest
    except TimeoutError:
        return None
