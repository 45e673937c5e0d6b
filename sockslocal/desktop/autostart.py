"""Starting at login: one interface, and what the platform has for it."""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Protocol

from sockslocal.errors import SockslocalError

Part = Literal["daemon", "tray"]

TRAY_WAIT = "1m"
"""For the panel, which at login may come later than what shows itself there."""


class Autostart(Protocol):
    """One part of sockslocal, which may be started whenever its user logs in.

    Neither method starts or ends it now. Both raise SockslocalError `autostart-failed`.
    """

    @property
    def place(self) -> str:
        """What starts it, in words."""

    def enabled(self) -> bool:
        """Whether it is started at login."""

    def enable(self) -> None:
        """Have it started."""

    def disable(self) -> None:
        """Not any more; nothing happens where it is not."""


def of_platform(program: Sequence[str]) -> dict[Part, Autostart]:
    """The daemon and the tray, where `program` is how sockslocal is started, as `found` has it."""
    if sys.platform == "win32":
        from sockslocal.desktop import windows

        return windows.parts(program, windows.Registry())
    if sys.platform == "darwin":
        from sockslocal.desktop import macos

        return macos.parts(program, Path.home() / "Library/LaunchAgents")
    from sockslocal.desktop import linux

    return linux.parts(program)


def found(config: Path | None = None) -> list[str]:
    """How this very sockslocal is started, from anywhere; with `config` it uses that file.

    On Windows without the window that a console program has.
    """
    chosen = [] if config is None else ["--config", str(config.absolute())]
    return [*_program(), *chosen]


def _program() -> list[str]:
    python = Path(sys.executable)
    if getattr(sys, "frozen", False):
        return [str(python)]
    script = python.with_name("sockslocal")
    if sys.platform != "win32" and script.exists():
        return [str(script)]
    silent = shutil.which("pythonw", path=python.parent) if sys.platform == "win32" else None
    return [silent or str(python), "-P", "-m", "sockslocal"]


def failed(place: str, reason: str, remedy: str) -> SockslocalError:
    """The error where `place` cannot be changed."""
    return SockslocalError.of("autostart-failed", place=place, reason=reason, remedy=remedy)
