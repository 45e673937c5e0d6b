"""Asking an upstream by UDP: one flow for all queries, told apart by their ids.

A flow through a SOCKS5 server has one source port for as long as it lives, which takes half of the
unpredictability that RFC 5452 §9.2 counts on. The letter case of the question (0x20) gives some back, and
whoever guesses gets few guesses before the flow is given up. Servers that know cookies (RFC 7873) give 64
bits more. And no flow is used for long: the next one has another association, and so another port.
"""

import asyncio
import secrets

from sockslocal.address import Endpoint
from sockslocal.errors import ServerError
from sockslocal.resolver import options, wire
from sockslocal.resolver.channel import MessageChannel, Succession
from sockslocal.resolver.errors import ForgeryError, LostError, UnusableError
from sockslocal.resolver.tunnel import DatagramFlow, Tunnel

RESEND_AFTER_S = (0.8, 2.4)
"""Seconds after which an unanswered query is sent again: three times in all (RFC 9520 §3.1)."""

MAX_MISMATCHES = 10
"""Messages matching no query that a flow may bring."""


RENEW_S = 300.0
RENEW_QUERIES = 1_000
"""Seconds and queries, or up to twice as many, after which another flow is opened."""


class Flow(MessageChannel):
    """One flow and what is asked on it."""

    def __init__(self, tunnel: Tunnel, remote: Endpoint) -> None:
        super().__init__()
        self._cookies = options.Cookies(secrets.token_bytes(options.CLIENT_COOKIE))
        self._queries_left = RENEW_QUERIES + secrets.randbelow(RENEW_QUERIES)
        self._renew_at = self._loop.time() + RENEW_S * (1 + secrets.randbelow(1_000) / 1_000)
        self._flow: DatagramFlow | None = None
        self._flow = tunnel.open_flow(remote, self.received, self._lost)

    @property
    def worn(self) -> bool:
        """Whether another should take its place."""
        return self._queries_left <= 0 or self._loop.time() >= self._renew_at

    async def ask(self, message: bytes, question: bytes) -> bytes:
        """The response to `message`, which asks `question` in whatever letter case."""
        self._queries_left -= 1
        mixed = wire.mix_case(question, secrets.token_bytes(len(question) - 4))
        octets = self._cookies.added(message, question)
        mixed_message = octets[2 : wire.HEADER] + mixed + octets[wire.HEADER + len(question) :]
        timers: list[asyncio.TimerHandle] = []

        def send(number: int) -> None:
            octets = number.to_bytes(2, "big") + mixed_message
            self._send(octets)
            timers.extend(self._loop.call_later(after, self._send, octets) for after in RESEND_AFTER_S)

        try:
            return await self.exchange(mixed, send)
        finally:
            for timer in timers:
                timer.cancel()

    def _send(self, octets: bytes) -> None:
        if self._flow is not None and self.ended is None:
            self._flow.send(octets)

    def _lost(self, error: ServerError) -> None:
        self.end(LostError(str(error)))

    def _answers(self, message: bytes, question: bytes) -> bool:
        """Letter by letter, in the case that was sent, and with our cookie."""
        if not wire.answers(message, question, exact=True):
            return False
        return self._cookies.accepts(message, wire.HEADER + len(question))

    def _mismatched(self) -> None:
        if self.mismatches >= MAX_MISMATCHES:
            self.end(ForgeryError(f"{self.mismatches} messages matched no query"))

    def _close(self) -> None:
        if self._flow is not None:
            self._flow.close()


class DatagramTransport:
    """One upstream by UDP."""

    def __init__(self, tunnel: Tunnel, remote: Endpoint) -> None:
        self._tunnel = tunnel
        self._remote = remote
        self._flows: Succession[Flow] = Succession()
        self._closed = False

    @property
    def mismatches(self) -> int:
        """Messages that answered nothing we asked."""
        return self._flows.mismatches

    async def ask(self, message: bytes, question: bytes) -> bytes:
        """The response to `message`, which asks `question`; raises ServerError, UnansweredError.

        When the flow is lost it is asked again once, on a new one; and once with the cookie that it wants.
        """
        for _ in range(2):
            try:
                answer = await self._current().ask(message, question)
            except LostError:
                answer = await self._current().ask(message, question)
            if not options.is_bad_cookie(answer, wire.HEADER + len(question)):
                return answer
        raise UnusableError("it wants another cookie each time")

    def renew(self) -> None:
        """Have another flow carry what is asked, and what waits on this one."""
        self._flows.end(LostError("the network may be another one"))

    def close(self) -> None:
        """End the flow, and open no other."""
        self._closed = True
        self._flows.end(LostError("closed"))

    def _current(self) -> Flow:
        if self._closed:
            raise LostError("closed")
        current = self._flows.current
        if current is None or current.ended is not None or current.worn:
            self._flows.replace(Flow(self._tunnel, self._remote))
        assert self._flows.current is not None  # noqa: S101  it is, or was just replaced
        return self._flows.current
