"""One upstream: how it is asked, and how it has been doing."""

import asyncio
import math
from functools import partial

from sockslocal.config.model import Upstream as UpstreamConfig
from sockslocal.net.backoff import Backoff
from sockslocal.resolver import wire
from sockslocal.resolver.answer import Answer
from sockslocal.resolver.ask_tcp import StreamTransport
from sockslocal.resolver.ask_udp import DatagramTransport
from sockslocal.resolver.digester import Digester
from sockslocal.resolver.errors import FAILURES, OverloadedError
from sockslocal.resolver.tasks import hedged
from sockslocal.resolver.tunnel import Tunnel

DATAGRAM_S = 1.6
DATAGRAM_SHARE = 0.64
"""Seconds of silence by UDP after which TCP is tried as well; at most this share of the time there is."""

STREAM_FOR_S = 60.0
"""Seconds an upstream is asked by TCP after TCP worked and UDP did not."""

PLAIN_FOR_S = 3600.0
"""Seconds an upstream that does not know EDNS is asked without it (RFC 6891 §7)."""

REST_S = 1.0
MAX_REST_S = 60.0
"""A failing upstream is asked last for 1 s, then for twice as long each time, up to a minute."""


class Health:
    """What an upstream did lately, and whether others should be asked before it."""

    def __init__(self) -> None:
        self.answered = 0
        self.failed = 0
        self.latency_s: float | None = None
        """Smoothed as TCP does its round trips (RFC 6298 §2)."""
        self.last_error: str | None = None
        self.resting = False
        """Whether it failed and has not answered since."""
        self._backoff = Backoff(REST_S, MAX_REST_S)
        self._rest_until = 0.0
        self._probed = False
        self._answered_at = -math.inf

    def is_due(self, now: float) -> bool:
        """Whether it should be asked before those that rest; after a rest by one query only, the probe."""
        return not self.resting or (not self._probed and now >= self._rest_until)

    def note_query(self, now: float) -> None:
        """It is asked; after its rest this is the probe, until anything is noted of its outcome."""
        self._probed = self.resting and now >= self._rest_until

    def note_nothing(self) -> None:
        """What became of a query says nothing about it."""
        self._probed = False

    def note_answer(self, asked: float, now: float) -> None:
        """It works."""
        self.answered += 1
        took = now - asked
        self.latency_s = took if self.latency_s is None else self.latency_s * 7 / 8 + took / 8
        self._answered_at = self._rest_until = now
        self.resting = self._probed = False
        self._backoff.reset()

    def note_failure(self, asked: float, now: float, reason: str) -> None:
        """Let it rest, unless it answered others in the meantime: then it was the question."""
        self.failed += 1
        self.last_error = reason
        self._probed = False
        if self._answered_at < asked and now >= self._rest_until:
            self.resting = True
            self._rest_until = now + self._backoff.next()


class Upstream:
    """A DNS server behind the tunnel."""

    def __init__(self, config: UpstreamConfig, tunnel: Tunnel, digester: Digester) -> None:
        self.name = str(config)
        self.health = Health()
        self._datagrams = DatagramTransport(tunnel, config.endpoint) if config.scheme == "udp" else None
        self._stream = StreamTransport(tunnel, config.endpoint)
        self._digester = digester
        self._loop = asyncio.get_running_loop()
        self._stream_until = 0.0
        self._plain_until = 0.0

    @property
    def mismatches(self) -> int:
        """Messages that answered nothing we asked."""
        return self._stream.mismatches + (self._datagrams.mismatches if self._datagrams else 0)

    async def ask(self, query: wire.Query, seconds: float = math.inf) -> Answer:
        """The answer, or the failure it tells; raises FAILURES.

        Cancelled by whoever has waited enough, after `seconds`.
        """
        asked = self._loop.time()
        self.health.note_query(asked)
        try:
            answer = await self._ask(query, min(DATAGRAM_S, DATAGRAM_SHARE * seconds))
        except OverloadedError:
            self.health.note_nothing()
            raise
        except (asyncio.CancelledError, *FAILURES) as error:
            self.health.note_failure(asked, self._loop.time(), str(error) or "no answer in time")
            raise
        self.health.note_answer(asked, self._loop.time())
        return answer

    async def close(self) -> None:
        """End its flow and its connection."""
        if self._datagrams is not None:
            self._datagrams.close()
        await self._stream.close()

    async def _ask(self, query: wire.Query, datagram_s: float) -> Answer:
        edns = self._loop.time() >= self._plain_until
        path, message = await self._exchange(query, datagram_s, edns=edns)
        if edns and wire.rcode(message) in (wire.FORMERR, wire.NOTIMP) and not wire.has_records(message):
            self._plain_until = self._loop.time() + PLAIN_FOR_S
            path, message = await self._exchange(query, datagram_s, edns=False)
        if wire.is_bare_error(message):
            return Answer(rcode=wire.rcode(message), upstream=self.name, path=path)
        return await self._digester.digest(message, upstream=self.name, path=path)

    async def _exchange(self, query: wire.Query, datagram_s: float, *, edns: bool) -> tuple[str, bytes]:
        """The way it was asked, and its message; TCP is tried after `datagram_s` without one by UDP."""
        question, profile = query.question, query.profile
        octets = wire.encode_query(
            question,
            dnssec_ok=profile.dnssec_ok,
            checking_disabled=profile.checking_disabled,
            edns=edns,
        )
        by_stream = partial(self._stream.ask, octets, question)
        if self._datagrams is None or self._loop.time() < self._stream_until:
            return "tcp", await by_stream()
        by_datagram = self._datagrams.ask(octets, question)
        message, streamed = await hedged(by_datagram, by_stream, datagram_s)
        if streamed:
            self._stream_until = self._loop.time() + STREAM_FOR_S
        elif wire.is_truncated(message):
            return "tcp", await by_stream()
        return "tcp" if streamed else "udp", message
