"""The credentials of one server, which may come late, be missing, or be rejected."""

from collections.abc import Callable

from sockslocal.errors import CredentialsError, ServerError, SockslocalError
from sockslocal.net.backoff import Backoff
from sockslocal.net.engine import Clock
from sockslocal.socks5.client import Credentials

FIRST_PAUSE_S, LAST_PAUSE_S = 5.0, 300.0
"""A rejected login is not repeated within these seconds, doubling: no account gets locked by our retries."""

MAX_WAITING = 1024
"""Dials that may wait for the password to be read."""

Answer = Credentials | SockslocalError | None
"""None: the server wants no login."""

Found = Callable[[Answer], None]


class Login:
    """Answers every dial to the server `name` with credentials, or with why there are none.

    `wanted` is called when a dial asks in vain; it says whether a new attempt to read the password began.
    """

    def __init__(self, name: str, clock: Clock, wanted: Callable[[], bool]) -> None:
        self._name = name
        self._clock = clock
        self._wanted = wanted
        self._waiting: dict[Found, None] = {}
        self._answer: Answer = None
        self._known = False
        self._rejected: SockslocalError | None = None
        self._rejected_until = 0.0
        self._backoff = Backoff(FIRST_PAUSE_S, LAST_PAUSE_S)
        self._trying = False

    def find(self, found: Found) -> None:
        """Call `found`, at once where the answer is known."""
        answer = self._answer
        if self._known and not isinstance(answer, SockslocalError):
            found(answer if self._rejected is None or self._may_try() else self._rejected)
        elif self._known and not self._wanted():
            found(answer)
        elif len(self._waiting) < MAX_WAITING:
            self._waiting[found] = None
        else:
            reason = f"{MAX_WAITING} connections wait for it already"
            found(CredentialsError.of("password-awaited", server=self._name, reason=reason))

    def drop(self, found: Found) -> None:
        """`found` is not to be called any more."""
        self._waiting.pop(found, None)

    def settle(self, answer: Answer) -> None:
        """The password was read, or could not be."""
        self._answer = answer
        self._known = True
        self.accept()
        self._tell(answer)

    def accept(self) -> None:
        """The server accepts the login."""
        self._rejected = None
        self._backoff.reset()

    def reject(self, credentials: Credentials, error: SockslocalError) -> bool:
        """The server did not accept `credentials`; gives whether they are still those in use."""
        if credentials is not self._answer:
            return False
        if self._rejected is None or self._trying:  # else it began before another one was rejected
            self._trying = False
            self._rejected = error
            self._rejected_until = self._clock() + self._backoff.next()
        return True

    def _may_try(self) -> bool:
        """Whether the pause after a rejection is over; then one dial tries, and is waited for by none."""
        now = self._clock()
        if now < self._rejected_until:
            return False
        self._rejected_until = now + FIRST_PAUSE_S
        self._trying = True
        return True

    def forget(self) -> None:
        """The password is about to be read again: dials wait for it."""
        self._known = False

    def close(self) -> None:
        """The server is not used any more: those who wait are told so."""
        self._tell(ServerError.of("server-changed", server=self._name))

    def _tell(self, answer: Answer) -> None:
        waiting, self._waiting = self._waiting, {}
        for found in waiting:
            found(answer)
