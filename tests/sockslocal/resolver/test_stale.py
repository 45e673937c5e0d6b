import asyncio

import pytest

from fakes.dns_tunnel import query, response, until
from sockslocal.resolver import stale, wire
from sockslocal.resolver.answer import Answer, failure
from sockslocal.resolver.cache import STALE_TTL, Cache
from sockslocal.resolver.digest import digest
from sockslocal.resolver.pipeline import Coalesce, Found, Rest, composed, recall, recall_failure, store
from sockslocal.resolver.stale import Recovery, ServeStale
from sockslocal.resolver.statistics import Statistics
from sockslocal.resolver.wire import parse_query

QUERY = parse_query(query().to_wire())


def address(data: str = "192.0.2.1") -> Answer:
    """An answer for five minutes."""
    return digest(response(query(), f"www.example A {data}", ttl=300), upstream="u", path="udp")


FRESH = address("192.0.2.2")
DENIAL = digest(response(query(), rcode="NXDOMAIN"), upstream="u", path="udp")
SERVFAIL = failure(wire.SERVFAIL, 22, "silence", transient=False)


class World:
    """The steps round a cache whose only answer ended just now, and the upstreams after them."""

    def __init__(self, outcome: Answer) -> None:
        self.now = 1300
        self.outcome = outcome
        self.asked = 0
        self.idle = False
        self.refreshed: list[wire.Query] = []
        self.open = asyncio.Event()
        self.open.set()
        self.statistics = Statistics()
        self.cache = Cache(1_000_000, stale=3600)
        self.cache.store(QUERY, address(), 1000)
        self.coalesce = Coalesce()
        self.serve_stale = ServeStale(self.cache, lambda: self.now, self.statistics, self._refresh)
        self.find = composed(
            (
                recall(self.cache, lambda: self.now),
                self.serve_stale,
                recall_failure(self.cache, lambda: self.now),
                self.coalesce,
                store(self.cache, lambda: self.now),
                self._ask,
            )
        )

    async def _ask(self, _query: wire.Query, _rest: Rest) -> Found:
        self.asked += 1
        await self.open.wait()
        return Found(self.outcome)

    def _refresh(self, query: wire.Query) -> bool:
        self.refreshed.append(query)
        return self.idle

    async def data(self) -> tuple[int, bytes]:
        """The code and the last octets of the answer: its address, where it has one."""
        answer = (await self.find(QUERY)).answer
        return answer.rcode, answer.body[-4:]


OLD = (wire.NOERROR, bytes((192, 0, 2, 1)))
NEW = (wire.NOERROR, bytes((192, 0, 2, 2)))


async def test_a_fresh_answer_is_preferred() -> None:
    """The upstreams are asked before anything stale is served (checklist 71)."""
    world = World(FRESH)
    assert await world.data() == NEW
    assert (world.asked, world.statistics.stale) == (1, 0)


async def test_without_anything_stale_the_rest_decides() -> None:
    """A failure stays one."""
    world = World(SERVFAIL)
    world.cache.flush()
    assert (await world.data())[0] == wire.SERVFAIL


@pytest.mark.parametrize(
    "outcome", [SERVFAIL, failure(wire.SERVFAIL, 23, "no way"), Answer(rcode=wire.REFUSED)]
)
async def test_a_failed_refresh_is_no_failure_of_the_name(outcome: Answer) -> None:
    """The stale answer is served, at once and for 30 s, then one more attempt is made (checklist 71, 72)."""
    world = World(outcome)
    for _ in range(3):
        assert await world.data() == OLD
    assert (world.asked, world.statistics.stale) == (1, 1)
    world.now += STALE_TTL - 1
    assert await world.data() == OLD
    assert world.asked == 1
    world.cache.forgive()
    world.outcome = FRESH
    assert await world.data() == NEW
    assert world.asked == 2


async def test_nobody_waits_for_what_has_failed_before() -> None:
    """It is refreshed beside, where that can be; when the upstreams are back they are asked first again."""
    world = World(SERVFAIL)
    world.idle = True
    assert await world.data() == OLD
    assert (world.asked, world.refreshed) == (1, [])
    for times in (1, 2):
        world.now += STALE_TTL
        for _ in range(3):
            assert await world.data() == OLD
        assert (world.asked, len(world.refreshed)) == (1, times)
    world.outcome = FRESH
    world.cache.forgive()
    assert await world.data() == NEW


