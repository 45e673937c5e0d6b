"""Which notifications a person gets to see, and when: of each category at most one at a time, and rarely."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import msgspec

from sockslocal.health import Category, Trouble

QUIET_S = 10.0
"""After the start, and after a resume: what heals by itself in that time is not told."""

BETWEEN_S = 10.0
"""Between two notifications of a category."""

WORTH_TELLING_S = 30.0
"""What was announced and has lasted longer is told of again when it works."""

Urgency = Literal["low", "normal", "critical"]


class Offer(msgspec.Struct, frozen=True):
    """What a notification offers to do: run the command `argument`, or ask for the password of a server."""

    verb: Literal["remedy", "password"]
    argument: str


class Notice(msgspec.Struct, frozen=True):
    """A notification, which takes the place of the one of its category.

    A `critical` one stays until it is closed, and `action` is None where nothing can be done by a click.
    """

    category: Category
    title: str
    text: str
    remedy: str
    urgency: Urgency
    action: Offer | None = None


class Changes(NamedTuple):
    """What to show now, and of which categories to take away what is shown."""

    show: tuple[Notice, ...] = ()
    close: tuple[Category, ...] = ()


class Announcer:
    """Decides; times are seconds of any steady clock, and `start` is when the tray began."""

    def __init__(self, start: float) -> None:
        self.next_at: float | None = None
        """When to look again though nothing has changed; None where that is not needed."""
        self._quiet_until = start + QUIET_S

    def resumed(self, now: float) -> None:
        """The machine slept, or the network changed: what was connected has to connect again."""
        self._quiet_until = now + QUIET_S

    def look(self, shown: Sequence[Trouble], now: float) -> Changes:
        """What to tell of the troubles that are `shown` now, worst first."""
        raise NotImplementedError
