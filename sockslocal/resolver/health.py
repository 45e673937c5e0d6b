"""How an upstream has been doing, and whether others should be asked before it."""

import math

from sockslocal.net.backoff import Backoff

REST_S = 1.0
MAX_REST_S = 60.0
"""A failing upstream is asked last for 1 s, then for twice as long each time, up to a minute."""

MAX_OVERTAKEN = 3
"""Queries in a row that others answered before it; then it counts as failing. After a rest one is enough."""

REMEASURE_S = 300.0
"""Seconds after which it is to be asked again, though others are faster: it may have become so."""

HEDGE_S = 0.3
"""Seconds that every upstream is given before another is asked too."""


class Health:
    """What an upstream did lately, and whether others should be asked before it."""

    def __init__(self) -> None:
        self.answered = 0
        self.failed = 0
        self.latency_s: float | None = None
        """Smoothed as TCP does its round trips (RFC 6298 §2)."""
        self.last_error: str | None = None
        self.resting = False
        """Whether it failed and has not answered since."""
        self._backoff = Backoff(REST_S, MAX_REST_S)
        self._rest_until = 0.0
        self._probed = False
        self._answered_at = self._asked_at = -math.inf
        self._overtaken = 0

    def is_due(self, now: float) -> bool:
        """Whether it should be asked before those that rest; after a rest by one query only, the probe."""
        return not self.resting or (not self._probed and now >= self._rest_until)

    def is_unknown(self, now: float) -> bool:
        """Whether it has not been asked for long, so that nobody knows how fast it is."""
        return now - self._asked_at >= REMEASURE_S

    @property
    def patience_s(self) -> float:
        """Seconds of silence that are more than usual."""
        return max(2 * (self.latency_s or 0.0), HEDGE_S)

    def note_query(self, now: float) -> None:
        """It is asked; after its rest this is the probe, until anything is noted of its outcome."""
        self._asked_at = now
        self._probed = self.resting and now >= self._rest_until

    def note_nothing(self) -> None:
        """What became of a query says nothing about it."""
        self._probed = False

    def note_answer(self, asked: float, now: float) -> None:
        """It works."""
        self.answered += 1
        self._overtaken = 0
        self._took(now - asked)
        self._answered_at = self._rest_until = now
        self.resting = self._probed = False
        self._backoff.reset()

    def note_failure(self, asked: float, now: float, reason: str) -> None:
        """Let it rest, unless it answered others in the meantime: then it was the question."""
        self.failed += 1
        self.last_error = reason
        self._probed = False
        if self._answered_at < asked and now >= self._rest_until:
            self.resting = True
            self._rest_until = now + self._backoff.next()

    def note_overtaken(self, asked: float, now: float) -> None:
        """One that was asked later has answered: it takes at least as long as this."""
        self._took(max(now - asked, self.latency_s or 0.0))
        self._overtaken += 1
        if self._overtaken >= MAX_OVERTAKEN or self.resting:
            self._overtaken = 0
            self.note_failure(asked, now, "others answer long before it")

    def forgive(self) -> None:
        """What made it fail, or late, may be of the past: it need not rest."""
        self.resting = self._probed = False
        self._rest_until = 0.0
        self._overtaken = 0
        self._backoff.reset()

    def _took(self, seconds: float) -> None:
        self.latency_s = seconds if self.latency_s is None else self.latency_s * 7 / 8 + seconds / 8
