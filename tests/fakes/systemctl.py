"""A `systemctl --user` that enables and disables as systemd does, by links, and notes what it was told."""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

_SCRIPT = """\
#!/bin/sh
echo "$*" >> "$SYSTEMCTL_TOLD"
units="$HOME/.config/systemd/user"
case "$2" in
    enable) mkdir -p "$units/default.target.wants"; ln -sf "$units/$3" "$units/default.target.wants/$3" ;;
    disable) rm -f "$units/default.target.wants/$3" ;;
esac
if [ -e "$SYSTEMCTL_TOLD.fails" ]; then echo 'Failed to connect to bus' >&2; exit 1; fi
"""


class UserManager:
    """A systemd of the user's, as far as can be seen from here."""

    def __init__(self, folder: Path) -> None:
        self._told = folder / "told"

    @property
    def told(self) -> list[str]:
        """The arguments of each call."""
        return self._told.read_text().splitlines() if self._told.exists() else []

    def fail(self) -> None:
        """Refuse everything from now on."""
        self._told.with_name("told.fails").touch()


@contextlib.contextmanager
def user_manager(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[UserManager]:
    """One whose files are in `folder`, found by what is imported and started meanwhile."""
    assert sys.platform == "linux"
    (folder / "bin").mkdir()
    (folder / "runtime" / "systemd").mkdir(parents=True)
    script = folder / "bin" / "systemctl"
    script.write_text(_SCRIPT)
    script.chmod(0o755)
    with monkeypatch.context() as patch:
        patch.setenv("PATH", f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}")
        patch.setenv("XDG_RUNTIME_DIR", str(folder / "runtime"))
        patch.setenv("SYSTEMCTL_TOLD", str(folder / "told"))
        yield UserManager(folder)
