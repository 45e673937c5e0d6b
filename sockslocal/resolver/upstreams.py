"""The upstreams and their order: the fastest that works is asked, another when it takes long or fails."""

import asyncio
import math
from typing import NamedTuple

from sockslocal.config.model import Upstream as UpstreamConfig
from sockslocal.errors import ServerError
from sockslocal.problems import Problem, problem
from sockslocal.resolver.answer import Answer
from sockslocal.resolver.digester import Digester
from sockslocal.resolver.errors import FAILURES, FaultyError, LostError, NoUpstreamError, OverloadedError
from sockslocal.resolver.tasks import cancelled
from sockslocal.resolver.tunnel import Tunnel
from sockslocal.resolver.upstream import Upstream
from sockslocal.resolver.wire import Query

TOTAL_S = 5.0
"""Seconds after which the client is told SERVFAIL; stubs ask again after about as many."""

MIN_ATTEMPT_S = 0.1
"""With less left than this no other upstream is asked: its silence would say nothing about it."""

_OURS = (ServerError, LostError, OverloadedError, FaultyError)
"""Failures of the way to an upstream: they say nothing about the name (RFC 9520 §2)."""

_REMEDY = "name upstreams in [dns] that the server reaches, by tcp:// where it relays no UDP"


class Upstreams:
    """All of them; a resting one is asked last, but never left out: it may be the only one that works."""

    def __init__(
        self, configs: tuple[UpstreamConfig, ...], tunnel: Tunnel, digester: Digester | None = None
    ) -> None:
        self.digester = digester or Digester()
        self.all = tuple(Upstream(config, tunnel, self.digester) for config in configs)
        self.problem: Problem | None = None
        """Why none answered, until one does."""

    async def ask(self, query: Query) -> Answer:
        """The first definitive answer, else the first failure that one told; raises NoUpstreamError."""
        now = asyncio.get_running_loop().time()
        race = _Race(query, in_order(self.all, now), now + TOTAL_S)
        try:
            answer = await race.run()
        finally:
            await race.close()
        if answer is None:
            raise self._none(race.errors)
        self.problem = None
        return answer

    async def close(self) -> None:
        """End all flows and connections."""
        for upstream in self.all:
            await upstream.close()

    def _none(self, errors: dict[str, Exception]) -> NoUpstreamError:
        """Nobody answered: the status shows it, unless it was a bound of ours."""
        reasons = (f"{name}: {str(error) or 'no answer in time'}" for name, error in errors.items())
        remedies = (error.remedy for error in errors.values() if isinstance(error, FaultyError))
        found = problem("dns-no-upstream", reason="; ".join(reasons), remedy=next(remedies, _REMEDY))
        if not all(isinstance(error, OverloadedError) for error in errors.values()):
            self.problem = found
        transient = all(isinstance(error, _OURS) for error in errors.values())
        return NoUpstreamError(found, transient=transient)


def in_order(upstreams: tuple[Upstream, ...], now: float) -> list[Upstream]:
    """In which order they are to be asked at `now`.

    Those that rest come last. Plain UDP comes behind what is harder to forge (RFC 5452 §9). Of the others
    one that was not asked for long is the first, so that it is known how fast it is; then the fastest are.
    """

    def place(upstream: Upstream) -> tuple[bool, bool, bool, float]:
        health = upstream.health
        known = math.inf if health.latency_s is None else health.latency_s
        return not health.is_due(now), upstream.plain_udp, not health.is_unknown(now), known

    return sorted(upstreams, key=place)


class _Attempt(NamedTuple):
    upstream: Upstream
    asked: float


class _Race:
    """One query on its way to the upstreams, one after the other; each goes on while the next is asked."""

    def __init__(self, query: Query, waiting: list[Upstream], deadline: float) -> None:
        self.errors: dict[str, Exception] = {}
        self._query = query
        self._waiting = waiting
        self._deadline = deadline
        self._loop = asyncio.get_running_loop()
        self._running: dict[asyncio.Task[Answer], _Attempt] = {}
        self._told: Answer | None = None
        """The first failure that one told."""

    async def run(self) -> Answer | None:
        """The best answer; None where there is none."""
        self._ask_next()
        while self._running:
            done, _ = await asyncio.wait(
                self._running, timeout=self._patience(), return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                attempt = self._running.pop(task)
                answer = self._outcome(task, attempt)
                if answer is not None and answer.definitive:
                    self._overtake(attempt)
                    return answer
                self._told = self._told or answer
            if not done or not self._running:
                self._ask_next()
        return self._told

    async def close(self) -> None:
        """Whoever has not answered is too late."""
        await cancelled(self._running)
        for attempt in self._running.values():
            attempt.upstream.health.note_nothing()

    def _ask_next(self) -> None:
        left = self._deadline - self._loop.time()
        if self._waiting and left >= MIN_ATTEMPT_S:
            upstream = self._waiting.pop(0)
            upstream.health.note_query(self._loop.time())
            task = self._loop.create_task(upstream.ask(self._query, left))
            self._running[task] = _Attempt(upstream, self._loop.time())

    def _outcome(self, task: asyncio.Task[Answer], attempt: _Attempt) -> Answer | None:
        """What the upstream answered; where it failed, that is noted."""
        try:
            return task.result()
        except FAILURES as error:
            # its traceback leads to this frame, and so back to itself: a cycle that only the collector ends
            self.errors[attempt.upstream.name] = error.with_traceback(None)
            return None

    def _overtake(self, winner: _Attempt) -> None:
        """Those that were asked before it, and still have not answered, are slow."""
        for attempt in self._running.values():
            if attempt.asked < winner.asked:
                attempt.upstream.health.note_overtaken(attempt.asked, self._loop.time())

    def _patience(self) -> float | None:
        """Seconds until another is asked too, more than those that run usually take.

        For one that rests, or is easier to forge, it is a share of what is left.
        """
        now = self._loop.time()
        left = self._deadline - now
        if not self._waiting or left < MIN_ATTEMPT_S:
            return None
        running = [attempt.upstream for attempt in self._running.values()]
        weaker = self._waiting[0].plain_udp and not all(upstream.plain_udp for upstream in running)
        if weaker or not self._waiting[0].health.is_due(now):
            return left / (len(self._waiting) + 1)
        return min(max(upstream.health.patience_s for upstream in running), left)
