"""Answers past their TTL, where no upstream gives a fresh one in time (RFC 8767)."""

import asyncio

from sockslocal.resolver.cache import Cache
from sockslocal.resolver.pipeline import Found, Rest, Seconds, Step
from sockslocal.resolver.statistics import Statistics
from sockslocal.resolver.wire import Query

CLIENT_S = 1.8
"""Seconds a client waits for a fresh answer before it gets a stale one (RFC 8767 §5)."""


def serve_stale(cache: Cache, now: Seconds, statistics: Statistics) -> Step:
    """Give what the cache had, if the rest fails or takes long; for a while it is not asked again then.

    The rest has to go on when nobody waits any more, as `Coalesce` does: what comes late is fresh too.
    """

    async def step(query: Query, rest: Rest) -> Found:
        answer = cache.stale(query, now())
        if answer is None:
            return await rest(query)
        try:
            async with asyncio.timeout(CLIENT_S):
                found = await rest(query)
            if found.answer.definitive:
                return found
        except TimeoutError:
            pass
        cache.revive(query, now())
        statistics.stale += 1
        return Found(answer, cached=True)

    return step
