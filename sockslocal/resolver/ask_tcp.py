"""Asking an upstream by TCP: one connection for all queries, answers in any order (RFC 7766 §6.2)."""

import asyncio

from sockslocal.resolver import wire
from sockslocal.resolver.channel import MessageChannel
from sockslocal.resolver.stream import Dial, Stream
from sockslocal.resolver.transport import Connection, StreamTransport

IDLE_S = 10.0
"""Seconds without a query after which we close; servers do so after about as many (RFC 7766 §6.2.3)."""

MAX_OUTSTANDING = 256
"""Queries sent and not answered on one connection; further ones wait their turn."""


class Framer:
    """Messages out of a stream, where each has its length before it (RFC 1035 §4.2.2)."""

    def __init__(self) -> None:
        self._rest = b""

    def take(self, data: bytes) -> list[bytes]:
        """The messages that are complete with `data`."""
        octets, at = self._rest + data, 0
        messages = []
        while len(octets) >= at + 2:
            end = at + 2 + int.from_bytes(octets[at : at + 2], "big")
            if len(octets) < end:
                break
            messages.append(octets[at + 2 : end])
            at = end
        self._rest = octets[at:]
        return messages


class TcpConnection(Connection[bytes], MessageChannel):
    """One connection and what is asked on it."""

    def __init__(self, stream: Stream, idle_s: float) -> None:
        super().__init__(stream, idle_s)
        self._framer = Framer()
        self._turn = asyncio.Semaphore(MAX_OUTSTANDING)

    async def ask(self, message: bytes, question: bytes) -> bytes:
        def send(number: int) -> None:
            octets = number.to_bytes(2, "big") + message[2:]
            self._stream.write(len(octets).to_bytes(2, "big") + octets)

        async with self._turn:
            return await self.exchange(question, send)

    def _received(self, data: bytes) -> None:
        for message in self._framer.take(data):
            self.received(message)

    def _answers(self, message: bytes, question: bytes) -> bool:
        """An error may come without the question where nobody else can have sent it."""
        return wire.answers(message, question, exact=False) or wire.is_bare_error(message)

    def _mismatched(self) -> None:
        """Nothing to do: whoever writes into a TCP connection need not guess."""


def tcp_transport(dial: Dial, idle_s: float = IDLE_S) -> StreamTransport[bytes]:
    """One upstream by TCP, or by TLS where `dial` makes it so."""
    return StreamTransport(dial, lambda stream: TcpConnection(stream, idle_s))
