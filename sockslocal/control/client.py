"""The faces' end of the control connection: plain blocking sockets, quick to import."""

import contextlib
import socket
import time
from collections.abc import Iterator
from typing import Any

import msgspec

from sockslocal.control import endpoint, messages
from sockslocal.errors import ControlError
from sockslocal.paths import Paths
from sockslocal.status import Status

_ONLY_ID = 1  # a connection carries one request
_RETRY_PAUSE = 0.03  # seconds, while a daemon is starting
_RECEIVE_OCTETS = 64 * 1024
_LAST_MOMENT = 0.3  # seconds
_SILENCE = 30.0
"""Seconds without even a heartbeat after which a daemon that is watched counts as stuck."""


class Client:
    """Asks the user's daemon; each call is a connection of its own.

    The daemon has `deadline` seconds to be connected to, and as many to answer.
    All methods raise ControlError: `not-running`, `not-answering`, or the problem that the daemon tells of.
    """

    def __init__(
        self, paths: Paths, *, deadline: float = 5.0, transport: endpoint.Transport | None = None
    ) -> None:
        self._paths = paths
        self._deadline = deadline
        self._transport = transport

    def call(self, do: str, /, **parameters: object) -> Any:
        """The daemon's answer to the request `do`, as built from dicts, lists, texts and numbers."""
        with self._ask(do, parameters) as connection:
            answer = connection.receive()
        return None if answer.ok is msgspec.UNSET else answer.ok

    def status(self) -> Status:
        """What is."""
        return messages.as_status(self.call("status"))

    def pid(self) -> int | None:
        """The process that runs as the user's daemon, 0 where it could not say; None without one."""
        return endpoint.holder(self._paths)

    def watch(self) -> Iterator[tuple[int, Status]]:
        """The present state, then each later one with its sequence number, until the daemon ends."""
        with self._ask("watch", {}) as connection:
            while True:
                answer = connection.receive()
                state = answer.event if answer.ok is msgspec.UNSET else answer.ok
                if state is not msgspec.UNSET:
                    yield answer.seq or 0, messages.as_status(state)
                connection.allow(_SILENCE)

    @contextlib.contextmanager
    def _ask(self, do: str, parameters: dict[str, object]) -> "Iterator[_Connection]":
        line = messages.encode_request(messages.Request(_ONLY_ID, do, parameters))
        with contextlib.closing(_Connection(self._connect(), self._deadline)) as connection:
            try:
                connection.send(line)
                yield connection
            except TimeoutError:
                raise self._not_answering(connection.seconds) from None
            except (OSError, EOFError):
                raise self._gone() from None

    def _connect(self) -> socket.socket:
        """Waits for a daemon that has the lock and does not listen yet."""
        deadline = time.monotonic() + self._deadline
        while True:
            try:
                return endpoint.connect(self._paths, max(0.01, deadline - time.monotonic()), self._transport)
            except OSError:
                if endpoint.holder(self._paths) is None:
                    raise endpoint.not_running() from None
                if time.monotonic() > deadline:
                    raise self._not_answering(self._deadline) from None
            time.sleep(_RETRY_PAUSE)

    def _not_answering(self, seconds: float) -> ControlError:
        pid = endpoint.holder(self._paths)
        if pid is None:
            return endpoint.not_running()
        return ControlError.of("not-answering", pid=pid or "unknown", seconds=seconds)

    def _gone(self) -> ControlError:
        """A process that ends closes its connections a moment before it lets go of the lock."""
        deadline = time.monotonic() + _LAST_MOMENT
        while endpoint.holder(self._paths) is not None:
            if time.monotonic() > deadline:
                return ControlError.of("control-closed")
            time.sleep(_RETRY_PAUSE)
        return endpoint.not_running()


class _Connection:
    """A socket that is read by lines, with a deadline over all that is read and written."""

    def __init__(self, connected: socket.socket, seconds: float) -> None:
        self._socket = connected
        self._received = bytearray()
        self.allow(seconds)

    def allow(self, seconds: float) -> None:
        """Sets the deadline to `seconds` from now."""
        self.seconds = seconds
        self._deadline = time.monotonic() + seconds

    def send(self, line: bytes) -> None:
        # one that was turned away may find the connection closed already, with the reason still to be read
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._limit()
            self._socket.sendall(line)

    def receive(self) -> messages.Answer:
        """The next answer; raises ControlError for one that says what is wrong, EOFError at the end."""
        answer = messages.decode_answer(self._line())
        if answer.error is not None:
            raise ControlError(answer.error)
        return answer

    def _line(self) -> bytes:
        searched = 0
        while (end := self._received.find(b"\n", searched)) < 0:
            searched = len(self._received)
            if searched > messages.MAX_ANSWER:
                raise ControlError.of("internal", reason="the daemon's answer is too long")
            self._limit()
            data = self._socket.recv(_RECEIVE_OCTETS)
            if not data:
                raise EOFError
            self._received += data
        line = bytes(self._received[:end])
        del self._received[: end + 1]
        return line

    def _limit(self) -> None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._socket.settimeout(left)

    def close(self) -> None:
        self._socket.close()
