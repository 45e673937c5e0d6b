"""Reading and writing small files of the user's: never a hang, never half a file."""

import os
import secrets
import stat
import sys
from contextlib import suppress
from pathlib import Path


class FileError(OSError):
    """A file that is not what it should be; `strerror` says why."""


def read_bounded(path: Path, limit: int) -> bytes:
    """The content of a regular file of at most `limit` bytes.

    Raises OSError, which is FileError for a folder, a pipe, a device or too large a file. It never waits, not
    even for the writer of a pipe.
    """
    descriptor = _open(path, os.O_RDONLY)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise FileError(0, "it is not a regular file")
        content = file.read(limit + 1)
    if len(content) > limit:
        raise FileError(0, f"it is larger than {limit:,} bytes")
    return content


def write_atomically(path: Path, content: bytes) -> None:
    """Replace `path` by a file with `content` that only its owner may read (0600), or leave it as it was.

    A symbolic link stays, and what it points to is replaced. Raises OSError.
    """
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
    descriptor = _open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        temporary.replace(target)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    _sync_folder(target.parent)


def _open(path: Path, flags: int) -> int:
    try:
        if sys.platform == "win32":
            return os.open(path, flags | os.O_BINARY | os.O_NOINHERIT, 0o600)
        if flags & os.O_CREAT:
            flags |= os.O_NOFOLLOW
        return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC, 0o600)
    except ValueError as error:  # a NUL within the path
        raise FileError(0, "its path is no path") from error


def _sync_folder(folder: Path) -> None:
    """Make the rename itself last; where the file system cannot, the file is whole all the same."""
    if sys.platform == "win32":
        return
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
