"""Whether anything comes back on an association, which a living control connection does not tell.

Silence while something was asked is suspicious; a probe then tells a dead relay from a remote that has
nothing to say. A suspicion that was wrong makes the next one come later.
"""

import math
import secrets
from collections.abc import Callable

from sockslocal.address import Endpoint
from sockslocal.net.engine import Engine
from sockslocal.net.udp_probe import answers, question
from sockslocal.socks5.datagram import encode_header

LONGEST_REST_S = 30.0
"""How long at most a silence is borne, after earlier ones meant nothing."""

LATE_S = 30.0
"""For so many seconds after a probe its answer is looked for in what names nobody that is known."""

TIRED_S = 8.0
"""A silence borne for so many seconds, and never broken, is hardly the remote's."""


class Liveness:
    """Calls `silent`, with whether a probe was sent in vain; is to be told then to `ask`, `rest` or `stop`.

    `send` sends a probe, as the header of its remote and the payload. Times are seconds.
    """

    def __init__(
        self,
        engine: Engine,
        patience: float,
        send: Callable[[bytes, bytes], object],
        silent: Callable[[bool], object],
    ) -> None:
        self._engine = engine
        self._patience = self._rest = patience
        self._send = send
        self._silent = silent
        self._unanswered_since: float | None = None
        self._opening = False
        self._suspicious = False
        self._message = b""
        self._asked_at = -math.inf
        self.asked = b""
        """The header of who was asked last; an answer may come late, or twice."""
        self.probing = False
        """Whether a probe is out, and nothing has come since."""
        self.deadline = math.inf

    @property
    def is_tired(self) -> bool:
        """Whether silences have been borne for long."""
        return self._rest >= TIRED_S

    def open_within(self, seconds: float) -> None:
        """It counts as silence unless `opened` is called within so many seconds."""
        self._opening = True
        self._look_at(self._engine.clock() + seconds)

    def opened(self) -> None:
        self._opening = False
        self.stop()

    def sent(self) -> None:
        """Something was sent that may be answered."""
        if self._unanswered_since is None:
            self._unanswered_since = self._engine.clock()
            self._look_again()

    def heard(self) -> None:
        """Something came for a flow."""
        self._unanswered_since = None
        self._suspicious = self.probing = False
        self._rest = self._patience

    def ask(self, remote: Endpoint) -> None:
        """Have `remote` answer a probe before the patience is over; as one may get lost, it is sent twice."""
        self.asked = encode_header(remote)
        self._message = question(secrets.randbits(16))
        self.ask_again(0.0)

    def ask_again(self, seconds: float) -> None:
        """The same in so many seconds; an answer that comes sooner does not count."""
        self.probing = True
        self._asked_at = self._engine.clock() + seconds
        self._look_after_probe(self._asked_at - seconds)

    def is_answer(self, header: bytes, payload: memoryview, *, known: bool) -> bool:
        """Whether `payload` answers the last probe.

        That is looked for where `header` names who was asked, or nobody who is `known`, or a probe is out.
        """
        fresh = self.probing or (not known and self._engine.clock() - self._asked_at < LATE_S)
        if not fresh and header != self.asked:
            return False
        if not self.asked or not answers(self._message, bytes(payload[: len(self._message) + 1])):
            return False
        if self._engine.clock() < self._asked_at:
            return True
        self.probing = False
        if self._suspicious:
            self.rest()
        else:
            self._look_again()
        return True

    def rest(self) -> None:
        """The silence means nothing, and may last longer the next time."""
        self._unanswered_since = None
        self._suspicious = self.probing = False
        self._rest = min(2 * self._rest, LONGEST_REST_S)

    def stop(self) -> None:
        """Look no more."""
        self.deadline = math.inf
        self._engine.deadlines.discard(self)

    def expire(self) -> None:
        """Time to look."""
        self.deadline = math.inf
        now = self._engine.clock()
        if self.probing:
            self._look_after_probe(now)
        elif self._opening:
            self._silent(False)
        elif self._unanswered_since is not None and now >= self._unanswered_since + self._rest:
            self._suspicious = True
            self._silent(False)
        else:
            self._look_again()

    def _look_after_probe(self, now: float) -> None:
        again, due = self._asked_at + self._patience / 2, self._asked_at + self._patience
        if now < self._asked_at:
            self._look_at(self._asked_at)
        elif now < due:
            self._send(self.asked, self._message)
            self._look_at(again if now < again else due)
        else:
            self.probing = False
            self._silent(True)

    def _look_again(self) -> None:
        """When what is unanswered has been so for too long, unless that is sooner."""
        if self._unanswered_since is not None and self.deadline == math.inf:
            self._look_at(self._unanswered_since + self._rest)

    def _look_at(self, when: float) -> None:
        self.deadline = when
        self._engine.deadlines.add(self)
