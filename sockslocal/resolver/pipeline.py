"""What happens to a query that is no plain cache hit: steps, each asking the rest where it has no answer.

`Pipeline` reads the message and writes the reply; the list itself is written down in `Resolver`.
"""

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from sockslocal.resolver.answer import Answer, failure
from sockslocal.resolver.cache import Cache
from sockslocal.resolver.errors import NoUpstreamError
from sockslocal.resolver.names import last_labels
from sockslocal.resolver.nursery import Nursery
from sockslocal.resolver.statistics import Statistics
from sockslocal.resolver.tasks import cancelled, joined
from sockslocal.resolver.wire import FORMERR, OPT, REFUSED, SERVFAIL, Query, Refused, parse_query

MAX_PENDING = 2048
"""Queries that wait for an answer, and questions that are asked: who waits no more may leave one behind.

Further ones get a stale answer at once, or SERVFAIL.
"""

MAX_BEGINNING = 3
"""Queries that begin in one iteration of the loop: some 0.5 ms of work."""

OTHER, NOT_READY, NOT_AUTHORITATIVE, NOT_SUPPORTED, UNREACHABLE, NETWORK = 0, 14, 20, 21, 22, 23
"""Codes of extended errors (RFC 8914 §4)."""

_TKEY, _TSIG, _IXFR, _AXFR, _MAILB, _MAILA = range(249, 255)

_log = logging.getLogger(__name__)


class Found(NamedTuple):
    """An answer, and its age in seconds."""

    answer: Answer
    age: int = 0
    cached: bool = False


Seconds = Callable[[], int]
Rest = Callable[[Query], Coroutine[Any, Any, Found]]
Step = Callable[[Query, Rest], Coroutine[Any, Any, Found]]
AtOnce = Callable[[Query], Found | None]
"""What can be answered without waiting for anything."""

TOO_MANY = Found(failure(SERVFAIL, NOT_READY, "too many queries wait"))


async def refuse(query: Query, rest: Rest) -> Found:
    """Types that are no questions (RFC 6895 §3.1), and transfers, are not passed on."""
    if query.rdtype in (OPT, _TKEY, _TSIG):
        return Found(failure(FORMERR, OTHER, "not a type that can be asked for"))
    if query.rdtype in (_IXFR, _AXFR, _MAILB, _MAILA):
        return Found(failure(REFUSED, NOT_SUPPORTED, "no transfers here"))
    return await rest(query)


def recall(cache: Cache, now: Seconds) -> Step:
    """Answer from the cache."""

    async def step(query: Query, rest: Rest) -> Found:
        found = cache.find(query, now())
        return await rest(query) if found is None else Found(*found, cached=True)

    return step


def recall_failure(cache: Cache, now: Seconds) -> Step:
    """What has just failed is not asked again at once (RFC 9520 §3.2)."""

    async def step(query: Query, rest: Rest) -> Found:
        failed = cache.failed(query, now())
        return await rest(query) if failed is None else Found(failed, cached=True)

    return step


async def require_recursion(query: Query, rest: Rest) -> Found:
    """Who does not want recursion gets only what is known already (RFC 1034 §4.3.1)."""
    if not query.profile.recursion:
        return Found(failure(REFUSED, NOT_AUTHORITATIVE, "recursion was not desired"))
    return await rest(query)


class Share:
    """Let as many through as may wait, and leave room to others where one group of upstreams is slow.

    Each group has at most as many as remain free, and each zone as many as then remain to its group: a group
    that does not answer takes half of all, two take two thirds, and one dead zone takes a third.
    """

    def __init__(self, group_of: Callable[[Query], Hashable]) -> None:
        self._group_of = group_of
        self._waiting: Counter[Hashable] = Counter()
        self._all = 0

    async def __call__(self, query: Query, rest: Rest) -> Found:
        group, zone = self._group_of(query), last_labels(query.name)
        room = MAX_PENDING - self._all - self._waiting[group]
        if self._waiting[zone] >= room:
            return TOO_MANY
        self._count(1, group, zone)
        try:
            return await rest(query)
        finally:
            self._count(-1, group, zone)

    def _count(self, change: int, *parties: Hashable) -> None:
        self._all += change
        for party in parties:
            self._waiting[party] += change
            if not self._waiting[party]:
                del self._waiting[party]


