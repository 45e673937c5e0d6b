"""Locks between processes.

They are held by open descriptors, so the kernel lets go of them whenever and however the holder ends.
"""

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_FAR = 1 << 30  # Windows keeps others from reading what is locked: lock a byte that is never written
_POLL = 0.01


def acquire(descriptor: int, *, shared: bool = False) -> bool:
    """Whether the lock was free; it is now held until the descriptor is closed. Never waits."""
    try:
        if sys.platform == "win32":
            os.lseek(descriptor, _FAR, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # flock's word for "held", and Windows's
        return False
    return True


@contextlib.contextmanager
def folder_lock(folder: Path, seconds: float) -> Iterator[None]:
    """Within, this process has the lock of `folder`, which leaves no file there but on Windows.

    Raises TimeoutError where another one has it for `seconds`. Where the file system has no such lock, or
    there is no such folder, it goes on without.
    """
    with contextlib.ExitStack() as stack:
        held = True
        with contextlib.suppress(OSError):
            descriptor = _open(folder)
            stack.callback(os.close, descriptor)
            held = _acquire_within(descriptor, seconds)
        if not held:
            raise TimeoutError
        yield


def _acquire_within(descriptor: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not acquire(descriptor):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL)
    return True


def _open(folder: Path) -> int:
    if sys.platform == "win32":  # where a folder cannot be opened
        return os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_NOINHERIT, 0o600)
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
