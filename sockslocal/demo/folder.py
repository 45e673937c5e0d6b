"""The demo's folder, which is gone at its end.

A demo that is killed leaves its folder behind; the next one removes it. Each holds a lock in its folder,
which the kernel lets go of with its process.
"""

import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sockslocal import locks
from sockslocal.control.client import Client
from sockslocal.demo.setting import paths_in
from sockslocal.errors import ControlError

PREFIX = "sockslocal-demo-"

_LOCK = "demo.lock"


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder of this process's own. Raises OSError where none can be made."""
    _remove_abandoned()
    folder, lock = _make()
    try:
        yield folder
    finally:
        if sys.platform == "win32":
            os.close(lock)  # what is open cannot be removed there
            shutil.rmtree(folder, ignore_errors=True)
        else:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)


def _make() -> tuple[Path, int]:
    """A new folder and its lock, which is held."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        if locks.acquire(descriptor) and (folder / _LOCK).exists():
            return folder, descriptor
        os.close(descriptor)  # another demo has just taken it for abandoned


def _remove_abandoned() -> None:
    """Remove the folders of this user's demos that were killed; not on Windows, where locks stay files."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError, ControlError):
            _remove_if_abandoned(folder)


def _remove_if_abandoned(folder: Path) -> None:
    if sys.platform == "win32":  # a lock cannot be removed while it is held, and else not safely
        return
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        return
    descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        if locks.acquire(descriptor) and Client(paths_in(folder)).pid() is None:
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(descriptor)
