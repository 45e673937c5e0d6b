"""Copying a text, by the programs that desktops have for it."""

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator

_SECONDS = 5.0


def copy(text: str) -> bool:
    """Whether `text` can now be pasted."""
    encoding = "utf-16-le" if sys.platform == "win32" else "utf-8"
    return any(_takes(command, text.encode(encoding)) for command in _programs())


def _programs() -> Iterator[tuple[str, ...]]:
    if sys.platform == "win32":
        yield ("clip",)
    elif sys.platform == "darwin":
        yield ("pbcopy",)
    else:
        if os.environ.get("WAYLAND_DISPLAY"):
            yield ("wl-copy",)
        if os.environ.get("DISPLAY"):
            yield ("xclip", "-selection", "clipboard")
            yield ("xsel", "--clipboard", "--input")


def _takes(command: tuple[str, ...], content: bytes) -> bool:
    """Whether the program is there and took it; it goes on in the background, to be asked for the text."""
    if shutil.which(command[0]) is None:
        return False
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        done = subprocess.run(
            command,
            input=content,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_SECONDS,
            check=False,
        )
        return done.returncode == 0
    return False
