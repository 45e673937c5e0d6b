"""Whether sockslocal starts at login."""

from sockslocal.desktop.autostart import Autostart, found, of_platform
from sockslocal.doctor.report import Check, Section
from sockslocal.doctor.scene import Scene

_TITLES = {"daemon": "Daemon", "tray": "Tray"}


def section(_scene: Scene) -> Section:
    """Not to start is no fault: it is for the person to say."""
    checks = [_check(name, part) for name, part in of_platform(found()).items()]
    return Section("autostart", "Start at login", tuple(checks))


def _check(name: str, part: Autostart) -> Check:
    id_, title = f"autostart.{name}", _TITLES[name]
    if part.enabled():
        return Check(id_, title, "good", f"is started at login, by {part.place}")
    return Check(id_, title, "unknown", "is not started at login", "sockslocal autostart on")
