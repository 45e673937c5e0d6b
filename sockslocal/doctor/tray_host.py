"""Whether the desktop has a place for the tray's icon."""

import subprocess
import sys
from collections.abc import Sequence

from sockslocal import children
from sockslocal.doctor.report import Check, Section, Verdict
from sockslocal.doctor.scene import Scene

DEADLINE_S = 8.0
"""For the child that looks; the desktop's bus and display may be stuck."""

_WITHOUT = "all else works without it; on GNOME, install the AppIndicator extension"

_FOUND: dict[str, tuple[Verdict, str, str]] = {
    "status-notifier": ("good", "the panel shows icons by StatusNotifierItem", ""),
    "xembed": ("good", "the panel shows icons by XEmbed", ""),
    "none": ("note", "nothing on this desktop shows icons of a tray", _WITHOUT),
    "no-desktop": ("unknown", "there is no desktop here", ""),
}
_STUCK: tuple[Verdict, str, str] = ("note", "the desktop did not say whether it shows icons", _WITHOUT)


def section(_scene: Scene, command: Sequence[str] = ()) -> Section:
    """One check; Windows and macOS always have a place."""
    if sys.platform == "linux":
        word = _ask(command or children.command_of("sockslocal.doctor.panel"))
        verdict, text, remedy = _FOUND.get(word, _STUCK)
        check = Check("tray-host", "Panel", verdict, text, remedy)
    else:
        check = Check("tray-host", "Panel", "good", "the system shows icons")
    return Section("tray-host", "Tray", (check,))


def _ask(command: Sequence[str]) -> str:
    with children.start(command) as child:
        try:
            answer, _ = child.communicate(timeout=DEADLINE_S)
        except subprocess.TimeoutExpired:
            child.kill()
            return ""
    return answer.decode(errors="replace")
