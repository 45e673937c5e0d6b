"""Accepting connections, in batches, without ever drowning in its own errors."""

import asyncio
import logging
import os
import socket
from collections.abc import Callable

from sockslocal.net.descriptors import CAPACITY_ERRNOS, DescriptorBudget
from sockslocal.net.poller import Poller
from sockslocal.net.sockets import Socket, adopt_socket

BATCH = 64
"""Connections accepted before the other sockets have their turn."""

PAUSE_S = 0.5
"""How long the backlog waits before it is seen whether there is room again."""

_log = logging.getLogger(__name__)


class Listener:
    """Accepts on one listening socket and hands each connection, non-blocking, to `accepted`."""

    def __init__(
        self,
        poller: Poller,
        sock: Socket,
        accepted: Callable[[Socket], None],
        budget: DescriptorBudget,
    ) -> None:
        self._poller = poller
        self._sock = sock
        self._accepted = accepted
        self._budget = budget
        self._family = sock.family
        self._closed = False
        self._resuming = False
        self._pause: asyncio.TimerHandle | None = None
        poller.register(sock, self._ready)

    @property
    def address(self) -> object:
        """What the socket is bound to, as `getsockname` gives it."""
        return self._sock.getsockname()

    def close(self) -> None:
        """Stop accepting; connections already accepted are not touched."""
        if not self._closed:
            self._closed = True
            self._poller.release(self._sock)  # closing would not do where a service manager has it open too
            self._poller.close(self._sock)
            if self._pause is not None:
                self._pause.cancel()
                self._budget.go_on(self)

    def _ready(self, _events: int) -> None:
        if not self._resuming:
            self._accept_some()

    def _accept_some(self) -> None:
        self._resuming = False
        failed = 0
        for _ in range(BATCH):
            if self._closed:
                return
            try:
                fd, _address = self._sock._accept()  # type: ignore[attr-defined]  # noqa: SLF001  `accept` costs ten times more
            except BlockingIOError:
                self._poller.wait_readable(self._sock)
                return
            except OSError as error:
                if error.errno in CAPACITY_ERRNOS:
                    self._wait(os.strerror(error.errno).lower())
                    return
                failed += 1  # the client went away between its SYN and now
                continue
            self._hand_over(adopt_socket(self._family, socket.SOCK_STREAM, fd))
            if self._budget.may_be_spent(fd) and self._budget.is_spent(self._poller.watched):
                self._wait("too many open files")
                return
        if failed < BATCH:
            self._resuming = True
            self._poller.soon(self._accept_some)
        else:
            self._wait("accepting fails")

    def _hand_over(self, sock: Socket) -> None:
        try:
            self._accepted(sock)
        except Exception:  # noqa: BLE001 (one connection's bug must not end the others)
            _log.exception("! a connection could not be served")
            self._poller.close(sock)

    def _wait(self, why: str) -> None:
        """Let the backlog wait until there is room again."""
        if not self._closed:
            self._budget.wait(self, why)
            self._resuming = True
            self._pause = self._poller.later(PAUSE_S, self._look_again)

    def _look_again(self) -> None:
        if self._budget.is_spent(self._poller.watched):
            self._wait("too many open files")
            return
        self._pause = None
        self._accept_some()
        if self._pause is None:
            self._budget.go_on(self)
