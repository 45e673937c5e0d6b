"""Asking an upstream by UDP: one flow for all queries, told apart by their ids (RFC 5452).

A flow through a SOCKS5 server has one source port for as long as it lives, which takes half of the
unpredictability that RFC 5452 §9.2 counts on. The letter case of the question (0x20) gives some back, and
after a few messages that match nothing the upstream is asked by TCP.
"""

import asyncio
import secrets
from collections import deque

from sockslocal.address import Endpoint
from sockslocal.resolver import wire
from sockslocal.resolver.errors import ForgeryError, LostError
from sockslocal.resolver.tunnel import DatagramFlow, Tunnel

RESEND_S = (0.8, 1.6)
"""Seconds after which an unanswered query is sent again: three times in all (RFC 9520 §3.1)."""

MAX_MISMATCHES = 10
"""Messages that match nothing a flow may bring while queries wait."""

FAIR_S = 2.0
"""Seconds a silent flow is given before a query that waits in vain has it replaced."""

_RETIRED = 256


class _Exchange:
    """A query that waits for its answer."""

    __slots__ = ("answered", "question")

    def __init__(self, question: bytes, answered: asyncio.Future[bytes]) -> None:
        self.question = question
        self.answered = answered


class _Flow:
    """One flow and what is asked on it."""

    def __init__(self, tunnel: Tunnel, remote: Endpoint) -> None:
        self.mismatches = 0
        self.ended = False
        self._loop = asyncio.get_running_loop()
        self._opened = self._heard = self._loop.time()
        self._pending: dict[int, _Exchange] = {}
        self._retired: deque[int] = deque(maxlen=_RETIRED)
        self._flow: DatagramFlow = tunnel.open_flow(remote, self._received, self.end)

    async def ask(self, message: bytes, question: bytes) -> bytes:
        """The response to `message`; raises what ends the flow. Cancelled by whoever waits long enough."""
        mixed = wire.mix_case(question, secrets.token_bytes(len(question) - 4))
        number = self._unused_id()
        octets = number.to_bytes(2, "big") + message[2 : wire.HEADER] + mixed
        octets += message[wire.HEADER + len(question) :]
        exchange = self._pending[number] = _Exchange(mixed, self._loop.create_future())
        sent = self._loop.time()
        try:
            self._flow.send(octets)
            for pause in RESEND_S:
                await asyncio.wait((exchange.answered,), timeout=pause)
                if not exchange.answered.done():
                    self._flow.send(octets)
            return await exchange.answered
        except asyncio.CancelledError:
            self._give_up(sent)
            raise
        finally:
            self._pending.pop(number, None)
            self._retired.append(number)

    def end(self, error: Exception) -> None:
        """Close the flow; what waits on it gets `error`."""
        if self.ended:
            return
        self.ended = True
        self._flow.close()
        for exchange in self._pending.values():
            if not exchange.answered.done():
                exchange.answered.set_exception(error)

    def _give_up(self, sent: float) -> None:
        """A query got no answer: where nothing else came either, the flow is to blame."""
        if self._heard <= sent and self._loop.time() - self._opened >= FAIR_S:
            self.end(LostError("no datagram comes back"))

    def _unused_id(self) -> int:
        """An id nobody can guess (RFC 5452 §9.1); the bound on what is pending leaves enough of them."""
        while (number := secrets.randbits(16)) in self._pending:
            pass
        return number

    def _received(self, message: bytes) -> None:
        number = int.from_bytes(message[:2], "big")
        exchange = self._pending.get(number)
        if exchange is not None and wire.answers(message, exchange.question, exact=True):
            self._heard = self._loop.time()
            if not exchange.answered.done():
                exchange.answered.set_result(message)
        elif number not in self._retired:
            self._mismatch()

    def _mismatch(self) -> None:
        """Counted, and nobody's wait ends, until there are so many that someone must be guessing."""
        self.mismatches += 1
        if self.mismatches >= MAX_MISMATCHES and self._pending:
            self.end(ForgeryError(f"{self.mismatches} messages matched no query"))


class DatagramTransport:
    """One upstream by UDP."""

    def __init__(self, tunnel: Tunnel, remote: Endpoint) -> None:
        self._tunnel = tunnel
        self._remote = remote
        self._flow: _Flow | None = None
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
        """End the flow."""
        if self._flow is not None:
            self._flow.end(LostError("closed"))

    def _current(self) -> _Flow:
        if self._flow is None or self._flow.ended:
            self._earlier_mismatches = self.mismatches
            self._flow = None
            self._flow = _Flow(self._tunnel, self._remote)
        return self._flow
