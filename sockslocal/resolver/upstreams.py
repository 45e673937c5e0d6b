"""The upstreams in their order: the first that works is asked, the next when it does not answer."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from sockslocal.config.model import Upstream as UpstreamConfig
from sockslocal.errors import ServerError
from sockslocal.problems import Problem, problem
from sockslocal.resolver import wire
from sockslocal.resolver.answer import Answer
from sockslocal.resolver.datagrams import DatagramTransport
from sockslocal.resolver.digest import digest
from sockslocal.resolver.errors import NoUpstreamError, OverloadedError, UnansweredError
from sockslocal.resolver.streams import StreamTransport
from sockslocal.resolver.tunnel import Tunnel

TOTAL_S = 5.0
"""Seconds after which the client is told SERVFAIL; stubs ask again after about as many."""

ATTEMPT_S = 2.5
"""Seconds an upstream has while another could be asked."""

DATAGRAM_S = 1.6
"""Seconds after which an upstream that is silent by UDP is asked by TCP."""

STREAM_FOR_S = 60.0
"""Seconds an upstream is asked by TCP after it did not work by UDP."""

PLAIN_FOR_S = 3600.0
"""Seconds an upstream that does not know EDNS is asked without it (RFC 6891 §7)."""

REST_S = 1.0
MAX_REST_S = 60.0
"""A failing upstream is asked last for 1 s, then for twice as long each time, up to a minute."""

LARGE = 4096
"""Octets above which a message is taken apart in a thread: the relays must not wait for it."""

MAX_WAITING_LARGE = 64


class Digester:
    """Takes messages apart: small ones at once, large ones in a thread, few of them waiting."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="dns")
        self._waiting = 0

    async def digest(self, message: bytes, upstream: str, path: str) -> Answer:
        """As `digest.digest`; raises OverloadedError where too many large messages wait."""
        if len(message) <= LARGE:
            return digest(message, upstream=upstream, path=path)
        if self._waiting >= MAX_WAITING_LARGE:
            raise OverloadedError("too many large messages at once")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._pool, lambda: digest(message, upstream=upstream, path=path)
            )
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Forget what waits."""
        self._pool.shutdown(wait=False, cancel_futures=True)


class Upstream:
    """One DNS server behind the tunnel, how it is asked, and how it has been doing."""

    def __init__(self, config: UpstreamConfig, tunnel: Tunnel, digester: Digester) -> None:
        self.name = str(config)
        self.answered = 0
        self.failed = 0
        self.latency_s: float | None = None
        """Smoothed as TCP does its round trips (RFC 6298 §2)."""
        self.last_error: str | None = None
        self._datagrams = DatagramTransport(tunnel, config.endpoint) if config.scheme == "udp" else None
        self._stream = StreamTransport(tunnel, config.endpoint)
        self._digester = digester
        self._loop = asyncio.get_running_loop()
        self._stream_until = 0.0
        self._plain_until = 0.0
        self._rest_s = 0.0
        self._rest_until = 0.0
        self._probed = False
        self._last_answer = 0.0

    @property
    def mismatches(self) -> int:
        """Messages that answered nothing we asked."""
        return self._stream.mismatches + (self._datagrams.mismatches if self._datagrams else 0)

    @property
    def resting(self) -> bool:
        """Whether the others are asked before it."""
        return bool(self._rest_s)

    def take_turn(self) -> bool:
        """Whether it should be asked now: a rested one is tried with a single query first."""
        if not self._rest_s:
            return True
        due = not self._probed and self._loop.time() >= self._rest_until
        self._probed = self._probed or due
        return due

    async def ask(self, query: wire.Query) -> Answer:
        """The answer, or the failure it tells; raises UnansweredError, ServerError, TimeoutError."""
        started = self._loop.time()
        try:
            answer = await self._ask(query)
        except asyncio.CancelledError:
            self._note_failure(started, "no answer in time")
            raise
        except OverloadedError:
            raise
        except (UnansweredError, ServerError, TimeoutError) as error:
            self._note_failure(started, str(error) or "no answer in time")
            raise
        self._note_answer(started)
        return answer

    async def close(self) -> None:
        """End its flow and its connection."""
        if self._datagrams is not None:
            self._datagrams.close()
        await self._stream.close()

    async def _ask(self, query: wire.Query) -> Answer:
        edns = self._loop.time() >= self._plain_until
        path, message = await self._exchange(query, edns=edns)
        if edns and wire.rcode(message) in (wire.FORMERR, wire.NOTIMP) and not wire.has_records(message):
            self._plain_until = self._loop.time() + PLAIN_FOR_S
            path, message = await self._exchange(query, edns=False)
        if wire.is_bare_error(message):
            return Answer(rcode=wire.rcode(message), upstream=self.name, path=path)
        return await self._digester.digest(message, self.name, path)

    async def _exchange(self, query: wire.Query, *, edns: bool) -> tuple[str, bytes]:
        """The way it was asked, and its message."""
        question = query.question
        octets = wire.encode_query(
            question,
            dnssec_ok=query.profile.dnssec_ok,
            checking_disabled=query.profile.checking_disabled,
            edns=edns,
        )
        if self._datagrams is not None and self._loop.time() >= self._stream_until:
            try:
                async with asyncio.timeout(DATAGRAM_S):
                    message = await self._datagrams.ask(octets, question)
                if not wire.is_truncated(message):
                    return "udp", message
            except (TimeoutError, UnansweredError, ServerError) as error:
                self.last_error = str(error) or "no answer by UDP"
                message = await self._stream.ask(octets, question)
                self._stream_until = self._loop.time() + STREAM_FOR_S
                return "tcp", message
        return "tcp", await self._stream.ask(octets, question)

    def _note_answer(self, started: float) -> None:
        now = self._loop.time()
        took = now - started
        self.answered += 1
        self.latency_s = took if self.latency_s is None else self.latency_s * 7 / 8 + took / 8
        self._last_answer = now
        self._rest_s, self._probed = 0.0, False

    def _note_failure(self, started: float, reason: str) -> None:
        """Let it rest, unless it answered others in the meantime: then it was the question."""
        self.failed += 1
        self.last_error = reason
        self._probed = False
        if self._last_answer < started and self._loop.time() >= self._rest_until:
            self._rest_s = min(self._rest_s * 2, MAX_REST_S) or REST_S
            self._rest_until = self._loop.time() + self._rest_s


class Upstreams:
    """All of them; a resting one is asked last, but never left out: it may be the only one that works."""

    def __init__(self, configs: tuple[UpstreamConfig, ...], tunnel: Tunnel) -> None:
        self._digester = Digester()
        self.all = tuple(Upstream(config, tunnel, self._digester) for config in configs)
        self.problem: Problem | None = None
        """Why none answered, until one does."""

    async def ask(self, query: wire.Query) -> Answer:
        """The first definitive answer, else the failure an upstream told; raises NoUpstreamError."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + TOTAL_S
        told: Answer | None = None
        errors: list[Exception] = []
        order = sorted(self.all, key=Upstream.take_turn, reverse=True)
        for index, upstream in enumerate(order):
            last = index == len(order) - 1
            try:
                async with asyncio.timeout_at(deadline if last else min(deadline, loop.time() + ATTEMPT_S)):
                    answer = await upstream.ask(query)
            except (UnansweredError, ServerError, TimeoutError) as error:
                errors.append(error)
                continue
            self.problem = None
            if answer.definitive:
                return answer
            told = told or answer
        if told is not None:
            return told
        raise self._none(order, errors)

    async def close(self) -> None:
        """End all flows and connections."""
        for upstream in self.all:
            await upstream.close()
        self._digester.close()

    def _none(self, asked: list[Upstream], errors: list[Exception]) -> NoUpstreamError:
        reasons = (
            f"{upstream.name}: {str(error) or 'no answer in time'}"
            for upstream, error in zip(asked, errors, strict=True)
        )
        found = problem("dns-no-upstream", reason="; ".join(reasons))
        transient = all(isinstance(error, ServerError | OverloadedError) for error in errors)
        if not all(isinstance(error, OverloadedError) for error in errors):
            self.problem = found
        return NoUpstreamError(found, transient=transient)
