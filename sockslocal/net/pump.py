"""One direction of a relay: what the source says, the sink hears.

Short exchanges are copied through one buffer, which costs the least for them. Once a read fills the
buffer the stream is bulk, and where there are pipes, its octets are spliced through a borrowed one and
never enter Python. Either way no more is held than one buffer or one pipe, however slowly the sink reads.
"""

import os
import socket
import sys
from enum import Enum, auto

from sockslocal.net.pipes import Pipe, PipePool
from sockslocal.net.sockets import Socket

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


DRY, FULL, BUSY, ENDED = Turn  # needed several times a turn, and slow to reach through the class


class Pump:
    """Moves octets from `source` to `sink`; without `pipes` it always copies.

    An OSError from `turn` means that one of the two was aborted.
    """

    __slots__ = ("_bulk", "_pending", "_pipe", "_pipes", "ending", "last", "moved", "sink", "source")

    def __init__(self, source: Socket, sink: Socket, pipes: PipePool | None) -> None:
        self.source = source
        self.sink = sink
        self._pipes = pipes
        self._pipe: Pipe | None = None
        self._pending = b""
        self._bulk = False
        self.ending = False
        """Whether a short read is not the last one: the source's FIN was announced, or urgent data."""
        self.last = DRY
        self.moved = 0
        """Octets that the sink took."""

    @property
    def held(self) -> int:
        """Octets read and not yet written."""
        return len(self._pending) + (self._pipe.held if self._pipe else 0)

    def turn(self) -> Turn:
        """Move what can be moved now, SHARE octets and a buffer at most. Raises OSError."""
        if self._bulk and self._borrow():
            return self._splice()
        return self._copy()

    def pass_end(self) -> None:
        """Send the sink the FIN that the source sent. Raises OSError."""
        self.sink.shutdown(socket.SHUT_WR)

    def preload(self, octets: bytes) -> None:
        """Have the sink hear `octets` first."""
        self._pending = octets

    def release(self) -> None:
        """Give back what was borrowed; the pump is not used after."""
        self._pending = b""
        if self._pipe is not None:
            self._give_back()

    def _copy(self) -> Turn:  # noqa: PLR0911  one for each way a turn can end
        if self._pending and not self._write(self._pending):
            return FULL
        for _ in range(SHARE // CHUNK):
            try:
                data = self.source.recv(CHUNK)
            except BlockingIOError:
                return DRY
            if not data:
                return ENDED
            if not self._write(data):
                return FULL
            if len(data) == CHUNK:
                if self._borrow():
                    return self._splice()
            elif not self.ending:
                return DRY  # a short read empties the source, and what comes after is a new edge
        return BUSY

    def _write(self, data: bytes) -> bool:
        """Whether the sink took all of `data`; what it did not take is pending."""
        try:
            sent = self.sink.send(data)
        except BlockingIOError:
            sent = 0
        self.moved += sent
        self._pending = data[sent:]
        return sent == len(data)

    def _borrow(self) -> bool:
        """Whether there is a pipe to splice through."""
        if self._pipe is None and self._pipes is not None:
            self._pipe = self._pipes.borrow()
        self._bulk = self._pipe is not None
        return self._bulk

    def _give_back(self) -> None:
        assert self._pipes is not None and self._pipe is not None  # noqa: S101, PT018
        self._pipes.give_back(self._pipe)
        self._pipe = None

    def _splice(self) -> Turn:
        """As `_copy`, through the pipe, which is kept only while there is something in it."""
        assert self._pipe is not None  # noqa: S101  `_borrow` has seen to that
        before = self.moved
        try:
            turn = self._splice_through(self._pipe)
        finally:
            if not self._pipe.held:
                self._give_back()
        self._bulk = turn is not DRY or self.moved - before >= SPARSE
        return turn

    if sys.platform == "linux":

        def _splice_through(self, pipe: Pipe) -> Turn:
            source, sink, flags = self.source.fileno(), self.sink.fileno(), os.SPLICE_F_NONBLOCK
            end = self.moved + SHARE
            while self.moved < end:
                if not pipe.held:
                    try:
                        pipe.held = os.splice(source, pipe.writer, pipe.capacity, flags=flags)
                    except BlockingIOError:
                        return DRY
                    if not pipe.held:
                        return ENDED
                try:
                    taken = os.splice(pipe.reader, sink, pipe.held, flags=flags)
                except BlockingIOError:
                    return FULL
                pipe.held -= taken
                self.moved += taken
            return BUSY

    else:

        def _splice_through(self, pipe: Pipe) -> Turn:
            raise NotImplementedError("only on Linux are there pipes to borrow")
