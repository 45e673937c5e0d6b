"""The resolver as a whole: its listeners, its pipeline, and what it tells of itself."""

import time

from sockslocal.address import Endpoint
from sockslocal.config.model import DnsConfig
from sockslocal.net.engine import Engine
from sockslocal.resolver.details import Details, NameFailures, QueryResult, UpstreamDetails
from sockslocal.resolver.direct import DirectWay
from sockslocal.resolver.listeners import Listeners
from sockslocal.resolver.memory import Memory
from sockslocal.resolver.pipeline import (
    Backend,
    Coalesce,
    Pipeline,
    Share,
    Step,
    ask,
    composed,
    recall,
    recall_failure,
    refuse,
    require_recursion,
    store,
)
from sockslocal.resolver.policy import Policy
from sockslocal.resolver.prefetch import Prefetch
from sockslocal.resolver.stale import Recovery, ServeStale
from sockslocal.resolver.statistics import Statistics
from sockslocal.resolver.tunnel import Tunnel
from sockslocal.resolver.upstreams import Upstreams
from sockslocal.resolver.wire import Query
from sockslocal.status import Dns

TOP_FAILURES = 10


class Resolver:
    """DNS on UDP and TCP; made inside the running loop, which also runs all of it.

    `memory` is what was left to it by those before, and what it leaves to the next.
    """

    def __init__(self, config: DnsConfig, tunnel: Tunnel, engine: Engine, memory: Memory) -> None:
        self._config = config
        self._memory = memory
        self._cache = memory.cache
        self._now = memory.now
        self._statistics = Statistics()
        upstreams = Upstreams(config.upstreams, tunnel)
        self._digester = upstreams.digester
        self._policy = Policy(
            config.policy, others=upstreams, tunnel=tunnel, direct=DirectWay(engine), cache=self._cache
        )
        self._coalesce = Coalesce()
        asking = self._asking()
        self._prefetch = Prefetch(composed(asking))
        stale = ServeStale(self._cache, self._now, self._statistics, self._prefetch.begin)
        self._pipeline = Pipeline((*self._answering(stale), *asking), at_once=stale.at_once)
        backend = Backend(self._cache, self._pipeline, self._statistics, self._now)
        self._listeners = Listeners(engine, backend)

    def _answering(self, serve_stale: Step) -> tuple[Step, ...]:
        """What gives an answer without asking anybody, or sees to it that one is given in time."""
        return (
            refuse,
            self._policy,
            recall(self._cache, self._now),
            require_recursion,
            serve_stale,
            recall_failure(self._cache, self._now),
            Share(self._policy.group_of),
        )

    def _asking(self) -> tuple[Step, ...]:
        """What finds out an answer that is not known, or no more."""
        return (
            self._coalesce,
            Share(self._policy.group_of),
            Recovery(self._cache),
            store(self._cache, self._now),
            ask(self._policy, self._statistics),
        )

    @property
    def endpoints(self) -> list[Endpoint]:
        """Where it listens, with the ports that were given where 0 was asked for."""
        return self._listeners.endpoints

    def open(self) -> None:
        """Listen on every address, or on none; raises ListenError."""
        self._listeners.open(self._config.listen)
        self._policy.open()
        self._memory.go_by(self._config)
        self._memory.open(self._digester, self._policy)
        self._prefetch_as_configured()

    def update(self, config: DnsConfig) -> None:
        """Go by all of it from now on but where to listen and whom to ask, which have to be as they were."""
        before, self._config = self._config.policy, config
        if config.policy != before:
            self._policy.update(config.policy)
        self._memory.go_by(config)
        self._prefetch_as_configured()

    def stop_listening(self) -> None:
        """Take no more queries, and free the ports; what waits on a connection is still answered.

        It is not remembered: the next resolver may ask others.
        """
        self._listeners.stop()
        self._policy.distrust()

    async def close(self, grace: float) -> None:
        """Take no more queries, and let those that wait finish within `grace` seconds."""
        self.stop_listening()
        await self._pipeline.close(grace)
        await self._prefetch.close()
        await self._coalesce.close()
        self._listeners.close()
        await self._policy.close()

    def status(self) -> Dns:
        """What it knows of `status`: whoever opened it fills in `server`, and its own view of `state`."""
        return Dns(
            listen=", ".join(map(str, self.endpoints)),
            server="",
            state="listening",
            queries=self._statistics.queries,
            cache_hits=self._statistics.hits,
            failed=self._statistics.failed,
            problem=self._policy.problem,
        )

    def forget_problem(self) -> None:
        """What kept the upstreams from answering is mended, as far as is known."""
        self._policy.forget_problem()
        self._cache.forgive()

    def recover(self) -> None:
        """The network may be another one: what leads to upstreams is made anew, and all of them are tried."""
        self._policy.recover()
        self.forget_problem()

    def flush(self) -> int:
        """Forget every answer, on disk too; gives how many there were."""
        return self._memory.flush()

    async def query(self, name: str, rdtype: str) -> QueryResult:
        """One question through cache and upstreams; raises ControlError for what cannot be asked."""
        from sockslocal.resolver import text  # 6 MB of dnspython that only a person's questions need

        query = text.parse(name, rdtype)
        started = time.perf_counter()
        found = await self._pipeline.find(query)
        answer = found.answer
        return QueryResult(
            rcode=text.rcode(answer),
            answer=text.records(query, found.answer, found.age),
            upstream=answer.upstream,
            path=answer.path,
            time_ms=round((time.perf_counter() - started) * 1000, 3),
            cached=found.cached,
            error=answer.error[1] if answer.error else None,
        )

    def details(self) -> Details:
        """Hit rate, upstreams and the names that fail."""
        from sockslocal.resolver import text  # as above

        counted = self._statistics
        return Details(
            queries=counted.queries,
            cache_hits=counted.hits,
            hit_rate=counted.hits / counted.queries if counted.queries else 0.0,
            failed=counted.failed,
            cache_entries=len(self._cache),
            cache_bytes=self._cache.bytes,
            stale=counted.stale,
            prefetched=counted.prefetched,
            blocked=self._policy.blocked,
            listed=self._policy.listed,
            upstreams=tuple(UpstreamDetails.of(upstream) for upstream in self._policy.all),
            top_failures=tuple(
                NameFailures(text.name(name), count) for name, count in counted.top_failures(TOP_FAILURES)
            ),
        )

    def _prefetch_as_configured(self) -> None:
        self._cache.due = self._prefetch_later if self._config.prefetch else None

    def _prefetch_later(self, query: Query) -> None:
        self._statistics.prefetched += self._prefetch.begin(query)
