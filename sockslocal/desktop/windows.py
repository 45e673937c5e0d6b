"""Windows: values of the `Run` key, whose commands are run when the user logs in.

Written on Linux, and untested on Windows itself.
"""

import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

from sockslocal.desktop.autostart import TRAY_WAIT, Autostart, Part, failed

RUN = r"Software\Microsoft\Windows\CurrentVersion\Run"
APPROVED = r"Software\Microsoft\Windows\CurrentVersion\Explorer\StartupApproved\Run"
"""What the Task Manager writes: a first octet that is odd switches the value of that name off."""


class Values(Protocol):
    """Values of the keys of this user's part of the registry; all may raise OSError."""

    def get(self, key: str, name: str) -> object:
        """The value, None where there is none."""

    def set(self, key: str, name: str, text: str) -> None:
        """Make or replace the value."""

    def delete(self, key: str, name: str) -> None:
        """Remove the value, if it is there."""


def parts(program: Sequence[str], values: Values) -> dict[Part, Autostart]:
    """The daemon and the tray."""
    return {
        "daemon": RunValue(values, "sockslocal", (*program, "start")),
        "tray": RunValue(values, "sockslocal tray", (*program, "tray", "--wait", TRAY_WAIT)),
    }


class RunValue:
    """One value of the `Run` key."""

    def __init__(self, values: Values, name: str, command: Sequence[str]) -> None:
        self._values = values
        self._name = name
        self._command = command

    @property
    def place(self) -> str:
        return rf"HKEY_CURRENT_USER\{RUN}, {self._name}"

    def enabled(self) -> bool:
        with suppress(OSError):
            verdict = self._values.get(APPROVED, self._name)
            switched_off = isinstance(verdict, bytes) and verdict[:1] != b"" and verdict[0] % 2 == 1
            return self._values.get(RUN, self._name) is not None and not switched_off
        return False

    def enable(self) -> None:
        try:
            self._values.delete(APPROVED, self._name)
            self._values.set(RUN, self._name, subprocess.list2cmdline(self._command))
        except OSError as error:
            raise self._failed(error) from None

    def disable(self) -> None:
        try:
            self._values.delete(RUN, self._name)
        except OSError as error:
            raise self._failed(error) from None

    def _failed(self, error: OSError) -> Exception:
        remedy = "see what the Task Manager has among its startup apps"
        return failed(self.place, f"it cannot be changed: {error.strerror}", remedy)


if sys.platform == "win32":
    import winreg

    class Registry:
        """The real one."""

        def get(self, key: str, name: str) -> object:
            with suppress(FileNotFoundError), winreg.OpenKey(winreg.HKEY_CURRENT_USER, key) as opened:
                value: object = winreg.QueryValueEx(opened, name)[0]
                return value
            return None

        def set(self, key: str, name: str, text: str) -> None:
            with winreg.CreateKey(winreg.HKEY_CURRENT_USER, key) as opened:
                winreg.SetValueEx(opened, name, 0, winreg.REG_SZ, text)

        def delete(self, key: str, name: str) -> None:
            access = winreg.KEY_SET_VALUE
            with (
                suppress(FileNotFoundError),
                winreg.OpenKey(winreg.HKEY_CURRENT_USER, key, 0, access) as opened,
            ):
                winreg.DeleteValue(opened, name)
