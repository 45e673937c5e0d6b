"""What the resolver tells of itself, beyond its line in the status."""

from typing import Self

import msgspec

from sockslocal.resolver.upstream import Upstream


class UpstreamDetails(msgspec.Struct, frozen=True):
    """How one upstream has been doing; `mismatched` counts messages that answered nothing we asked."""

    name: str
    answered: int
    failed: int
    mismatched: int
    latency_ms: float | None
    resting: bool
    last_error: str | None

    @classmethod
    def of(cls, upstream: Upstream) -> Self:
        """The details of `upstream` as of now."""
        health = upstream.health
        return cls(
            name=upstream.name,
            answered=health.answered,
            failed=health.failed,
            mismatched=upstream.mismatches,
            latency_ms=None if health.latency_s is None else health.latency_s * 1000,
            resting=health.resting,
            last_error=health.last_error,
        )


class NameFailures(msgspec.Struct, frozen=True):
    """A name and how often it could not be answered."""

    name: str
    count: int


class Details(msgspec.Struct, frozen=True):
    """What `sockslocal dns status` shows; `hit_rate` is 0 to 1, `listed` counts the names in block lists."""

    queries: int
    cache_hits: int
    hit_rate: float
    failed: int
    cache_entries: int
    cache_bytes: int
    stale: int
    """Times that an answer past its TTL was served for another 30 s, as nobody gave a fresh one."""
    prefetched: int
    blocked: int
    listed: int
    upstreams: tuple[UpstreamDetails, ...]
    top_failures: tuple[NameFailures, ...]


class QueryResult(msgspec.Struct, frozen=True):
    """What `sockslocal dns query` shows; `answer` holds a line for each record."""

    rcode: str
    answer: tuple[str, ...]
    upstream: str
    path: str
    time_ms: float
    cached: bool
    error: str | None = None