class Coalesce:
    """Who asks what is being asked already waits for that answer (RFC 5452 §5)."""

    def __init__(self) -> None:
        self._asking: dict[bytes, asyncio.Task[Found]] = {}

    async def __call__(self, query: Query, rest: Rest) -> Found:
        key = query.key
        task = self._asking.get(key)
        if task is None:
            task = self._asking[key] = asyncio.create_task(rest(query))
            task.add_done_callback(lambda _: self._asking.pop(key, None))
        return await joined(task)

    async def close(self) -> None:
        """Stop asking; who waits is cancelled."""
        await cancelled(self._asking.values())


def store(cache: Cache, now: Seconds) -> Step:
    """Keep what the rest finds, failures briefly (RFC 9520); our own troubles are not the name's."""

    async def step(query: Query, rest: Rest) -> Found:
        found = await rest(query)
        if found.answer.definitive:
            cache.store(query, found.answer, now())
        elif not found.answer.transient:
            cache.store_failure(query, found.answer, now())
        return found

    return step


class Asked(Protocol):
    """Whoever knows the answers."""

    async def ask(self, query: Query) -> Answer:
        """Raises NoUpstreamError."""


def ask(upstreams: Asked, statistics: Statistics) -> Step:
    """The last step: the upstreams, or SERVFAIL with the reason. Nothing else is ever asked."""

    async def step(query: Query, _rest: Rest) -> Found:
        try:
            answer = await upstreams.ask(query)
        except NoUpstreamError as error:
            statistics.fail(query)
            code = NETWORK if error.transient else UNREACHABLE
            return Found(failure(SERVFAIL, code, str(error), transient=error.transient))
        if not answer.definitive:
            statistics.fail(query)
        return Found(answer)

    return step


def composed(steps: Sequence[Step]) -> Rest:
    """The steps as one; the last of them never asks the rest."""
    rest: Rest = _nothing
    for step in reversed(steps):
        rest = _bound(step, rest)
    return rest


def _bound(step: Step, rest: Rest) -> Rest:
    return lambda query: step(query, rest)


async def _nothing(query: Query) -> Found:
    raise AssertionError(f"no step answered {query.question!r}")


def _knows_nothing(_query: Query) -> None:
    """Nothing can be answered without waiting."""


class Pipeline:
    """Runs each query through the steps in a task of its own, and hands the reply to whoever sent it.

    Few begin in one iteration of the loop: a flood of queries must not hold up the relays. Where too many
    wait already, `at_once` answers what it can.
    """

    def __init__(self, steps: Sequence[Step], at_once: AtOnce = _knows_nothing) -> None:
        self.find = composed(steps)
        self._at_once = at_once
        self._loop = asyncio.get_running_loop()
        self._queue: deque[Coroutine[Any, Any, None]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._scheduled = False
        self._nursery = Nursery()

    def submit(self, message: bytes, respond: Callable[[bytes], None], *, stream: bool) -> bytes | None:
        """The reply if known at once, empty where none is due; else None, and `respond` gets it later."""
        try:
            query = parse_query(message)
        except Refused as refused:
            return refused.reply or b""
        if len(self._queue) + len(self._tasks) >= MAX_PENDING:
            found = self._at_once(query) or TOO_MANY
            return found.answer.reply(query, stream=stream, age=found.age)
        self._queue.append(self._answer(query, respond, stream=stream))
        self._schedule()
        return None

    async def close(self, grace: float) -> None:
        """Let what waits finish within `grace` seconds."""
        while self._queue:
            self._begin()
        if self._tasks and grace > 0:
            await asyncio.wait(self._tasks, timeout=grace)
        await cancelled(self._tasks)

    def _begin(self) -> None:
        """Begin with a few, and with more when those had their turn."""
        count = min(MAX_BEGINNING, len(self._queue))
        for _ in range(count):
            task = self._loop.create_task(self._queue.popleft())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        self._nursery.grew(count)
        self._scheduled = False
        if self._queue:
            self._schedule()

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._begin)

    async def _answer(self, query: Query, respond: Callable[[bytes], None], *, stream: bool) -> None:
        try:
            found = await self.find(query)
        except Exception:  # noqa: BLE001 (a bug in one query's way must not leave its client waiting)
            _log.exception("! a query failed")
            found = Found(failure(SERVFAIL, OTHER, "internal error"))
        respond(found.answer.reply(query, stream=stream, age=found.age))


@dataclass(frozen=True, slots=True)
class Backend:
    """What the listeners answer from."""

    cache: Cache
    pipeline: Pipeline
    statistics: Statistics
    now: Seconds