async def test_what_could_not_be_tried_is_tried_soon() -> None:
    """Where too much is refreshed already, it is served for two seconds only; nobody waits."""
    world = World(SERVFAIL)
    for seconds in (0, STALE_TTL, stale.BUSY_S, stale.BUSY_S):
        world.now += seconds
        assert await world.data() == OLD
    assert (world.asked, len(world.refreshed)) == (1, 3)


@pytest.mark.parametrize(("idle", "seconds"), [(True, STALE_TTL), (False, stale.BUSY_S)])
async def test_who_cannot_wait_gets_it_at_once(*, idle: bool, seconds: int) -> None:
    """The first time too, refreshed beside where that can be; then hits serve it until it is tried again."""
    world = World(SERVFAIL)
    world.idle = idle
    found = world.serve_stale.at_once(QUERY)
    assert found is not None
    assert (found.answer.body[-4:], found.cached) == (OLD[1], True)
    assert (world.asked, world.refreshed, world.statistics.stale) == (0, [QUERY], 1)
    world.now += seconds - 1
    assert world.serve_stale.at_once(QUERY) is None
    assert await world.data() == OLD
    world.now += 1
    assert world.serve_stale.at_once(QUERY) is not None
    assert (world.asked, len(world.refreshed)) == (0, 2)


async def test_at_once_there_is_nothing_else() -> None:
    """Not for who does not want recursion, as what has ended is known no more, nor of other names."""
    world = World(SERVFAIL)
    without = parse_query(query(flags=0).to_wire())
    other = parse_query(query("other.example").to_wire())
    assert world.serve_stale.at_once(without) is None
    assert world.serve_stale.at_once(other) is None
    assert world.refreshed == []


async def test_after_an_outage_all_is_asked_for_again() -> None:
    """As soon as anything is answered; a failure that an upstream tells is none, nor are a few an outage."""
    world = World(FRESH)
    recovery = Recovery(world.cache)
    told = Answer(rcode=wire.SERVFAIL, upstream="udp://192.0.2.1:53")
    outcomes = [SERVFAIL] * (stale.OUTAGE - 1) + [told, FRESH, SERVFAIL, FRESH] + [SERVFAIL] * stale.OUTAGE

    async def rest(_query: wire.Query) -> Found:
        return Found(outcomes.pop(0))

    world.cache.revive(QUERY, world.now)
    while outcomes:
        await recovery(QUERY, rest)
    assert world.cache.find(QUERY, world.now) is not None
    outcomes.append(FRESH)
    assert (await recovery(QUERY, rest)).answer is FRESH
    assert world.cache.find(QUERY, world.now) is None


async def test_a_slow_refresh_is_not_waited_for_and_still_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """After 1.8 s the stale answer is served; the fresh one takes its place when it comes (checklist 71)."""
    assert stale.CLIENT_S == 1.8
    monkeypatch.setattr(stale, "CLIENT_S", 0.01)
    world = World(FRESH)
    world.open.clear()
    assert await asyncio.gather(*(world.data() for _ in range(5))) == [OLD] * 5
    assert await world.data() == OLD
    assert world.asked == 1
    world.open.set()
    await until(lambda: not world.coalesce._asking)
    assert await world.data() == NEW
    assert world.asked == 1


async def test_a_fresh_denial_replaces_what_is_stale() -> None:
    """The name is gone, and stays so when the upstreams fail afterwards (checklist 71)."""
    world = World(DENIAL)
    assert (await world.data())[0] == wire.NXDOMAIN
    world.outcome = SERVFAIL
    world.now += 61
    assert (await world.data())[0] == wire.NXDOMAIN


async def test_what_is_too_old_is_not_served() -> None:
    """Beyond the time that the configuration allows a failure is told (checklist 71)."""
    world = World(SERVFAIL)
    world.now = 1300 + 3600
    assert (await world.data())[0] == wire.SERVFAIL


async def test_a_remembered_failure_does_not_hide_what_is_stale() -> None:
    """Nor is it asked again in that time."""
    world = World(SERVFAIL)
    world.cache.store_failure(QUERY, SERVFAIL, world.now)
    assert await world.data() == OLD
    assert world.asked == 0
