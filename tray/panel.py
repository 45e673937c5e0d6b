"""Whether the panel is dark, so that the icon is light."""

import sys

_PORTAL = "org.freedesktop.portal.Desktop"
_APPEARANCE = "org.freedesktop.appearance"
_PREFERS_LIGHT = 2


def is_dark() -> bool:
    """A guess; most panels are dark, also those of desktops whose windows are light."""
    if sys.platform == "win32":
        return _taskbar_is_dark()
    if sys.platform == "darwin":
        return _menu_bar_is_dark()
    return not _prefers_light()


def _prefers_light() -> bool:
    """Whether the person has said so to the desktop (XDG Desktop Portal, Settings, color-scheme)."""
    from jeepney import DBusAddress, MessageFlag, new_method_call

    from sockslocal_tray.sni.bus import Bus, BusLostError

    settings = DBusAddress("/org/freedesktop/portal/desktop", _PORTAL, "org.freedesktop.portal.Settings")
    question = new_method_call(settings, "Read", "ss", (_APPEARANCE, "color-scheme"))
    question.header.flags |= MessageFlag.no_auto_start  # the icon does not wait for it
    try:
        with Bus() as bus:
            answer = bus.ask(question, gives="v")
    except BusLostError:
        return False
    return answer is not None and _bare(answer.body[0]) == _PREFERS_LIGHT


def _bare(value: object) -> object:
    """What is in a D-Bus variant, which here is one in another."""
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
