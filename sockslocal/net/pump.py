"""One direction of a relay: what the source says, the sink hears.

Short exchanges are copied through one buffer, which costs the least for them. Once a read fills the
buffer the stream is bulk, and where the platform can, its bytes are spliced through a borrowed pipe and
never enter Python. Either way no more is held than one buffer or one pipe, however slowly the sink reads.
"""

import os
import socket
import sys
from enum import Enum, auto

from sockslocal.net.pipes import Pipe, PipePool

CHUNK = 65_536
"""Octets read at once, and the most that is held for a slow sink when copying."""

SHARE = 2 << 20
"""Octets moved in one turn; then the other connections have theirs."""

SPARSE = 16_384
"""A turn of splicing that moved less than this was no bulk."""


class Turn(Enum):
    """How a turn ended."""

    DRY = auto()
    """The source has no more for now."""
    FULL = auto()
    """The sink takes no more for now."""
    BUSY = auto()
    """There is more to do, but others are to have their turn first."""
    ENDED = auto()
    """The source ended, and the sink has all of it but the end."""


class Pump:
    """Moves octets from `source` to `sink`; without `pipes` it always copies.

    An OSError from `turn` means that one of the two was aborted.
    """

    __slots__ = ("_bulk", "_pending", "_pipe", "_pipes", "ending", "last", "moved", "sink", "source")

    def __init__(self, source: socket.socket, sink: socket.socket, pipes: PipePool | None) -> None:
        self.source = source
        self.sink = sink
        self._pipes = pipes
        self._pipe: Pipe | None = None
        self._pending = b""
        self._bulk = False
        self.ending = False
        """Whether the source's FIN was seen: then a short read is not the end yet."""
        self.last = Turn.DRY
        self.moved = 0
        """Octets that the sink took."""

    @property
    def held(self) -> int:
        """Octets read and not yet written."""
        return len(self._pending) + (self._pipe.held if self._pipe else 0)

    def turn(self) -> Turn:
        """Move what can be moved now, SHARE octets at most. Raises OSError."""
        if self.last is not Turn.ENDED:
            self.last = self._splice() if self._bulk else self._copy()
        return self.last

    def pass_end(self) -> None:
        """Send the sink the FIN that the source sent. Raises OSError."""
        self.sink.shutdown(socket.SHUT_WR)

    def preload(self, octets: bytes) -> None:
        """Have the sink hear `octets` first."""
        self._pending = octets + self._pending

    def release(self) -> None:
        """Give back what was borrowed; the pump is not used after."""
        if self._pipe is not None and self._pipes is not None:
            self._pipes.give_back(self._pipe)
            self._pipe = None
        self._pending = b""

    def _copy(self) -> Turn:  # noqa: PLR0911  one for each way a turn can end
        moved_before = self.moved
        if self._pending and not self._write(self._pending):
            return Turn.FULL
        while self.moved - moved_before < SHARE:
            try:
                data = self.source.recv(CHUNK)
            except BlockingIOError:
                return Turn.DRY
            if not data:
                return Turn.ENDED
            if not self._write(data):
                return Turn.FULL
            if len(data) == CHUNK and self._pipes is not None:
                self._bulk = True
                return self._splice()
            # An edge-triggered source is empty after a short read, unless its end was announced already.
            if len(data) < CHUNK and not self.ending:
                return Turn.DRY
        return Turn.BUSY

    def _write(self, data: bytes) -> bool:
        """Whether the sink took all of `data`; what it did not take is pending."""
        try:
            sent = self.sink.send(data)
        except BlockingIOError:
            sent = 0
        self.moved += sent
        self._pending = data[sent:]
        return sent == len(data)

    if sys.platform == "linux":

        def _splice(self) -> Turn:
            assert self._pipes is not None  # noqa: S101  only then is a pump set to splice
            pipe = self._pipe or self._pipes.borrow()
            if pipe is None:
                self._bulk = False
                return self._copy()
            self._pipe = pipe
            before = self.moved
            try:
                turn = self._splice_through(pipe)
            finally:
                if not pipe.held:
                    self._pipes.give_back(pipe)
                    self._pipe = None
            if turn is Turn.DRY and self.moved - before < SPARSE:
                self._bulk = False
            return turn

        def _splice_through(self, pipe: Pipe) -> Turn:
            source, sink, flags = self.source.fileno(), self.sink.fileno(), os.SPLICE_F_NONBLOCK
            end = self.moved + SHARE
            while self.moved < end:
                if not pipe.held:
                    try:
                        pipe.held = os.splice(source, pipe.writer, pipe.capacity, flags=flags)
                    except BlockingIOError:
                        return Turn.DRY
                    if not pipe.held:
                        return Turn.ENDED
                try:
                    taken = os.splice(pipe.reader, sink, pipe.held, flags=flags)
                except BlockingIOError:
                    return Turn.FULL
                pipe.held -= taken
                self.moved += taken
            return Turn.BUSY

    else:
        _splice = _copy
