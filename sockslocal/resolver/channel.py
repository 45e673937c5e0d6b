"""Queries on their way to an upstream, and the messages that may answer them (RFC 5452 §9)."""

import asyncio
import secrets
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable

from sockslocal.resolver.errors import LostError, copied

FAIR_S = 2.0
"""Seconds a silent channel is given before a query that waits in vain has it replaced."""

_RETIRED = 1024


class _Exchange:
    """A query that waits for its answer."""

    __slots__ = ("answered", "question")

    def __init__(self, question: bytes, answered: asyncio.Future[bytes]) -> None:
        self.question = question
        self.answered = answered


class Channel(ABC):
    """A flow or a connection, from its opening to its end.

    A message answers a query if its id and its question are the query's. Any other is counted, and ends
    nobody's wait.
    """

    def __init__(self) -> None:
        self.mismatches = 0
        self.ended: Exception | None = None
        """Why it carries no more; never raised itself, as each who waits writes a traceback into his own."""
        self._loop = asyncio.get_running_loop()
        self._opened = self._heard = self._used = self._loop.time()
        self._waiting: dict[int, _Exchange] = {}
        self._retired: deque[int] = deque(maxlen=_RETIRED)

    async def exchange(self, question: bytes, send: Callable[[int], None]) -> bytes:
        """The response to `question`, which `send` sends under an id that nobody can guess.

        Raises what ended the channel. Cancelled by whoever has waited long enough.
        """
        if self.ended is not None:
            raise copied(self.ended)
        while (number := secrets.randbits(16)) in self._waiting:
            pass
        waiting = self._waiting[number] = _Exchange(question, self._loop.create_future())
        sent = self._used = self._loop.time()
        try:
            send(number)
            return await waiting.answered
        except asyncio.CancelledError:
            self._give_up(sent)
            raise
        finally:
            del self._waiting[number]
            self._retired.append(number)

    def received(self, message: bytes) -> None:
        """Take a message from the upstream."""
        number = int.from_bytes(message[:2], "big")
        exchange = self._waiting.get(number)
        if exchange is not None and self._answers(message, exchange.question):
            self._heard = self._loop.time()
            if not exchange.answered.done():
                exchange.answered.set_result(message)
        elif number not in self._retired:
            self.mismatches += 1
            self._mismatched()

    def end(self, error: Exception) -> None:
        """Close; whoever waits gets an `error` of his own."""
        if self.ended is not None:
            return
        self.ended = error
        self._close()
        for exchange in self._waiting.values():
            if not exchange.answered.done():
                exchange.answered.set_exception(copied(error))

    def _give_up(self, sent: float) -> None:
        """A query waited in vain: where nothing else came either, the channel is to blame."""
        if self._heard <= sent and self._loop.time() - self._opened >= FAIR_S:
            self.end(LostError("nothing comes back"))

    @abstractmethod
    def _answers(self, message: bytes, question: bytes) -> bool:
        """Whether `message` is the response to `question`, its id being right."""

    @abstractmethod
    def _mismatched(self) -> None:
        """A message answered nothing we asked."""

    @abstractmethod
    def _close(self) -> None: ...
