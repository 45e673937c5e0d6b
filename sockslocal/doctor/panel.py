"""The child that looks for a place for the tray's icon (Linux), and prints what it is.

A child, because the buses and displays of a desktop that has gone may keep one waiting for ever, and their
libraries cost memory and raise what they like.
"""

import os
import sys
from contextlib import suppress

_REPLY_S = 1.0
_WATCHER = "org.kde.StatusNotifierWatcher"


def main() -> None:
    """`status-notifier`, `xembed`, `none` or `no-desktop` on stdout."""
    sys.stdout.write(find())


def find() -> str:
    """The best that there is."""
    if not any(map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY"))):
        return "no-desktop"
    with suppress(Exception):
        if _has_host():
            return "status-notifier"
    with suppress(Exception):
        if _has_tray():
            return "xembed"
    return "none"


def _has_host() -> bool:
    """Whether somebody shows the items that are registered (freedesktop.org, StatusNotifierWatcher)."""
    from jeepney import DBusAddress, Properties
    from jeepney.io.blocking import open_dbus_connection
    from jeepney.wrappers import unwrap_msg

    watcher = DBusAddress("/StatusNotifierWatcher", bus_name=_WATCHER, interface=_WATCHER)
    with open_dbus_connection() as bus:
        call = Properties(watcher).get("IsStatusNotifierHostRegistered")
        ((_, registered),) = unwrap_msg(bus.send_and_get_reply(call, timeout=_REPLY_S))
    return bool(registered)


def _has_tray() -> bool:
    """Whether a system tray of X11 is there (freedesktop.org, System Tray Protocol)."""
    from Xlib import X, display

    screen = display.Display()
    try:
        selection = screen.intern_atom(f"_NET_SYSTEM_TRAY_S{screen.get_default_screen()}")
        return bool(screen.get_selection_owner(selection) != X.NONE)
    finally:
        screen.close()


if __name__ == "__main__":
    main()
