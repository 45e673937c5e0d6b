"""UDP over TCP: the datagrams of an association as frames on one connection with the server."""

import logging
from collections.abc import Callable
from functools import partial

from sockslocal.net.abort import abort
from sockslocal.net.datagram_reader import ROUNDS
from sockslocal.net.datagrams import SLOTS, Batch
from sockslocal.net.engine import Engine
from sockslocal.net.keepalive import REMOTE_IDLE_S, keep_alive
from sockslocal.net.poller import READABLE, WRITABLE
from sockslocal.net.sockets import Socket
from sockslocal.net.tls import say_end
from sockslocal.socks5.errors import FramingError, RemoteError
from sockslocal.socks5.udp_over_tcp import Framing

CHUNK = 65_536
"""Octets read at once."""

MAX_HELD = 1 << 18
"""Octets that wait for a socket that takes no more; what comes then is dropped, as by a full UDP socket."""

_log = logging.getLogger(__name__)


class UdpStream:
    """Frames on `sock`, which the poller knows already; it becomes the stream's own.

    `received` is given batches of datagrams with the header of RFC 1928 §7, good only during the call.
    `ended` is called once, when the server or the way to it has ended the stream and it is closed; with an
    error where what the server sent is the reason. Neither is called after `close`.
    """

    __slots__ = (
        "_arrived",
        "_batch",
        "_decoder",
        "_encode",
        "_ended",
        "_full",
        "_held",
        "_poller",
        "_received",
        "_resuming",
        "_sock",
        "_watchdog",
        "closed",
    )

    def __init__(
        self,
        engine: Engine,
        sock: Socket,
        framing: Framing,
        received: Callable[[Batch, int], object],
        ended: Callable[[RemoteError | None], None],
    ) -> None:
        self._poller = engine.poller
        self._watchdog = engine.watchdog
        self._batch = engine.batch
        self._sock = sock
        self._encode = framing.encode
        self._decoder = framing.decoder()
        self._received = received
        self._ended = ended
        self._held = bytearray(framing.opening)
        self._full = False
        self._arrived: list[bytes] = []
        self._resuming = False
        self.closed = False

    def start(self, leftover: bytes = b"") -> None:
        """Begin to read; `leftover` came before, and what came since is found at once."""
        self._watchdog.add(self)
        self._poller.replace(self._sock, self._ready)
        if self._take_apart(leftover):
            self._read()

    def send(self, header: bytes, batch: Batch, indices: range) -> int:
        """Send payloads of `batch` to the remote in `header`; gives how many were taken.

        The others are dropped: too much waits for the server already, or the framing cannot say them.
        """
        taken = sum(self._add(header, batch.payload(index)) for index in indices)
        if taken:
            self._write()
        return taken

    def send_one(self, header: bytes, payload: bytes) -> bool:
        """Send one payload to the remote in `header`; False where it was dropped."""
        taken = self._add(header, payload)
        if taken:
            self._write()
        return taken

    def close(self) -> None:
        """End the stream; what waits is dropped."""
        if not self.closed:
            self._retire()
            say_end(self._sock)
            self._poller.close(self._sock)

    @property
    def sockets(self) -> tuple[Socket, ...]:
        """What the watchdog looks at."""
        return (self._sock,)

    def lasts(self) -> None:
        """Have the system ask from time to time whether the server is there."""
        keep_alive(self._sock, REMOTE_IDLE_S)

    def abort(self) -> None:
        """The server has vanished, and is owed no orderly end."""
        if not self.closed:
            self._retire()
            abort(self._poller, self._sock)
            self._ended(None)

    def _retire(self) -> None:
        self.closed = True
        self._watchdog.discard(self)

    def _end(self, error: RemoteError | None) -> None:
        if not self.closed:
            self.close()
            self._ended(error)

    def _ready(self, events: int) -> None:
        if events & WRITABLE and self._full:
            self._full = False
            self._write()
        if events & READABLE and not self._resuming:
            self._read()

    def _add(self, header: bytes, payload: bytes | memoryview) -> bool:
        """Have the frame of `payload` wait to be written; False where it was dropped."""
        held = self._held
        if len(held) >= MAX_HELD:
            self._write()
        if self.closed or len(held) >= MAX_HELD:
            return False
        frame = self._encode(header, payload)
        if frame is None:
            return False
        held += frame
        return True

    def _write(self) -> None:
        """Write what waits, until the socket is full; a frame that was cut there goes on when it is not."""
        if self._full or self.closed:
            return
        held = self._held
        try:
            while held:  # one call, but where the socket takes less than it has room for, as TLS does
                del held[: self._sock.send(held)]
        except BlockingIOError:
            self._full = True
            self._poller.wait_writable(self._sock)
        except OSError:
            self._poller.soon(partial(self._end, None))  # who sends does not expect the end meanwhile

    def _read(self) -> None:
        """Read a turn's share; what is left has the next turn."""
        self._resuming = False
        for _ in range(ROUNDS):
            if self.closed or not (self._arrived or self._receive()):
                return
            self._hand_over()
        self._resuming = True
        self._poller.soon(self._read)

    def _receive(self) -> bool:
        """Read once; False where there is nothing for now, or nothing any more."""
        try:
            data = self._sock.recv(CHUNK)
        except BlockingIOError:
            self._poller.wait_readable(self._sock)
            return False
        except OSError:
            data = b""  # a reset; the same to whom it concerns
        if not data:
            self._end(None)
            return False
        return self._take_apart(data)

    def _take_apart(self, data: bytes) -> bool:
        """Whether `data` can be read; its datagrams have arrived then."""
        try:
            self._arrived = self._decoder.feed(data)
        except FramingError as error:
            self._end(error)
            return False
        return True

    def _hand_over(self) -> None:
        """Give on as many datagrams as a batch has room for."""
        batch, some = self._batch, self._arrived[:SLOTS]
        self._arrived = self._arrived[SLOTS:]
        try:
            if count := batch.hold(some):
                self._received(batch, count)
        except Exception:  # noqa: BLE001 (the bug of one batch must not end the reading)
            _log.exception("! datagrams could not be handled")
