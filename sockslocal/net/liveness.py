"""Whether anything comes back on an association, which a living control connection does not tell.

Silence while something was asked is suspicious; a probe then tells a dead relay from a remote that has
nothing to say. A suspicion that was wrong makes the next one come later.
"""

import math
import secrets
from collections.abc import Callable
from typing import NamedTuple

from sockslocal.address import Endpoint
from sockslocal.net.engine import Engine
from sockslocal.net.udp_probe import answers, question

LONGEST_REST_S = 30.0
"""How long at most a silence is borne, after earlier ones meant nothing."""

TIRED_S = 8.0
"""A silence borne for so many seconds, and never broken, is hardly the remote's."""


class Probe(NamedTuple):
    """A question to `remote`; `sent_at` in seconds of the engine's clock."""

    remote: Endpoint
    message: bytes
    sent_at: float


class Liveness:
    """Calls `silent`, with whether a probe was sent in vain; `send` is how one is sent. Times are seconds."""

    def __init__(
        self, engine: Engine, patience: float, send: Callable[[Probe], None], silent: Callable[[bool], None]
    ) -> None:
        self._engine = engine
        self._patience = self._rest = patience
        self._send = send
        self._silent = silent
        self._unanswered_since: float | None = None
        self._opening = False
        self._probe: Probe | None = None
        self.deadline = math.inf

    @property
    def is_tired(self) -> bool:
        """Whether silences have been borne for long."""
        return self._rest >= TIRED_S

    @property
    def probing(self) -> bool:
        """Whether a probe is out."""
        return self._probe is not None

    def open_within(self, seconds: float) -> None:
        """It counts as silence unless `opened` is called within so many seconds."""
        self._opening = True
        self._look_at(self._engine.clock() + seconds)

    def opened(self) -> None:
        self._opening = False
        self.deadline = math.inf

    def sent(self) -> None:
        """Something was sent that may be answered."""
        if self._unanswered_since is None:
            self._unanswered_since = self._engine.clock()
            if self.deadline == math.inf:
                self._look_at(self._unanswered_since + self._rest)

    def heard(self) -> None:
        """Something came for a flow."""
        self._unanswered_since = None
        self._rest = self._patience

    def ask(self, remote: Endpoint) -> None:
        """Have `remote` answer a probe before the patience is over; as one may get lost, it is sent twice."""
        self._probe = Probe(remote, question(secrets.randbits(16)), self._engine.clock())
        self._send(self._probe)
        self._look_at(self._probe.sent_at + self._patience / 2)

    def is_answer(self, payload: memoryview) -> bool:
        """Whether `payload` answers the probe, which then is no more."""
        if self._probe is None or not answers(self._probe.message, bytes(payload)):
            return False
        self.rest()
        return True

    def rest(self) -> None:
        """The silence means nothing, and may last longer the next time."""
        self._probe = None
        self._unanswered_since = None
        self._rest = min(2 * self._rest, LONGEST_REST_S)

    def stop(self) -> None:
        """Look no more."""
        self.deadline = math.inf
        self._engine.deadlines.discard(self)

    def expire(self) -> None:
        """Time to look."""
        self.deadline = math.inf
        now = self._engine.clock()
        if self._probe is not None:
            self._look_after(self._probe, now)
        elif self._opening:
            self._silent(False)
        elif self._unanswered_since is not None:
            due = self._unanswered_since + self._rest
            if now < due:
                self._look_at(due)
            else:
                self._silent(False)

    def _look_after(self, probe: Probe, now: float) -> None:
        due = probe.sent_at + self._patience
        if now < due:
            self._send(probe)
            self._look_at(due)
        else:
            self._probe = None
            self._silent(True)

    def _look_at(self, when: float) -> None:
        self.deadline = when
        self._engine.deadlines.add(self)
