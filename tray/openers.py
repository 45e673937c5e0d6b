"""Other programs, opened for the person: a terminal, an editor."""

import contextlib
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

_TERMINALS: tuple[tuple[str, ...], ...] = (
    ("x-terminal-emulator", "-e"),
    ("xdg-terminal-exec",),
    ("gnome-terminal", "--wait", "--"),
    ("konsole", "-e"),
    ("xfce4-terminal", "--disable-server", "-x"),
    ("kgx", "--"),
    ("ptyxis", "--"),
    ("kitty",),
    ("alacritty", "-e"),
    ("foot",),
    ("xterm", "-e"),
)
"""Each with what has it run the rest of its arguments as a command."""

_HOLD = '"$@"; printf "\\nPress Enter to close this window. "; read -r _'
"""For sh: what a command says is still there when it has ended."""


class NoProgramError(Exception):
    """None of the programs that would do is installed."""


def in_terminal(command: Sequence[str]) -> None:
    """Run `command` in a window of its own, which stays until the person closes it. Raises NoProgramError."""
    if sys.platform == "win32":
        subprocess.Popen(["cmd", "/k", *command], creationflags=subprocess.CREATE_NEW_CONSOLE, close_fds=True)
    elif sys.platform == "darwin":
        _start(["osascript", "-e", _MAC_TERMINAL, shlex.join(command)])
    else:
        _start([*_terminal(), "sh", "-c", _HOLD, "sh", *command])


_MAC_TERMINAL = """\
on run arguments
  tell application "Terminal"
    activate
    do script (item 1 of arguments)
  end tell
end run"""


def _terminal() -> tuple[str, ...]:
    wished = os.environ.get("TERMINAL")
    known: Iterator[tuple[str, ...]] = iter([(wished, "-e")] if wished else [])
    for program, *options in (*known, *_TERMINALS):
        path = shutil.which(program)
        if path:
            return (path, *options)
    raise NoProgramError("no terminal program was found")


def in_editor(path: Path) -> None:
    """Have the desktop open the text file `path`. Raises NoProgramError."""
    if sys.platform == "win32":
        os.startfile(path)  # noqa: S606  the person's own file
    elif sys.platform == "darwin":
        _start(["open", "-t", str(path)])
    elif shutil.which("xdg-open"):
        _start(["xdg-open", str(path)])
    else:
        in_terminal([os.environ.get("EDITOR") or "nano", str(path)])


def _start(command: Sequence[str]) -> None:
    """Start it, to be on its own: it outlives the tray, and its end is of no interest."""
    with contextlib.ExitStack() as stack:
        nowhere = stack.enter_context(Path(os.devnull).open("r+b"))
        process = subprocess.Popen(
            command, stdin=nowhere, stdout=nowhere, stderr=nowhere, start_new_session=True
        )
    process.returncode = 0  # else it would be complained about when this object goes
