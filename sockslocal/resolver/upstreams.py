"""The upstreams in their order: the first that works is asked, the next when it does not answer.

Those still to be asked share the time that is left, so that none is blamed for want of it.
"""

import asyncio

from sockslocal.config.model import Upstream as UpstreamConfig
from sockslocal.errors import ServerError
from sockslocal.problems import Problem, problem
from sockslocal.resolver.answer import Answer
from sockslocal.resolver.digester import Digester
from sockslocal.resolver.errors import FAILURES, LostError, NoUpstreamError, OverloadedError
from sockslocal.resolver.tunnel import Tunnel
from sockslocal.resolver.upstream import Upstream
from sockslocal.resolver.wire import Query

TOTAL_S = 5.0
"""Seconds after which the client is told SERVFAIL; stubs ask again after about as many."""

MIN_ATTEMPT_S = 0.1
"""With less left than this no other upstream is asked: its silence would say nothing about it."""

_OURS = (ServerError, LostError, OverloadedError)
"""Failures of the way to an upstream: they say nothing about the name (RFC 9520 §2)."""


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
        loop = asyncio.get_running_loop()
        deadline = loop.time() + TOTAL_S
        told: list[Answer] = []
        errors: dict[str, Exception] = {}
        waiting = list(self.all)
        while waiting and (left := deadline - loop.time()) >= MIN_ATTEMPT_S:
            seconds = max(left / len(waiting), MIN_ATTEMPT_S)
            upstream = _next(waiting, loop.time())
            waiting.remove(upstream)
            try:
                async with asyncio.timeout(seconds):
                    answer = await upstream.ask(query, seconds)
            except FAILURES as error:
                errors[upstream.name] = error
                continue
            self.problem = None
            if answer.definitive:
                return answer
            told.append(answer)
        if told:
            return told[0]
        raise self._none(errors)

    async def close(self) -> None:
        """End all flows and connections."""
        for upstream in self.all:
            await upstream.close()

    def _none(self, errors: dict[str, Exception]) -> NoUpstreamError:
        """Nobody answered: the status shows it, unless it was a bound of ours."""
        reasons = (f"{name}: {str(error) or 'no answer in time'}" for name, error in errors.items())
        found = problem("dns-no-upstream", reason="; ".join(reasons))
        if not all(isinstance(error, OverloadedError) for error in errors.values()):
            self.problem = found
        transient = all(isinstance(error, _OURS) for error in errors.values())
        return NoUpstreamError(found, transient=transient)


def _next(upstreams: list[Upstream], now: float) -> Upstream:
    """The first that is due, else the first."""
    return min(upstreams, key=lambda upstream: not upstream.health.is_due(now))
