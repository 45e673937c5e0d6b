"""Queries on their way to an upstream, and the messages that may answer them (RFC 5452 §9)."""

import asyncio
import secrets
from abc import ABC, abstractmethod
from collections import deque

from sockslocal.resolver import wire
from sockslocal.resolver.errors import LostError

FAIR_S = 2.0
"""Seconds a silent channel is given before a query that waits in vain has it replaced."""

_RETIRED = 1024


class Exchange:
    """A query that waits for its answer."""

    __slots__ = ("answered", "number", "question", "sent")

    def __init__(self, number: int, question: bytes, sent: float) -> None:
        self.number = number
        self.question = question
        self.sent = sent
        self.answered: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()


class Channel(ABC):
    """A flow or a connection, from its opening to its end.

    A message answers a query if its id and its question are the query's; where `exact`, in the same letter
    case. Any other is counted, and ends nobody's wait.
    """

    def __init__(self, *, exact: bool) -> None:
        self.mismatches = 0
        self.ended: Exception | None = None
        """Why it carries no more."""
        self._exact = exact
        self._loop = asyncio.get_running_loop()
        self._opened = self._heard = self._loop.time()
        self._waiting: dict[int, Exchange] = {}
        self._retired: deque[int] = deque(maxlen=_RETIRED)

    def begin(self, question: bytes) -> Exchange:
        """Wait for an answer to `question`, under an id that nobody can guess.

        Raises what ended the channel.
        """
        if self.ended is not None:
            raise self.ended
        while (number := secrets.randbits(16)) in self._waiting:
            pass
        exchange = self._waiting[number] = Exchange(number, question, self._loop.time())
        return exchange

    async def outcome(self, exchange: Exchange) -> bytes:
        """The answer; raises what ended the channel. Cancelled by whoever has waited long enough."""
        try:
            return await exchange.answered
        except asyncio.CancelledError:
            if self._heard <= exchange.sent and self._loop.time() - self._opened >= FAIR_S:
                self.end(LostError("nothing comes back"))
            raise
        finally:
            del self._waiting[exchange.number]
            self._retired.append(exchange.number)

    def received(self, message: bytes) -> None:
        """Take a message from the upstream."""
        number = int.from_bytes(message[:2], "big")
        exchange = self._waiting.get(number)
        if exchange is not None and self._answers(message, exchange):
            self._heard = self._loop.time()
            if not exchange.answered.done():
                exchange.answered.set_result(message)
        elif number not in self._retired:
            self.mismatches += 1
            self._mismatched()

    def end(self, error: Exception) -> None:
        """Close; what waits gets `error`."""
        if self.ended is not None:
            return
        self.ended = error
        self._close()
        for exchange in self._waiting.values():
            if not exchange.answered.done():
                exchange.answered.set_exception(error)

    def _answers(self, message: bytes, exchange: Exchange) -> bool:
        return wire.answers(message, exchange.question, exact=self._exact)

    @abstractmethod
    def _mismatched(self) -> None:
        """A message answered nothing we asked."""

    @abstractmethod
    def _close(self) -> None: ...
