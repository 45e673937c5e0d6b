"""Asking an upstream by UDP: one flow for all queries, told apart by their ids.

A flow through a SOCKS5 server has one source port for as long as it lives, which takes half of the
unpredictability that RFC 5452 §9.2 counts on. The letter case of the question (0x20) gives some back, and
whoever guesses gets few guesses before the flow is given up.
"""

import asyncio
import secrets

from sockslocal.address import Endpoint
from sockslocal.errors import ServerError
from sockslocal.resolver import wire
from sockslocal.resolver.channel import Channel
from sockslocal.resolver.errors import ForgeryError, LostError
from sockslocal.resolver.tunnel import DatagramFlow, Tunnel

RESEND_AFTER_S = (0.8, 2.4)
"""Seconds after which an unanswered query is sent again: three times in all (RFC 9520 §3.1)."""

MAX_MISMATCHES = 10
"""Messages matching no query that a flow may bring."""


class _Flow(Channel):
    """One flow and what is asked on it."""

    def __init__(self, tunnel: Tunnel, remote: Endpoint) -> None:
        super().__init__()
        self._flow: DatagramFlow | None = None
        self._flow = tunnel.open_flow(remote, self.received, self._lost)

    async def ask(self, message: bytes, question: bytes) -> bytes:
        """The response to `message`, which asks `question` in whatever letter case."""
        mixed = wire.mix_case(question, secrets.token_bytes(len(question) - 4))
        mixed_message = message[2 : wire.HEADER] + mixed + message[wire.HEADER + len(question) :]
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
        """Letter by letter, in the case that was sent."""
        return wire.answers(message, question, exact=True)

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
        self._flow: _Flow | None = None
        self._closed = False
        self._earlier_mismatches = 0

    @property
    def mismatches(self) -> int:
        """Messages that answered nothing we asked."""
        return self._earlier_mismatches + (self._flow.mismatches if self._flow else 0)

    async def ask(self, message: bytes, question: bytes) -> bytes:
        """The response to `message`, which asks `question`; raises ServerError, LostError, ForgeryError.

        When the flow is lost it is asked again once, on a new one.
        """
        try:
            return await self._current().ask(message, question)
        except LostError:
            return await self._current().ask(message, question)

    def close(self) -> None:
        """End the flow, and open no other."""
        self._closed = True
        if self._flow is not None:
            self._flow.end(LostError("closed"))

    def _current(self) -> _Flow:
        if self._closed:
            raise LostError("closed")
        if self._flow is None or self._flow.ended is not None:
            self._earlier_mismatches = self.mismatches
            self._flow = None
            self._flow = _Flow(self._tunnel, self._remote)
        return self._flow
