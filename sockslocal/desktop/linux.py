"""Linux: a systemd user unit for the daemon, or without systemd an XDG autostart entry; one for the tray.

systemd.unit(5); https://specifications.freedesktop.org/autostart-spec and desktop-entry-spec.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from importlib import resources
from pathlib import Path

import platformdirs

from sockslocal.desktop import entries
from sockslocal.desktop.autostart import TRAY_WAIT, Autostart, Part, failed

UNIT = "sockslocal.service"
ENTRY = "sockslocal-tray.desktop"
DAEMON_ENTRY = "sockslocal.desktop"

_PACKAGED = ("/etc/systemd/user", "/usr/local/lib/systemd/user", "/usr/lib/systemd/user")
_SYSTEMCTL_S = 20.0
_OFF = re.compile(r"^(?:Hidden\s*=\s*true|X-GNOME-Autostart-enabled\s*=\s*false)\s*$", re.MULTILINE)


def parts(program: Sequence[str]) -> dict[Part, Autostart]:
    """The daemon and the tray."""
    folder = platformdirs.user_config_path() / "autostart"
    tray = (*program, "tray", "--wait", TRAY_WAIT)
    return {
        "daemon": Daemon(program),
        "tray": Entry(folder / ENTRY, "sockslocal tray", tray),
    }


class Daemon:
    """A unit of the user's systemd; without one an entry."""

    def __init__(self, program: Sequence[str]) -> None:
        folder = platformdirs.user_config_path()
        self._unit = Unit(folder / "systemd/user", program)
        self._entry = Entry(folder / "autostart" / DAEMON_ENTRY, "sockslocal", (*program, "start"))

    @property
    def place(self) -> str:
        return self._now.place

    @property
    def _now(self) -> Autostart:
        """What it is started by; where it is not, what it would be started by."""
        if self._unit.enabled() or (has_user_manager() and not self._entry.enabled()):
            return self._unit
        return self._entry

    def enabled(self) -> bool:
        return self._now.enabled()

    def enable(self) -> None:
        if has_user_manager():
            self._unit.enable()
            self._entry.disable()
        else:
            self._entry.enable()

    def disable(self) -> None:
        self._unit.disable()
        self._entry.disable()


class Unit:
    """`sockslocal.service`: the one that a package brought, or one of the user's own in `folder`."""

    def __init__(self, folder: Path, program: Sequence[str]) -> None:
        self._path = folder / UNIT
        self._wanted = folder / "default.target.wants" / UNIT
        self._program = program

    @property
    def place(self) -> str:
        return f"systemd: {UNIT}"

    def enabled(self) -> bool:
        return self._wanted.is_symlink()

    def enable(self) -> None:
        text = unit(self._program)
        if any(_reads(Path(folder, UNIT), text) for folder in _PACKAGED):
            entries.remove(self._path)  # it would hide the package's, and its upgrades
        else:
            entries.write(self._path, text.encode())
        _systemctl("daemon-reload")
        _systemctl("enable", UNIT)

    def disable(self) -> None:
        if has_user_manager() and self.enabled():
            _systemctl("disable", UNIT)
        entries.remove(self._wanted)


def unit(program: Sequence[str]) -> str:
    """The unit, with `program` in place of the one that a package has."""
    text = resources.files("sockslocal.desktop").joinpath(UNIT).read_text(encoding="utf-8")
    words = " ".join(map(_unit_word, program))
    return re.sub(r"^ExecStart=\S+", lambda _: f"ExecStart={words}", text, flags=re.MULTILINE)


def _unit_word(word: str) -> str:
    """As systemd.service(5), "Command lines", has it."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return escaped if re.fullmatch(r"[\w@+=:,./%$-]+", escaped, re.ASCII) else f'"{escaped}"'


def has_user_manager() -> bool:
    """Whether a systemd runs for this user, and can be told."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    return bool(runtime) and Path(runtime, "systemd").is_dir() and shutil.which("systemctl") is not None


def _systemctl(*words: str) -> None:
    command = ["systemctl", "--user", *words]
    remedy = " ".join(command)
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_SYSTEMCTL_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        raise failed(f"systemd: {UNIT}", "systemctl does not answer", remedy) from None
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        reason = lines[-1] if lines else f"systemctl ended with exit status {done.returncode}"
        raise failed(f"systemd: {UNIT}", reason, remedy)


class Entry:
    """A desktop entry among those that the desktop starts."""

    def __init__(self, path: Path, name: str, command: Sequence[str]) -> None:
        self._path = path
        self._name = name
        self._command = command

    @property
    def place(self) -> str:
        return str(self._path)

    def enabled(self) -> bool:
        with suppress(OSError, UnicodeDecodeError):
            return not _OFF.search(self._path.read_text(encoding="utf-8"))
        return False

    def enable(self) -> None:
        words = " ".join(map(_entry_word, self._command))
        lines = (
            "[Desktop Entry]",
            "Type=Application",
            f"Name={self._name}",
            "Comment=What stands behind a SOCKS5 server, as if it were here",
            "Icon=sockslocal",
            f"Exec={words}",
            "Terminal=false",
            "X-GNOME-Autostart-enabled=true",
        )
        entries.write(self._path, "".join(f"{line}\n" for line in lines).encode())

    def disable(self) -> None:
        entries.remove(self._path)


def _entry_word(word: str) -> str:
    """As the specification's "The Exec key" has it: quoted there, and then escaped as every text is."""
    if re.fullmatch(r"[\w@+=:,./-]+", word, re.ASCII):
        return word
    quoted = re.sub(r'(["`$\\])', r"\\\1", word).replace("%", "%%")
    return f'"{quoted}"'.replace("\\", "\\\\")


def _reads(path: Path, text: str) -> bool:
    with suppress(OSError, UnicodeDecodeError):
        return path.read_text(encoding="utf-8") == text
    return False
