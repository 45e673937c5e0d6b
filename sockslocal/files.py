"""Reading and writing small files of the user's: never a hang, never half a file."""

import errno
import os
import secrets
import shlex
import stat
import sys
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import BinaryIO

_TOKEN = 8
"""Octets of chance in the name of a temporary file."""

_MAX_ENTRIES = 10_000
"""Of a folder that are looked at: none of ours has as many."""

_HEX = frozenset("0123456789abcdef")


class FileError(OSError):
    """A file that is not what it should be; `strerror` says why, as that of other OSErrors does."""

    def __init__(self, reason: str) -> None:
        super().__init__(errno.EINVAL, reason)
        self._reason = reason

    def __str__(self) -> str:
        return self._reason


def read_bounded(path: Path, limit: int) -> bytes:
    """The content of a regular file of at most `limit` bytes.

    Raises OSError, which is FileError for a folder, a pipe, a device or too large a file. It never waits, not
    even for the writer of a pipe.
    """
    with open_regular(path) as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise FileError(f"it is larger than {limit:,} bytes")
    return content


def open_regular(path: Path) -> BinaryIO:
    """A regular file, to be read. Raises OSError, which is FileError for a folder, a pipe or a device."""
    file = open(path, "rb", opener=_open)  # noqa: SIM115  the caller's
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise FileError("it is not a regular file")
    return file


def write_atomically(path: Path, content: bytes, *, keep_mode: bool = False) -> None:
    """Replace `path` by a file with `content` that only its owner may read (0600), or leave it as it was.

    With `keep_mode` those who could read the old file can read the new one too, and nobody else. A symbolic
    link stays, and what it points to is replaced. Raises OSError.
    """
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(_TOKEN)}")
    try:
        with open(temporary, "xb", opener=_open) as file:
            file.write(content)
            file.flush()
            if keep_mode:
                _resemble(target, file.fileno())
            os.fsync(file.fileno())
        temporary.replace(target)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    sync_folder(target.parent)


def remove_leftovers(path: Path) -> None:
    """Remove what `write_atomically` left of `path` where it was killed; call it while nobody writes there.

    What cannot be removed, and what is no regular file, stays.
    """
    target = Path(os.path.realpath(path))
    beginning, length = f".{target.name}.", 2 * _TOKEN
    with suppress(OSError), os.scandir(target.parent) as entries:
        for entry in islice(entries, _MAX_ENTRIES):
            token = entry.name.removeprefix(beginning)
            if entry.name.startswith(beginning) and len(token) == length and _HEX.issuperset(token):
                with suppress(OSError):
                    if entry.is_file(follow_symlinks=False):
                        os.unlink(entry.path)  # noqa: PTH108  it is a text


def sync_folder(folder: Path) -> None:
    """Make a rename within it last; where the file system cannot, the file is whole all the same."""
    if sys.platform == "win32":
        return
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def unwritable_remedy(error: OSError, path: Path) -> str:
    """The command that shows why `path` cannot be written: how full the disk is, or whose the folder is."""
    folder = shlex.quote(str(path.parent))
    return f"df {folder}" if error.errno in {errno.ENOSPC, errno.EDQUOT} else f"ls -ld {folder}"


def _resemble(target: Path, descriptor: int) -> None:
    """Give the open file the owner, the group and the mode of `target`, if there is one."""
    if sys.platform == "win32":
        return
    with suppress(FileNotFoundError):
        wanted = target.stat()
        for user, group in ((wanted.st_uid, -1), (-1, wanted.st_gid)):
            with suppress(PermissionError):
                os.fchown(descriptor, user, group)
        made = os.fstat(descriptor)
        mode = stat.S_IMODE(wanted.st_mode) & 0o777
        os.fchmod(descriptor, mode if made.st_gid == wanted.st_gid else mode & ~0o070)


def _open(path: str, flags: int) -> int:
    """An opener for `open`: for this user only, never waiting, and never through a link to make a file."""
    if sys.platform != "win32":
        flags |= os.O_NONBLOCK | os.O_NOCTTY
        if flags & os.O_CREAT:
            flags |= os.O_NOFOLLOW
    return os.open(path, flags, 0o600)
