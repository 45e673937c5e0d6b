"""Which notifications a person gets to see, and when: of each category at most one at a time, and rarely."""

import math
import re
from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

import msgspec

from sockslocal.health import Category, State, Trouble

QUIET_S = 10.0
"""After the start, and after a resume: what may heal by itself is not told before."""

BETWEEN_S = 10.0
"""Between two notifications of a category."""

AGAIN_S = 60.0
"""Between two about the same trouble that comes and goes by itself."""

WORTH_TELLING_S = 30.0
"""What was announced and has lasted longer is told of again when it works."""

Urgency = Literal["low", "normal", "critical"]

_PLACEHOLDER = re.compile(r"\b[A-Z]{2,}\b")  # the person has to fill in ADDRESS
_Key = tuple[str, str]


class Offer(msgspec.Struct, frozen=True):
    """What a notification offers to do: run the command `argument`, or ask for the password of a server."""

    verb: Literal["remedy", "password"]
    argument: str


class Notice(msgspec.Struct, frozen=True):
    """A notification, which takes the place of the one of its category.

    A `critical` one waits for the person; `action` is None where nothing can be done by a click.
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
    """Decides; times are seconds of any steady clock, and `start` is when it is begun to watch."""

    def __init__(self, start: float) -> None:
        self.next_at: float | None = None
        """When to look again though nothing has changed; None where that is not needed."""
        self._quiet_until = start + QUIET_S
        self._channels = [_Channel(category) for category in get_args(Category)]

    def resumed(self, now: float) -> None:
        """The machine has slept, or the network has changed: what was connected connects again."""
        self._quiet_until = now + QUIET_S

    def look(self, state: State, shown: Sequence[Trouble], now: float) -> Changes:
        """What to tell in `state` of the troubles that are `shown` now, worst first."""
        works = state not in ("off", "connecting")
        changes: list[Changes] = []
        for channel in self._channels:
            group = [one for one in shown if one.category == channel.category and one.severity != "info"]
            changes.append(
                channel.troubled(group, now, self._quiet_until) if group else channel.healed(now, works=works)
            )
        waits = [channel.next_at for channel in self._channels if channel.next_at is not None]
        self.next_at = min(waits, default=None)
        return Changes(
            tuple(notice for change in changes for notice in change.show),
            tuple(category for change in changes for category in change.close),
        )


class _Channel:
    """The notifications of one category."""

    def __init__(self, category: Category) -> None:
        self.category: Category = category
        self.next_at: float | None = None
        self._since: float | None = None
        self._told: Trouble | None = None
        self._known: set[_Key] = set()
        self._last_at = -math.inf
        self._last_key: _Key | None = None

    def troubled(self, group: Sequence[Trouble], now: float, quiet_until: float) -> Changes:
        """What to tell of `group`: nothing where all are known and the one that was told is there still."""
        self.next_at = None
        self._since = now if self._since is None else self._since
        keys = {_key(trouble) for trouble in group}
        if self._told is not None and _key(self._told) in keys and keys <= self._known:
            return Changes()
        allowed_at = self._allowed_at(group, quiet_until)
        if now < allowed_at:
            self.next_at = allowed_at
            return Changes()
        self._told = group[0]
        self._known |= keys
        self._last_at, self._last_key = now, _key(group[0])
        return Changes(show=(_notice(group),))

    def _allowed_at(self, group: Sequence[Trouble], quiet_until: float) -> float:
        if any(trouble.needs_person for trouble in group):
            return self._last_at + BETWEEN_S
        pause = AGAIN_S if self._last_key == _key(group[0]) else BETWEEN_S
        return max(quiet_until, self._last_at + pause)

    def healed(self, now: float, *, works: bool) -> Changes:
        """What to tell where there is no trouble; `works` where it was not just switched off."""
        told, since = self._told, self._since
        self.next_at = self._told = self._since = None
        self._known.clear()
        if told is None or since is None:
            return Changes()
        if works and now - since > WORTH_TELLING_S and now >= self._last_at + BETWEEN_S:
            self._last_at = now
            return Changes(show=(_works_again(told),))
        return Changes(close=(self.category,))


def _key(trouble: Trouble) -> _Key:
    return trouble.about, trouble.problem.code


def _notice(group: Sequence[Trouble]) -> Notice:
    """Of the worst of `group`, with the number of the others."""
    worst, others = group[0], len(group) - 1
    found = worst.problem
    text = found.text
    if others:
        text += f" (and {others} more {'problem' if others == 1 else 'problems'})"
    stays = worst.severity == "locked" or (worst.severity == "error" and worst.needs_person)
    urgency: Urgency = "critical" if stays else "normal"
    return Notice(worst.category, found.title, text, found.remedy, urgency, _offer(worst))


def _offer(trouble: Trouble) -> Offer | None:
    found = trouble.problem
    kind, _, name = trouble.about.partition(" ")
    if kind == "server" and (found.code == "needs-unlock" or "sockslocal login " in found.remedy):
        return Offer("password", name)
    if found.remedy.startswith("sockslocal ") and not _PLACEHOLDER.search(found.remedy):
        return Offer("remedy", found.remedy)
    return None


def _works_again(trouble: Trouble) -> Notice:
    text = f"{trouble.about}: “{trouble.problem.title}” is over"
    return Notice(trouble.category, "Works again", f"{text[0].upper()}{text[1:]}", "", "low")
