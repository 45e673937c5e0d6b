"""Whether the panel is dark, so that the icon is light."""

import os
import sys
from typing import Any

_PREFERS_DARK, _PREFERS_LIGHT = 1, 2


def is_dark() -> bool:
    """A guess; most panels are dark, also those of desktops whose windows are light."""
    if sys.platform == "win32":
        return _taskbar_is_dark()
    if sys.platform == "darwin":
        return _menu_bar_is_dark()
    if "XFCE" in os.environ.get("XDG_CURRENT_DESKTOP", "").upper():
        return _asked(_xfce()) is True or _asked(_portal()) == _PREFERS_DARK
    return _asked(_portal()) != _PREFERS_LIGHT


def _xfce() -> Any:
    """Whether its panel is dark, whatever its windows are."""
    from jeepney import DBusAddress, new_method_call

    settings = DBusAddress("/org/xfce/Xfconf", "org.xfce.Xfconf", "org.xfce.Xfconf")
    return new_method_call(settings, "GetProperty", "ss", ("xfce4-panel", "/panels/dark-mode"))


def _portal() -> Any:
    """What the person prefers (XDG Desktop Portal, Settings, color-scheme)."""
    from jeepney import DBusAddress, new_method_call

    name = "org.freedesktop.portal.Desktop"
    settings = DBusAddress("/org/freedesktop/portal/desktop", name, "org.freedesktop.portal.Settings")
    return new_method_call(settings, "Read", "ss", ("org.freedesktop.appearance", "color-scheme"))


def _asked(question: Any) -> object:
    """What the desktop answers, None where it does not; nobody is started for it."""
    from jeepney import MessageFlag

    from sockslocal_tray.sni.bus import Bus, BusLostError

    question.header.flags |= MessageFlag.no_auto_start
    try:
        with Bus() as bus:
            answer = bus.ask(question, gives="v")
    except BusLostError:
        return None
    return _bare(answer.body[0]) if answer else None


def _bare(value: object) -> object:
    """What is in a D-Bus variant, which may be one in another."""
    while isinstance(value, tuple):
        value = value[-1]
    return value


if sys.platform == "win32":
    import winreg

    _THEME = r"Software\Microsoft\Windows\CurrentVersion\Themes\Personalize"

    def _taskbar_is_dark() -> bool:
        try:
            with winreg.OpenKey(winreg.HKEY_CURRENT_USER, _THEME) as key:
                return not winreg.QueryValueEx(key, "SystemUsesLightTheme")[0]
        except OSError:  # before Windows 10 1903, all are
            return True


if sys.platform == "darwin":
    import subprocess

    def _menu_bar_is_dark() -> bool:
        done = subprocess.run(
            ["defaults", "read", "-g", "AppleInterfaceStyle"], capture_output=True, check=False, timeout=5
        )
        return done.stdout.strip() == b"Dark"
