"""What is known of how one server carries datagrams, and when it is tried again after it did not."""

import math
import random
from collections.abc import Callable
from typing import Protocol

from sockslocal.errors import ServerError
from sockslocal.net.backoff import Backoff
from sockslocal.net.dialer import DialError
from sockslocal.net.rungs import Failure, Ladder, Rung
from sockslocal.problems import Problem

FIRST_RETRY_S, LAST_RETRY_S = 1.0, 60.0
"""After an association failed, the next one is made no sooner; doubling while its UDP is to blame."""
FIRST_REST_S, LAST_REST_S = 0.125, 2.0
"""The same after one that worked, and was ended by the server at once; doubling until one lasts."""

TOLERATED = 4
"""So many of those in a row are replaced without a rest: servers may be restarted more than once."""

_SILENCES = ("udp-silent", "udp-relay-invalid")
"""Problems of an association that the server made, and that another one may not have."""


class Noted(Protocol):
    """Who is told what becomes known."""

    def __call__(self, rung: Rung | None, error: ServerError | None) -> None:
        """Datagrams pass on `rung`; or nowhere, for the reason given."""


class UdpHealth:
    """The rung in use, and the trouble with it."""

    def __init__(
        self, ladder: Ladder, noted: Noted, problem: Callable[..., Problem], clock: Callable[[], float]
    ) -> None:
        self.ladder = ladder
        self.lenient = False
        """Whether the server relays on after it has closed the control connection."""
        self.answers_probes = False
        """Whether the silence after a probe is not that of whom it went to."""
        self.names_remotes: bool | None = None
        """Whether its datagrams name the remote that they come from, once that is known."""
        self.trouble: Problem | None = None
        """Why the last association failed, until one works."""
        self._noted = noted
        self._problem = problem
        self._clock = clock
        self._backoff = Backoff(FIRST_RETRY_S, LAST_RETRY_S)
        self._retry_at = 0.0
        self._failed_at = 0.0
        self._rests = Backoff(FIRST_REST_S, LAST_REST_S)
        self._rests_until = 0.0
        self._briefs = 0
        """How many in a row were ended at once, since one lasted."""
        self._answered_at = -math.inf
        self._refusal: ServerError | None = None
        """Why the first rung failed, which says more than why the last one did."""

    def rung(self) -> Rung:
        """The one to use now. Raises ServerError while none is to be tried."""
        if self.trouble is not None and self._is_pausing:
            raise ServerError(self.trouble)
        if self._clock() < self._rests_until:
            raise ServerError(self._problem("udp-association-ended"))
        if self.ladder.current is None:
            self.ladder.restart()
        if self.ladder.current is None:
            raise ServerError(self._problem("udp-off"))
        return self.ladder.current

    def probe_answered(self) -> None:
        """A probe was answered, on whatever association."""
        self.answers_probes = True
        self._answered_at = self._clock()

    def was_answered_since(self, when: float) -> bool:
        """Whether a probe was answered since `when`, in seconds of the clock."""
        return self._answered_at >= when

    def works(self) -> None:
        """Datagrams pass, or will."""
        self.trouble = None
        self._backoff.reset()

    def forgive(self) -> None:
        """What was in the way may be of the past: the next association is made at once."""
        self.works()
        self._retry_at = self._rests_until = 0.0
        self._rests.reset()
        self._briefs = 0

    def lasts(self, made_at: float) -> None:
        """An association that was made then, in seconds of the clock, was not closed at once."""
        if made_at >= self._rests_until:
            self._rests.reset()
            self._briefs = 0
        if self.trouble is not None and made_at >= self._failed_at:
            self.works()

    def was_brief(self) -> None:
        """An association worked, and was ended by the server at once: no storm of them is to follow."""
        now = self._clock()
        if now < self._rests_until:  # it began before another one ended
            return
        self._briefs += 1
        if self._briefs > TOLERATED:
            self._rests_until = now + _jittered(self._rests.next())

    def prove(self, rung: Rung) -> bool:
        """A datagram came back on `rung`; gives whether that is news."""
        self.works()
        self._refusal = None
        news = self.ladder.prove(rung)
        if news:
            self._noted(rung, None)
        return news

    @property
    def is_climbing(self) -> bool:
        """Whether a rung has failed, and the next is on trial."""
        return self._refusal is not None

    def fail(self, rung: Rung, error: ServerError, *, alone: bool) -> ServerError | None:
        """An association failed by `error`; gives what to say, or None where another rung is to be tried.

        Where it was not `alone`, and others work, the server only grants no more of them.
        """
        if self._is_pausing:  # it began before another one failed
            return error
        udp = blames_udp(error)
        if udp and not self.ladder.proved:
            self._refusal = self._refusal or error
            how: Failure = "silent" if error.problem.code in _SILENCES else "refused"
            if self.ladder.fail(rung, how):
                return None
            error = self._refusal
        self.trouble, self._refusal = error.problem, None
        self._retry_later(patiently=udp)
        if udp and alone:
            self._noted(None, error)
        if (udp and alone) or not self.ladder.proved:
            self.ladder.restart()  # the server may have changed when it is asked the next time
        return error

    @property
    def _is_pausing(self) -> bool:
        return self.trouble is not None and self._clock() < self._retry_at

    def _retry_later(self, *, patiently: bool) -> None:
        """Wait longer each time, unless the server is down: it may come back at any moment."""
        if not patiently:
            self._backoff.reset()
        self._failed_at = now = self._clock()
        self._retry_at = now + _jittered(self._backoff.next())


def _jittered(seconds: float) -> float:
    return seconds * random.uniform(1.0, 1.25)  # noqa: S311  spreads load only


def blames_udp(error: ServerError) -> bool:
    """Whether the server works and only its UDP does not."""
    if isinstance(error, DialError):
        return error.server_answers
    return error.problem.code.startswith("udp-")
