"""Reading datagrams: in batches, a few of them in a turn, so that no socket keeps the others waiting."""

import logging
import socket
from collections.abc import Callable

from sockslocal.address import Endpoint
from sockslocal.net.datagrams import SLOTS, Batch
from sockslocal.net.engine import Engine
from sockslocal.net.local_address import tells_local_address
from sockslocal.net.poller import READABLE

ROUNDS = 4
"""Batches received before the other sockets have their turn."""

Received = Callable[[Batch, int], bool | None]
"""Is given a batch of so many datagrams, at least one, which is good only during the call.

True where the rest is to wait until others had their turn.
"""

_log = logging.getLogger(__name__)


class DatagramReader:
    """Reads the non-blocking `sock`, which is its own, until it is closed.

    Errors that earlier datagrams brought back (ICMP) are passed over; whose socket is connected may want to
    know that nobody listens at the other end: `refused` tells, after what came before. Without that, it is
    one of the engine's ears. Raises OSError, with `sock` closed, where no more can be watched.
    """

    __slots__ = (
        "_batch",
        "_ear",
        "_ears",
        "_local",
        "_poller",
        "_received",
        "_refused",
        "_resuming",
        "closed",
        "share",
        "sock",
    )

    def __init__(
        self,
        engine: Engine,
        sock: socket.socket,
        received: Received,
        refused: Callable[[], None] | None = None,
    ) -> None:
        self._poller = engine.poller
        self._batch = engine.batch
        self.sock = sock
        self._received = received
        self._refused = refused
        self._local = tells_local_address(sock)
        self._resuming = False
        self.share = SLOTS
        """How many datagrams it is given at once, at most."""
        self.closed = False
        self._ears = engine.ears
        self._poller.register(sock, self._ready)
        self._ear = Endpoint(*sock.getsockname()[:2])
        if refused is None:
            self._ears.add(self._ear, sock)

    def close(self) -> None:
        """Read no more, not even what waits, and close the socket."""
        if not self.closed:
            self.closed = True
            if self._refused is None:
                self._ears.discard(self._ear)
                self._poller.release(
                    self.sock
                )  # closing would not do where a service manager has it open too
            self._poller.close(self.sock)

    def _ready(self, events: int) -> None:
        if events & READABLE and not self._resuming:
            self._read()

    def _read(self) -> None:
        """Read a turn's share; what is left has the next turn."""
        self._resuming = False
        batch, sock = self._batch, self.sock
        for _ in range(ROUNDS):
            if self.closed:
                return
            share = self.share
            count = batch.receive(sock, share, local=self._local)
            enough = self._hand_over(count, refused=batch.refused)
            if count < share:
                self._poller.wait_readable(sock)
                return
            if enough:
                break
        self._resuming = True
        self._poller.soon(self._read)

    def _hand_over(self, count: int, *, refused: bool) -> bool | None:
        """Tell what was received; gives whether it is enough for this turn."""
        enough = None
        try:
            if count:
                enough = self._received(self._batch, count)
            if refused and self._refused is not None and not self.closed:
                self._refused()
        except Exception:  # noqa: BLE001 (the bug of one batch must not end the reading)
            _log.exception("! datagrams could not be handled")
        return enough
