"""The credentials of one server, which may come late, be missing, or be rejected."""

from collections.abc import Callable

from sockslocal.errors import CredentialsError, SockslocalError
from sockslocal.net.engine import Clock
from sockslocal.socks5.client import Credentials

REJECTED_S = 5.0
"""A rejected login is not repeated within these seconds, so that no account gets locked by our retries."""

MAX_WAITING = 1024
"""Dials that may wait for the password to be read."""

Answer = Credentials | SockslocalError | None
"""None: the server wants no login."""

Found = Callable[[Answer], None]


class Login:
    """Answers every dial that asks with credentials or with why there are none.

    `wanted` is called when a dial asks in vain; it says whether a new attempt to read the password began.
    """

    def __init__(self, clock: Clock, wanted: Callable[[], bool]) -> None:
        self._clock = clock
        self._wanted = wanted
        self._waiting: list[Found] = []
        self._answer: Answer = None
        self._known = False
        self._rejected: SockslocalError | None = None
        self._rejected_until = 0.0

    def find(self, found: Found) -> None:
        """Call `found`, at once where the answer is known."""
        if self._known and not isinstance(self._answer, SockslocalError):
            rejected = self._rejected if self._clock() < self._rejected_until else None
            found(rejected or self._answer)
        elif self._known and not self._wanted():
            found(self._answer)
        elif len(self._waiting) < MAX_WAITING:
            self._waiting.append(found)
        else:
            found(CredentialsError.of("descriptors-exhausted", limit=MAX_WAITING))

    def settle(self, answer: Answer) -> None:
        """The password was read, or could not be."""
        self._answer = answer
        self._known = True
        self._rejected = None
        waiting, self._waiting = self._waiting, []
        for found in waiting:
            found(answer)

    def reject(self, error: SockslocalError) -> None:
        """The server did not accept the login."""
        self._rejected = error
        self._rejected_until = self._clock() + REJECTED_S

    def forget(self) -> None:
        """The password is about to be read again: dials wait for it."""
        self._known = False

    def close(self) -> None:
        """Nobody is called any more."""
        self._waiting.clear()
