"""Queries on their way to an upstream, and what may answer them (RFC 5452 §9)."""

import asyncio
import secrets
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from sockslocal.resolver.errors import LostError, copied

FAIR_S = 2.0
"""Seconds a channel is given in which nothing comes; then a query that waits in vain has it replaced."""

_RETIRED = 1024

Reply = TypeVar("Reply")


class _Exchange(Generic[Reply]):
    """A query that waits for its answer."""

    __slots__ = ("answered", "question")

    def __init__(self, question: bytes, answered: asyncio.Future[Reply]) -> None:
        self.question = question
        self.answered = answered


class Channel(ABC, Generic[Reply]):
    """A flow or a connection, from its opening to its end; what is asked on it has a number each."""

    def __init__(self) -> None:
        self.mismatches = 0
        """Messages that answered nothing we asked."""
        self.ended: Exception | None = None
        """Why it carries no more; never raised itself, as each who waits writes a traceback into his own."""
        self.retired = False
        """Whether it takes no more, and ends when all that wait have their answers."""
        self._loop = asyncio.get_running_loop()
        self._used = self._loop.time()
        self._silent_since: float | None = None
        """When the first query was sent since something came."""
        self._waiting: dict[int, _Exchange[Reply]] = {}

    @property
    def usable(self) -> bool:
        """Whether it takes queries."""
        return self.ended is None and not self.retired

    async def exchange(self, question: bytes, send: Callable[[int], None]) -> Reply:
        """The response to `question`, which `send` sends under a number.

        Raises what ended the channel. Cancelled by whoever has waited long enough.
        """
        if self.ended is not None:
            raise copied(self.ended)
        number = self._number()
        self._waiting[number] = _Exchange(question, self._loop.create_future())
        self._used = self._loop.time()
        if self._silent_since is None:
            self._silent_since = self._used
        try:
            send(number)
            # in no variable of this frame: the traceback of its error has the frame, and so would lead back
            return await self._waiting[number].answered
        except asyncio.CancelledError:
            self._give_up(number)
            raise
        finally:
            del self._waiting[number]
            self._done(number)

    def end(self, error: Exception) -> None:
        """Close; whoever waits gets an `error` of his own."""
        if self.ended is not None:
            return
        self.ended = error
        self._close()
        for number in tuple(self._waiting):
            self._fail(number, error)

    def retire(self) -> None:
        """Take no more queries, and end as soon as none waits."""
        self.retired = True
        if not self._waiting:
            self.end(LostError("replaced"))

    def _heard(self) -> None:
        """Something came that was asked for."""
        self._silent_since = None

    def _answer(self, number: int, reply: Reply) -> None:
        exchange = self._waiting.get(number)
        if exchange is not None and not exchange.answered.done():
            exchange.answered.set_result(reply)

    def _fail(self, number: int, error: Exception) -> None:
        exchange = self._waiting.get(number)
        if exchange is not None and not exchange.answered.done():
            exchange.answered.set_exception(copied(error))

    def _give_up(self, number: int) -> None:  # noqa: ARG002  what some tell the upstream
        """A query waited in vain: where nothing else came for long either, the channel is to blame."""
        if self._silent_since is not None and self._loop.time() - self._silent_since >= FAIR_S:
            self.end(LostError("nothing comes back"))

    def _done(self, number: int) -> None:  # noqa: ARG002  what some remember
        """Nobody waits for the answer to `number` any more."""
        if self.retired and not self._waiting:
            self.end(LostError("replaced"))

    @abstractmethod
    def _number(self) -> int:
        """The number of the next query."""

    @abstractmethod
    def _close(self) -> None: ...


class MessageChannel(Channel[bytes]):
    """A channel on which messages are told apart by their ids.

    A message answers a query if its id and its question are the query's. Any other is counted, and ends
    nobody's wait.
    """

    def __init__(self) -> None:
        super().__init__()
        self._past: deque[int] = deque(maxlen=_RETIRED)

    def received(self, message: bytes) -> None:
        """Take a message from the upstream."""
        number = int.from_bytes(message[:2], "big")
        exchange = self._waiting.get(number)
        if exchange is not None and self._answers(message, exchange.question):
            self._heard()
            self._answer(number, message)
        elif number not in self._past:
            self.mismatches += 1
            self._mismatched()

    def _number(self) -> int:
        """One that nobody can guess (RFC 5452 §9.2)."""
        while (number := secrets.randbits(16)) in self._waiting:
            pass
        return number

    def _done(self, number: int) -> None:
        self._past.append(number)
        super()._done(number)

    @abstractmethod
    def _answers(self, message: bytes, question: bytes) -> bool:
        """Whether `message` is the response to `question`, its id being right."""

    @abstractmethod
    def _mismatched(self) -> None:
        """A message answered nothing we asked."""


Kind = TypeVar("Kind", bound=Channel[Any])


class Succession(Generic[Kind]):
    """The channel in use, and those it replaced on which some still wait: their deadlines end these."""

    def __init__(self) -> None:
        self.current: Kind | None = None
        self._earlier: list[Kind] = []
        self._counted = 0

    @property
    def mismatches(self) -> int:
        """Messages that answered nothing we asked, on all there have been."""
        current = self.current.mismatches if self.current else 0
        return self._counted + current + sum(channel.mismatches for channel in self._earlier)

    def replace(self, channel: Kind) -> None:
        """Use `channel` from now on."""
        if self.current is not None:
            self._earlier.append(self.current)
            self.current.retire()
        self._counted += sum(earlier.mismatches for earlier in self._earlier if earlier.ended)
        self._earlier = [earlier for earlier in self._earlier if not earlier.ended]
        self.current = channel

    def end(self, error: Exception) -> None:
        """End all."""
        for channel in (*self._earlier, self.current):
            if channel is not None:
                channel.end(error)
