import asyncio

import pytest

from fakes.dns_client import Clock, ask, resolver
from fakes.dns_tunnel import FakeTunnel, query, until
from sockslocal.resolver.answer import Answer
from sockslocal.resolver.pipeline import Found
from sockslocal.resolver.prefetch import MAX_AT_ONCE, Prefetch
from sockslocal.resolver.wire import Query, parse_query

QUERY = parse_query(query().to_wire())


class Upstreams:
    """Counts what is asked, and answers when it may."""

    def __init__(self) -> None:
        self.asked = 0
        self.open = asyncio.Event()

    async def __call__(self, _query: Query) -> Found:
        self.asked += 1
        await self.open.wait()
        return Found(Answer(rcode=0))


async def test_no_more_than_a_few_are_asked_for_at_once() -> None:
    """What is too much is not asked for; there is room again when the others are answered."""
    upstreams = Upstreams()
    prefetch = Prefetch(upstreams)
    assert [prefetch.begin(QUERY) for _ in range(MAX_AT_ONCE + 1)] == [True] * MAX_AT_ONCE + [False]
    await until(lambda: upstreams.asked == MAX_AT_ONCE)
    upstreams.open.set()
    await until(lambda: not prefetch._tasks)
    assert prefetch.begin(QUERY)
    await until(lambda: upstreams.asked == MAX_AT_ONCE + 1)
    await prefetch.close()


async def test_closing_ends_what_is_being_asked() -> None:
    """Nothing is left running."""
    upstreams = Upstreams()
    prefetch = Prefetch(upstreams)
    prefetch.begin(QUERY)
    await until(lambda: upstreams.asked == 1)
    await prefetch.close()
    await until(lambda: not prefetch._tasks)


async def test_a_bug_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """And goes no further."""

    async def bug(_query: Query) -> Found:
        raise KeyError("bug")

    prefetch = Prefetch(bug)
    prefetch.begin(QUERY)
    await until(lambda: not prefetch._tasks)
    assert "a query failed" in caplog.text


@pytest.mark.parametrize("prefetched", [True, False])
async def test_a_popular_name_never_expires_for_its_clients(*, prefetched: bool) -> None:
    """It is asked for again in the last tenth of its life, where the configuration says so."""
    tunnel, clock = FakeTunnel(), Clock()
    async with resolver(tunnel, clock=clock, settings={"prefetch": prefetched}) as made:
        for second in (1000, 1091, 1182, 1273):
            clock.now = second
            await ask(made, query())
        await until(lambda: made.details().upstreams[0].answered == 1 + prefetched)
        await until(lambda: not made._prefetch._tasks)
        clock.now = 1364
        assert (await ask(made, query())).answer[0].ttl == (209 if prefetched else 300)
        assert made.details().prefetched == prefetched
