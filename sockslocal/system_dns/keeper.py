"""The process that stays while the system asks the resolver, and restores when nobody answers there.

It holds a TCP connection to the resolver: its end, even by `kill -9`, is told by the kernel at once. Now and
then it asks something that costs nothing, so that a resolver which hangs is noticed as well.
"""

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sockslocal import locks
from sockslocal.system_dns import questions, redirect
from sockslocal.system_dns.journal import Journal, JournalError
from sockslocal.system_dns.transaction import Transaction

BEAT_S = 4.0
"""Between two questions; the resolver ends connections that are idle for 10 s."""

PATIENCE_S = 3.0
"""For an answer, and for a resolver that is being restarted."""

_RETRY_S = 0.1
_TRIES = 3
"""On a busy machine an answer may be late."""

_LOCK = "keeper.lock"


class _GoneError(Exception):
    """Nobody answers."""


class Keeper:
    """Watches for the switching `journal`; `may_answer` says whether the port is still the right user's."""

    def __init__(self, transaction: Transaction, journal: Journal, may_answer: Callable[[], bool]) -> None:
        self._transaction = transaction
        self._journal = journal
        self._may_answer = may_answer
        self._number = 0

    def keep(self) -> None:
        """Return once all is as it was, by this process or by another one."""
        with _lock_beside(self._transaction.store.path) as lock:
            with suppress(_GoneError):
                self._watch(lock)
            while self._is_switched():
                with suppress(OSError):
                    self._transaction.restore(self._journal.token)
                    return
                time.sleep(BEAT_S)

    def _watch(self, lock: int | None) -> None:
        while self._is_switched():
            if lock is not None:
                locks.acquire(lock)  # the last keeper may have it for a moment yet: then at the next try
            with suppress(OSError), self._connected() as sock:
                while self._is_switched():
                    self._beat(sock)

    def _is_switched(self) -> bool:
        """Whether it is still the same switching."""
        try:
            journal = self._transaction.store.read()
        except (OSError, JournalError):
            return True
        return journal is not None and journal.token == self._journal.token

    def _connected(self) -> socket.socket:
        """A connection to the resolver. Raises _GoneError."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            if self._may_answer():
                with suppress(OSError):
                    return socket.create_connection(("127.0.0.1", self._journal.port), PATIENCE_S)
            if time.monotonic() > deadline:
                raise _GoneError
            time.sleep(_RETRY_S)

    def _beat(self, sock: socket.socket) -> None:
        """Ask, and wait until it is time to ask again. Raises OSError at the connection's end, _GoneError."""
        if not self._is_led():
            raise _GoneError
        self._number = self._number % 0xFFFF + 1
        message = questions.heartbeat(self._number)
        sock.settimeout(PATIENCE_S)
        try:
            sock.sendall(len(message).to_bytes(2, "big") + message)
            if not sock.recv(512):
                raise ConnectionResetError
        except TimeoutError:
            raise _GoneError from None
        sock.settimeout(BEAT_S)
        with suppress(TimeoutError):  # only its end can come
            sock.recv(512)
            raise ConnectionResetError

    def _is_led(self) -> bool:
        """Whether port 53 still leads there, where it has to: a firewall that is loaded anew forgets it."""
        tries = (redirect.leads(self._transaction.system) for _ in range(_TRIES))
        return not self._journal.redirect or any(tries)


def is_kept(journal_path: Path) -> bool:
    """Whether there is a keeper."""
    try:
        descriptor = os.open(journal_path.with_name(_LOCK), os.O_RDONLY)
    except OSError:
        return False
    try:
        return not locks.acquire(descriptor, shared=True)
    finally:
        os.close(descriptor)


@contextmanager
def _lock_beside(journal_path: Path) -> Iterator[int | None]:
    """What is locked as long as there is a keeper: the kernel lets go of it however that ends."""
    try:
        descriptor = os.open(journal_path.with_name(_LOCK), os.O_RDWR | os.O_CREAT, 0o644)
    except OSError:
        yield None
        return
    try:
        yield descriptor
    finally:
        os.close(descriptor)
