"""The resolver as a whole: its listeners, its pipeline, and what it tells of itself."""

import sys
import time
from collections.abc import Callable
from pathlib import Path

from sockslocal.address import Endpoint
from sockslocal.config.model import DnsConfig, DnsPolicy
from sockslocal.errors import ListenError
from sockslocal.net.binding import bind_datagram, bind_stream, unwatched
from sockslocal.net.engine import Engine
from sockslocal.resolver.cache import Cache
from sockslocal.resolver.details import Details, NameFailures, QueryResult, UpstreamDetails
from sockslocal.resolver.direct import DirectWay
from sockslocal.resolver.keeper import Keeper
from sockslocal.resolver.listen_tcp import StreamServer
from sockslocal.resolver.listen_udp import DatagramServer
from sockslocal.resolver.pipeline import (
    Backend,
    Coalesce,
    Pipeline,
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
from sockslocal.resolver.stale import Recovery, serve_stale
from sockslocal.resolver.statistics import Statistics
from sockslocal.resolver.tunnel import Tunnel
from sockslocal.resolver.upstreams import Upstreams
from sockslocal.resolver.wire import Query
from sockslocal.status import Dns

TOP_FAILURES = 10


def steady() -> float:
    """Seconds that go on while the machine sleeps, as TTLs do."""
    if sys.platform == "linux":
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    if sys.platform == "darwin":
        return time.clock_gettime(time.CLOCK_MONOTONIC)  # there it counts sleep, unlike time.monotonic
    return time.monotonic()


class Resolver:
    """DNS on UDP and TCP; made inside the running loop, which also runs all of it."""

    def __init__(
        self,
        config: DnsConfig,
        tunnel: Tunnel,
        engine: Engine,
        *,
        clock: Callable[[], float] = steady,
        answers: Path | None = None,
    ) -> None:
        self._config = config
        self._engine = engine
        self._clock = clock
        self._statistics = Statistics()
        due = self._prefetch_later if config.prefetch else None
        self._cache = Cache(config.cache, stale=int(config.stale), due=due)
        upstreams = Upstreams(config.upstreams, tunnel)
        self._policy = Policy(
            config.policy, others=upstreams, tunnel=tunnel, direct=DirectWay(engine), cache=self._cache
        )
        self._coalesce = Coalesce()
        asking = (
            self._coalesce,
            Recovery(self._cache),
            store(self._cache, self._now),
            ask(self._policy, self._statistics),
        )
        self._prefetch = Prefetch(composed(asking))
        self._pipeline = Pipeline(
            (
                refuse,
                self._policy,
                recall(self._cache, self._now),
                require_recursion,
                serve_stale(self._cache, self._now, self._statistics, self._prefetch.begin),
                recall_failure(self._cache, self._now),
                *asking,
            )
        )
        self._keeper = (
            Keeper(
                answers, self._cache, self._now, digester=upstreams.digester, wanted=self._policy.is_silent_on
            )
            if answers
            else None
        )
        self._backend = Backend(self._cache, self._pipeline, self._statistics, self._now)
        self._datagrams: list[DatagramServer] = []
        self._streams: list[StreamServer] = []
        self.endpoints: list[Endpoint] = []
        """Where it listens, with the ports that were given where 0 was asked for."""

    def open(self) -> None:
        """Listen on every address, or on none; raises ListenError."""
        try:
            for endpoint in self._config.listen:
                self._listen(endpoint)
        except ListenError:
            self.stop_listening()
            raise
        except OSError as error:
            self.stop_listening()
            raise unwatched(error, (), "dns", "resolver") from None
        if self._keeper is not None:
            self._keeper.open(keep=self._config.keep)
        self._policy.open()

    def update(self, policy: DnsPolicy) -> None:
        """Go by another policy from now on: what was kept may be the answer of others, and is forgotten."""
        self._policy.update(policy)
        self.flush()

    def stop_listening(self) -> None:
        """Take no more queries, and free the ports; what waits on a connection is still answered."""
        for datagrams in self._datagrams:
            datagrams.close()
        for streams in self._streams:
            streams.stop()

    async def close(self, grace: float) -> None:
        """Take no more queries, and let those that wait finish within `grace` seconds."""
        self.stop_listening()
        await self._pipeline.close(grace)
        await self._prefetch.close()
        await self._coalesce.close()
        if self._keeper is not None:
            await self._keeper.close()
        for streams in self._streams:
            streams.close()
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

    def flush(self) -> int:
        """Forget every answer, on disk too; gives how many there were."""
        if self._keeper is not None:
            self._keeper.flush()
        return self._cache.flush()

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

    def _prefetch_later(self, query: Query) -> None:
        self._statistics.prefetched += self._prefetch.begin(query)

    def _now(self) -> int:
        return int(self._clock())

    def _listen(self, endpoint: Endpoint) -> None:
        """UDP and TCP on the same port (RFC 7766 §5)."""
        stream = bind_stream(endpoint, "dns", "dns")
        self._streams.append(StreamServer(self._engine, stream, self._backend))
        bound = Endpoint(endpoint.host, stream.getsockname()[1])
        datagrams = bind_datagram(bound, "dns", "dns")
        self._datagrams.append(DatagramServer(self._engine, datagrams, self._backend))
        self.endpoints.append(bound)
