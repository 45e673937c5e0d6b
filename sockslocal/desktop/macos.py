"""macOS: a LaunchAgent for each part, which launchd reads at login (launchd.plist(5)).

Written on Linux, and untested on macOS itself.
"""

import plistlib
from collections.abc import Sequence
from pathlib import Path

from sockslocal.desktop import entries
from sockslocal.desktop.autostart import TRAY_WAIT, Autostart, Part

LABEL = "org.sockslocal"


def parts(program: Sequence[str], folder: Path) -> dict[Part, Autostart]:
    """The daemon and the tray, as agents in `folder`."""
    return {
        "daemon": Agent(folder, "daemon", (*program, "run", "--log-to-file")),
        "tray": Agent(folder, "tray", (*program, "tray", "--wait", TRAY_WAIT)),
    }


class Agent:
    """`org.sockslocal.NAME.plist`."""

    def __init__(self, folder: Path, name: str, command: Sequence[str]) -> None:
        self._label = f"{LABEL}.{name}"
        self._path = folder / f"{self._label}.plist"
        self._command = command

    @property
    def place(self) -> str:
        return str(self._path)

    def enabled(self) -> bool:
        return self._path.exists()

    def enable(self) -> None:
        content = {
            "Label": self._label,
            "ProgramArguments": list(self._command),
            "RunAtLoad": True,
            "KeepAlive": {"SuccessfulExit": False},  # started again where it has failed
            "ProcessType": "Interactive",  # else it is slowed down as what nobody waits for
        }
        entries.write(self._path, plistlib.dumps(content))

    def disable(self) -> None:
        entries.remove(self._path)
