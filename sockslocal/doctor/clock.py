"""The clock: certificates and answers are judged by it."""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import sockslocal
from sockslocal.doctor.report import Check, Section
from sockslocal.doctor.scene import Scene

_DAY_S = 86_400.0
_YEARS_S = 20 * 365 * _DAY_S
_FAR_S = 120.0
"""Seconds between two clocks that are worth telling."""


def section(_scene: Scene, clock: Callable[[], float] = time.time) -> Section:
    """Whether the time can be right."""
    return Section("clock", "Clock", (_date(clock()), _disk(clock)))


def _date(now: float) -> Check:
    """What is installed cannot be of tomorrow; and nobody keeps it for twenty years."""
    installed = Path(sockslocal.__file__).stat().st_mtime
    text = f"it says {_day(now)}"
    if installed - _DAY_S <= now <= installed + _YEARS_S:
        return Check("clock.date", "Date", "good", text)
    text += f", but sockslocal was installed on {_day(installed)}"
    return Check("clock.date", "Date", "bad", text, "set the clock: every certificate is judged by it")


def _disk(clock: Callable[[], float]) -> Check:
    """A file server's clock that differs makes what is new look old."""
    with tempfile.NamedTemporaryFile() as file:
        ahead = Path(file.name).stat().st_mtime - clock()
    if abs(ahead) < _FAR_S:
        return Check("clock.disk", "Disk", "good", "the disk's clock agrees")
    text = f"the disk's clock is {abs(ahead):.0f} s {'ahead' if ahead > 0 else 'behind'}"
    return Check("clock.disk", "Disk", "note", text, "have both machines' clocks set by the network")


def _day(seconds: float) -> str:
    return time.strftime("%Y-%m-%d", time.localtime(seconds))
