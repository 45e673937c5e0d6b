"""The lock that makes one daemon of a user the only one.

The kernel lets go of it with the daemon's end, so a process id left in the file means nothing by itself. The
file is never removed: that would let two hold "the" lock.
"""

import os
import time

from sockslocal import locks
from sockslocal.control.folder import Folder, unsafe
from sockslocal.errors import ControlError

NAME = "lock"

_PATIENCE = 0.3  # seconds: `holder` below takes the lock for a moment, and an old daemon may be just ending

UNKNOWN = 0
"""The process id where the lock is held by one that could not write its own."""


def _read_pid(descriptor: int) -> int:
    os.lseek(descriptor, 0, os.SEEK_SET)
    text = os.read(descriptor, 32).strip()
    return int(text) if text.isdigit() and len(text) <= 10 else UNKNOWN


def _write_pid(descriptor: int) -> None:
    try:
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.ftruncate(descriptor, 0)
        os.write(descriptor, b"%d\n" % os.getpid())
    except OSError:
        pass  # a full disk costs the number, not the lock


class Lock:
    """Held from here to `close`; raises ControlError `already-running` where another process has it."""

    def __init__(self, folder: Folder) -> None:
        self._descriptor = folder.open_file(NAME, os.O_RDWR | os.O_CREAT)
        try:
            self._take(folder)
        except BaseException:
            os.close(self._descriptor)
            raise
        _write_pid(self._descriptor)

    def _take(self, folder: Folder) -> None:
        deadline = time.monotonic() + _PATIENCE
        try:
            while not locks.acquire(self._descriptor):
                if time.monotonic() > deadline:
                    pid = _read_pid(self._descriptor)
                    raise ControlError.of("already-running", pid=pid or "unknown")
                time.sleep(0.02)
        except OSError as error:
            raise unsafe(folder.path / NAME, f"cannot be locked: {error.strerror}") from None

    def close(self) -> None:
        os.close(self._descriptor)


def holder(folder: Folder) -> int | None:
    """The process that has the lock, UNKNOWN where it could not say; None where nobody has it."""
    try:
        descriptor = folder.open_file(NAME, os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        return None if locks.acquire(descriptor, shared=True) else _read_pid(descriptor)
    finally:
        os.close(descriptor)
