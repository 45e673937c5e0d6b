"""The tray: the icon in the main thread, and around it who watches the daemon, who paints, who does deeds."""

import contextlib
import logging
import math
import os
import sys
import threading
import time
from collections.abc import Iterator

from sockslocal import __version__, locks
from sockslocal.control.client import Client
from sockslocal.desktop import autostart
from sockslocal.paths import Paths
from sockslocal_tray.actions import Action
from sockslocal_tray.backends import Backend
from sockslocal_tray.face import Icon
from sockslocal_tray.lanes import Lane
from sockslocal_tray.menu import View
from sockslocal_tray.painter import Painter
from sockslocal_tray.perform import Performer, lane_of
from sockslocal_tray.watch import Seen, Watch

_log = logging.getLogger(__name__)

_LOOK_S = 10.0
"""Between two looks at what nobody tells of: the configuration's being there, the start at login."""


class App:
    """One tray, until the person quits it, or the desktop ends; `dark` is the panel."""

    def __init__(self, paths: Paths, backend: Backend, *, dark: bool) -> None:
        self._paths = paths
        self._dark = dark
        self._icon = Icon(backend, self.choose, on_middle_click=self._toggle)
        self._perform = Performer(paths, self._icon)
        self._lanes = {name: Lane(name, self._do) for name in ("deeds", "dialogs")}
        self._watch = Watch(paths, self._saw)
        self._seen: Seen | None = None
        self._news = threading.Condition()
        self._stale = self._ended = False

    def run(self) -> None:
        """Be the tray. Raises ConnectionError where the desktop goes away."""
        try:
            self._icon.run(self._begin)
        finally:
            self._watch.stop()
            with self._news:
                self._ended = True
                self._news.notify()

    def choose(self, action: Action) -> None:
        """Have it done; from any thread, at once."""
        self._lanes[lane_of(action)].put(action)

    def _begin(self) -> None:
        for lane in self._lanes.values():
            lane.start()
        threading.Thread(target=self._paint, name="paint", daemon=True).start()
        self._watch.start()
        if self._paths.config.exists() and Client(self._paths).pid() is None:
            self.choose(Action("start"))

    def _toggle(self) -> None:
        status = self._seen.status if self._seen else None
        if status is None:
            self.choose(Action("start"))
        else:
            self.choose(Action("tunnel", "off" if status.tunnel.on else "on"))

    def _do(self, action: Action) -> None:
        self._perform(action)
        with self._news:  # of what is not the daemon's
            self._stale = True
            self._news.notify()

    def _saw(self, seen: Seen) -> None:
        with self._news:
            self._seen = seen
            self._news.notify()

    def _paint(self) -> None:
        painter = Painter(self._icon, self._template(), time.monotonic(), dark=self._dark)
        looked: Seen | None = None
        again_at = math.inf
        while not self._ended:
            with self._news:
                while not (self._ended or self._stale or self._seen is not looked or _is_past(again_at)):
                    self._news.wait(min(_LOOK_S, max(0.0, again_at - time.monotonic())))
                looked, self._stale = self._seen, False
            next_at = self._look(painter, looked) if looked is not None else None
            again_at = min(next_at or math.inf, time.monotonic() + _LOOK_S)

    def _look(self, painter: Painter, seen: Seen) -> float | None:
        try:
            painter.template = self._template()
            return painter.look(seen, time.monotonic(), _slept())
        except Exception:  # noqa: BLE001  a bug there, or in a backend, must not leave the icon so for ever
            _log.exception("! the icon could not be painted")
            return None

    def _template(self) -> View:
        """What of the menu is not the daemon's."""
        return View(
            status=None,
            state="off",
            configured=self._paths.config.exists(),
            at_login=_starts_at_login(),
            version=__version__,
        )


def _starts_at_login() -> bool:
    """Whether both do, the daemon and the tray."""
    parts = autostart.of_platform(autostart.found()).values()
    return all(part.enabled() for part in parts)


def _is_past(moment: float) -> bool:
    return moment <= time.monotonic()


def _slept() -> float:
    """Seconds since some moment that the steady clock does not count: the machine slept."""
    if sys.platform == "linux":
        return time.clock_gettime(time.CLOCK_BOOTTIME) - time.monotonic()
    return time.time() - time.monotonic()


@contextlib.contextmanager
def only_one(paths: Paths) -> Iterator[bool]:
    """Within, whether this is the only tray of the user; raises OSError where that cannot be told."""
    paths.runtime.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(paths.runtime / "tray.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        yield locks.acquire(descriptor)
    finally:
        os.close(descriptor)
