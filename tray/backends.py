"""Which kind of icon this desktop shows."""

import importlib
import logging
import os
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

_log = logging.getLogger(__name__)

_LOOK = 0.5  # seconds between two looks for a panel


class NoTrayError(Exception):
    """Nobody shows icons here; its text says why, as the rest of a sentence."""


class Backend(NamedTuple):
    """A kind of icon: `Icon` is as pystray's, and the rest is what it can do besides.

    `draws`: its icon may be a `Drawing`, and it knows middle clicks. `offers`: its notifications have buttons
    and replace one another. `ampersands`: labels have them doubled.
    """

    name: str
    Icon: Any
    draws: bool = False
    offers: bool = False
    ampersands: bool = False


def find(within: float = 0.0) -> Backend:
    """The best one; a panel that is not there yet has so many seconds to come. Raises NoTrayError."""
    if sys.platform == "win32":
        return _windows()
    if sys.platform == "darwin":
        return _macos()
    deadline = time.monotonic() + within
    while True:
        found = _of_panel() or _of_old_panel()
        if found:
            return found
        if time.monotonic() >= deadline:
            raise NoTrayError(_why_not())
        time.sleep(_LOOK)


def _of_panel() -> Backend | None:
    """For panels of today."""
    from sockslocal_tray.sni import host
    from sockslocal_tray.sni.bus import BusLostError

    try:
        if not host.appears():
            return None
    except BusLostError:
        return None
    from sockslocal_tray.sni.icon import Icon

    return Backend("sni", Icon, draws=True, offers=True)


def _of_old_panel() -> Backend | None:
    """By GTK, which has menus, where the system's Python has it; else without."""
    from sockslocal_tray import xembed

    if not xembed.manager_is_there():
        return None
    for name in ("appindicator", "gtk"):
        found = _tried(lambda name=name: Backend(name, _pystray(name)))  # type: ignore[misc]
        if found:
            return found
    return Backend("xembed", xembed.Icon, draws=True)


def _tried(make: Callable[[], Backend]) -> Backend | None:
    try:
        return make()
    except Exception as error:  # noqa: BLE001  theirs raise whatever their libraries do: ValueError, GLib's, X's
        _log.info("not used: %s", error)
        return None


def _pystray(name: str) -> Any:
    from sockslocal_tray import base  # noqa: F401  before any of pystray, which would choose for itself

    return importlib.import_module(f"pystray._{name}").Icon


def _why_not() -> str:
    if not os.environ.get("DISPLAY") and not os.environ.get("WAYLAND_DISPLAY"):
        return "there is no desktop here"
    return "no panel of this desktop shows icons (GNOME needs its AppIndicator extension for it)"


def _windows() -> Backend:
    from sockslocal_tray import confined

    icon = _pystray("win32")
    post = importlib.import_module("pystray._util.win32").PostMessage
    return Backend("win32", confined.for_windows(icon, post), ampersands=True)


def _macos() -> Backend:
    from sockslocal_tray import confined

    icon = _pystray("darwin")
    call_after = importlib.import_module("PyObjCTools.AppHelper").callAfter
    return Backend("darwin", confined.for_macos(icon, call_after))
