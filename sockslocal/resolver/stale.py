"""Answers past their TTL, where no upstream gives a fresh one in time (RFC 8767)."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from sockslocal.resolver.cache import STALE_TTL, Cache
from sockslocal.resolver.pipeline import Found, Rest, Seconds, Step
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


def serve_stale(cache: Cache, now: Seconds, statistics: Statistics, refresh: Callable[[Query], bool]) -> Step:
    """Give what the cache had, if the rest fails or takes long; for a while it is not asked again then.

    After that nobody waits for what failed before: `refresh` asks for it meanwhile, or soon if it is busy.
    The rest has to go on when nobody waits any more, as `Coalesce` does: what comes late is fresh too.
    """

    async def step(query: Query, rest: Rest) -> Found:
        stale = cache.stale(query, now())
        if stale is None:
            return await rest(query)
        tried = True
        if stale.again:
            tried = refresh(query)
        else:
            found = await _in_time(rest(query))
            if found is not None and found.answer.definitive:
                return found
        cache.revive(query, now(), STALE_TTL if tried else BUSY_S)
        statistics.stale += 1
        return Found(stale.answer, cached=True)

    return step


async def _in_time(rest: Coroutine[Any, Any, Found]) -> Found | None:
    """What the rest finds while a client may be kept waiting."""
    try:
        async with asyncio.timeout(CLIENT_S):
            return await rest
    except TimeoutError:
        return None
