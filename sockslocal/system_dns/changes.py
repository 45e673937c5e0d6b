"""Files as they were and as they are to be, each step of which may be the last one this process takes.

A file is replaced by renaming another one over it. What cannot be renamed over, as a file in a container that
is a mount of its own, is written in place: whoever finds half of what was written knows it by the journal.
"""

import errno
import os
import stat
import sys
from contextlib import suppress
from pathlib import Path

from sockslocal.files import sync_folder
from sockslocal.system_dns.journal import MAX_KEPT, Change, Snapshot, Step

_IN_PLACE = {errno.EBUSY, errno.EXDEV, errno.EROFS, errno.EACCES, errno.EPERM}
"""What renaming answers for a mount point, and in a folder that is read-only."""

_LABEL = "security.selinux"
_FLAGS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_FILE_MODE = 0o644
_FOLDER_MODE = 0o755


class ForeignFileError(OSError):
    """What is there is nothing that can be kept, and brought back."""


def look(path: Path) -> Snapshot:
    """What is at `path`, whose links are not followed. Raises OSError."""
    try:
        state = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return Snapshot()
    if stat.S_ISLNK(state.st_mode):
        content = os.fsencode(path.readlink())
        return Snapshot(kind="link", content=content, user=state.st_uid, group=state.st_gid)
    if not stat.S_ISREG(state.st_mode):
        raise ForeignFileError(errno.EINVAL, f"{path} is neither a file nor a link")
    if state.st_size > MAX_KEPT:
        raise ForeignFileError(errno.EFBIG, f"{path} is larger than {MAX_KEPT} bytes")
    return Snapshot(
        kind="file",
        content=path.read_bytes(),
        mode=stat.S_IMODE(state.st_mode),
        user=state.st_uid,
        group=state.st_gid,
        label=_label(path),
    )


def survey(root: Path, path: str, after: bytes) -> Change:
    """The change that puts `after` at `path`; touches nothing. Raises OSError."""
    target = root / path
    return Change(path=path, before=look(target), after=after, folder=not target.parent.is_dir())


def make(root: Path, change: Change) -> None:
    """Put the file there; once more changes nothing. Raises OSError."""
    target = root / change.path
    if not is_made(root, change):
        if change.folder:
            target.parent.mkdir(mode=_FOLDER_MODE, exist_ok=True)
            target.parent.chmod(_FOLDER_MODE)  # whatever the umask
        put(target, Snapshot(kind="file", content=change.after, mode=_FILE_MODE, label=change.before.label))


def is_made(root: Path, change: Change) -> bool:
    """Whether what is there is what we put there."""
    now = look(root / change.path)
    return now.kind == "file" and now.content == change.after


def is_ours(root: Path, change: Change, step: Step) -> bool:
    """Whether it is as it was, or as we wrote it, to the end or, in place, to where we were ended.

    `step` is how far the journal says it came.
    """
    now, before = look(root / change.path), change.before
    if now == before:
        return True
    if now.kind != "file":
        return False
    if now.content == change.after:
        return True
    half = step != "applied" and change.after.startswith(now.content)
    return half or (step == "restoring" and before.kind == "file" and before.content.startswith(now.content))


def undo(root: Path, change: Change, step: Step) -> None:
    """Have it as it was, unless somebody else changed it since. Once more changes nothing. Raises OSError."""
    target = root / change.path
    _temporary(target).unlink(missing_ok=True)
    if look(target) != change.before and is_ours(root, change, step):
        put(target, change.before)
    if change.folder:
        with suppress(OSError):  # others have put their files there
            target.parent.rmdir()


def put(path: Path, wanted: Snapshot) -> None:
    """Have `path` be as `wanted`. Raises OSError."""
    if wanted.kind == "absent":
        path.unlink(missing_ok=True)
        sync_folder(path.parent)
        return
    temporary = _temporary(path)
    try:
        temporary.unlink(missing_ok=True)
        if wanted.kind == "link":
            temporary.symlink_to(os.fsdecode(wanted.content))
            _give(temporary, wanted)
        else:
            _write_new(temporary, wanted)
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        if error.errno not in _IN_PLACE or wanted.kind != "file" or path.is_symlink() or not path.is_file():
            raise
        _write_in_place(path, wanted.content)
    sync_folder(path.parent)


def _temporary(path: Path) -> Path:
    """Always the same, so that the next one finds what a sudden end has left."""
    return path.with_name(f".{path.name}.sockslocal")


def _write_new(path: Path, wanted: Snapshot) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FLAGS, 0o600), "wb") as file:
        file.write(wanted.content)
        file.flush()
        _give(path, wanted)
        path.chmod(wanted.mode)
        os.fsync(file.fileno())


def _write_in_place(path: Path, content: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_TRUNC | _FLAGS), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _give(path: Path, wanted: Snapshot) -> None:
    """Owner, group and label, in a folder where nobody else may write."""
    if sys.platform != "win32":
        os.chown(path, wanted.user, wanted.group, follow_symlinks=False)
    if sys.platform == "linux" and wanted.label:
        with suppress(OSError):
            os.setxattr(path, _LABEL, wanted.label, follow_symlinks=False)


def _label(path: Path) -> bytes:
    if sys.platform == "linux":
        with suppress(OSError):
            return os.getxattr(path, _LABEL, follow_symlinks=False)
    return b""
