"""The lock that makes one daemon of a user the only one.

It is held by an open descriptor: the kernel lets go of it whenever and however the daemon ends, so a process
id left in the file means nothing by itself. The file is never removed: that would let two hold "the" lock.
"""

import os
import sys
import time

from sockslocal.control.folder import Folder, unsafe
from sockslocal.errors import ControlError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

NAME = "lock"

_PATIENCE = 0.3  # seconds: `holder` below takes the lock for a moment, and an old daemon may be just ending
_FAR = 1 << 30  # Windows keeps others from reading what is locked: lock a byte that is never written

UNKNOWN = 0
"""The process id where the lock is held by one that could not write its own."""


def _acquire(descriptor: int, *, shared: bool) -> bool:
    """Whether the lock was free; it is now held until the descriptor is closed."""
    try:
        if sys.platform == "win32":
            os.lseek(descriptor, _FAR, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # flock's word for "held", and Windows's
        return False
    return True


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
            while not _acquire(self._descriptor, shared=False):
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
        return None if _acquire(descriptor, shared=True) else _read_pid(descriptor)
    finally:
        os.close(descriptor)
