"""The octets that the bus sends, as messages. Any program of the session may send any: sizes are bounded."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from jeepney.low_level import Header, HeaderFields, Message, calc_msg_size

MAX_OCTETS = 256 * 1024
"""Of a message that is read. The longest that a panel has reason to send, a list of rows, has less."""

_FIXED_OCTETS = 16  # the header's part that tells how long the message is


class Incoming(NamedTuple):
    """A message. `readable` is False where the body is too long or makes no sense, and was left out."""

    message: Any
    readable: bool = True

    @property
    def body(self) -> tuple[Any, ...]:
        """The arguments."""
        body: tuple[Any, ...] = self.message.body
        return body

    def field(self, which: HeaderFields) -> str:
        """A field of the header; empty where there is none."""
        return str(self.message.header.fields.get(which, ""))


class NoMessagesError(ValueError):
    """What was fed is not D-Bus."""


class Inbox:
    """Fed with octets in pieces of any size, it gives the messages that they complete."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._size = 0  # of the message that is coming; 0 before it is known
        self._surplus = 0  # octets still to come of a message that is too long

    def feed(self, data: bytes) -> Iterator[Incoming]:
        """The messages that end in `data`, but for those without a proper header; raises NoMessagesError."""
        skipped = min(self._surplus, len(data))
        self._surplus -= skipped
        self._buffer += memoryview(data)[skipped:]
        while self._complete():
            octets = bytes(self._buffer[: self._size])
            del self._buffer[: self._size]
            self._surplus = self._size - len(octets)
            whole = self._size <= MAX_OCTETS
            self._size = 0
            message = _message(octets) if whole else None
            message = message or _header_only(octets)
            if message:
                yield message

    def _complete(self) -> bool:
        if not self._size and len(self._buffer) >= _FIXED_OCTETS:
            try:
                self._size = calc_msg_size(bytes(self._buffer[:_FIXED_OCTETS]))
            except LookupError:
                raise NoMessagesError("the first octet is no byte order") from None
        return 0 < min(self._size, MAX_OCTETS) <= len(self._buffer)


def _message(octets: bytes) -> Incoming | None:
    try:
        return Incoming(Message.from_buffer(octets))
    except Exception:  # noqa: BLE001  whatever the library meets in it
        return None


def _header_only(octets: bytes) -> Incoming | None:
    try:
        header, _ = Header.from_buffer(octets)
    except Exception:  # noqa: BLE001  the same: nobody to answer to
        return None
    return Incoming(Message(header, ()), readable=False)
