"""The run-time folder: one that nobody but its user can enter, or none at all.

On POSIX it is held by a descriptor and files are opened relative to that, so that what was checked is what
is used. On Windows the folder lies in the user's profile, and `os.mkdir` with mode 0o700 gives it an access
list of that user alone (since Python 3.11.10 and 3.12.4).
"""

import contextlib
import errno
import os
import shlex
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from sockslocal.errors import ControlError

_ELSEWHERE = "point SOCKSLOCAL_RUNTIME_DIR at a folder of your own"


def unsafe(path: Path, reason: str, mend: str | None = None) -> ControlError:
    """The error for a path that will not be used as it is; the command `mend`, run on it, would help."""
    remedy = f"{mend} {shlex.quote(str(path))}" if mend else _ELSEWHERE
    return ControlError.of("folder-unsafe", path=path, reason=reason, remedy=remedy)


@contextlib.contextmanager
def only_for_me(mask: int = 0o077) -> Iterator[None]:
    """What is made meanwhile is closed to others. All threads share the umask: no other makes files."""
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def _denied(status: os.stat_result) -> str | None:
    """Why a file with this status must not be trusted, or None where it may be."""
    if sys.platform == "win32":
        return None
    if status.st_uid != os.geteuid():
        return f"belongs to user {status.st_uid}"
    if status.st_mode & 0o077:
        return f"can be used by other users (mode {stat.S_IMODE(status.st_mode):04o})"
    return None


class Folder:
    """An open, checked folder.

    Raises ControlError `folder-unsafe` for one that is not to be trusted. With `create` a missing one is
    made; else it raises FileNotFoundError.
    """

    def __init__(self, path: Path, *, create: bool) -> None:
        self.path = path
        self._descriptor: int | None = None
        try:
            if create:
                with only_for_me():
                    path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._open()
        except OSError as error:
            if isinstance(error, FileNotFoundError) and not create:
                raise
            raise unsafe(path, self._why_not(error)) from None

    def _open(self) -> None:
        if sys.platform == "win32":
            if not self.path.is_dir():
                raise FileNotFoundError(self.path)
            return
        descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        reason = _denied(os.fstat(descriptor))
        if reason is not None:
            os.close(descriptor)
            raise unsafe(self.path, reason, "chmod 700" if "mode" in reason else None)
        self._descriptor = descriptor

    def _why_not(self, error: OSError) -> str:
        if os.path.islink(self.path):  # noqa: PTH114  Path's own raises what it is asked about
            return "is a symbolic link, which anyone may have planted"
        if isinstance(error, NotADirectoryError | FileExistsError):
            return "is not a folder"
        return f"cannot be used: {error.strerror}"

    def open_file(self, name: str, flags: int) -> int:
        """A descriptor of the plain file `name`, never of what a link or a pipe in its place leads to.

        Raises FileNotFoundError as usual, ControlError `folder-unsafe` for whatever is no file of this user.
        """
        path = self.path / name
        if sys.platform == "win32":
            return os.open(path, flags | os.O_BINARY | os.O_NOINHERIT, 0o600)
        try:
            # not blocking: opening a pipe for reading would wait for a writer
            descriptor = os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600, dir_fd=self._descriptor)
        except FileNotFoundError:
            raise
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise unsafe(path, "is a symbolic link", "rm") from None
            raise unsafe(path, f"cannot be opened: {error.strerror}") from None
        status = os.fstat(descriptor)
        # a second name would be some other file of this user, about to be overwritten
        if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1 or _denied(status):
            os.close(descriptor)
            raise unsafe(path, "is not a plain file of this user alone", "rm")
        return descriptor

    def write_file(self, name: str, content: bytes) -> None:
        """Puts `content` in place of the file `name` in one step."""
        fresh = f"{name}.new"
        self.remove(fresh)
        descriptor = self.open_file(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        try:
            os.write(descriptor, content)
        finally:
            os.close(descriptor)
        if sys.platform == "win32":
            (self.path / fresh).replace(self.path / name)
        else:
            os.rename(fresh, name, src_dir_fd=self._descriptor, dst_dir_fd=self._descriptor)

    def remove(self, name: str) -> None:
        """Removes the file, link or socket `name`; fine where there is none."""
        with contextlib.suppress(FileNotFoundError):
            if sys.platform == "win32":
                (self.path / name).unlink()
            else:
                os.unlink(name, dir_fd=self._descriptor)

    def mode_of(self, name: str) -> int | None:
        """What `name` is, links not followed, as `st_mode`; None where there is nothing."""
        try:
            if sys.platform == "win32":
                return os.lstat(self.path / name).st_mode
            return os.stat(name, dir_fd=self._descriptor, follow_symlinks=False).st_mode
        except FileNotFoundError:
            return None

    def short_path(self, name: str, limit: int) -> str:
        """A path to `name` of at most `limit` octets: the plain one, or Linux's through the descriptor."""
        plain = str(self.path / name)
        if len(os.fsencode(plain)) <= limit:
            return plain
        if sys.platform != "linux":
            raise unsafe(self.path, f"has a path too long for a socket in it ({limit} bytes)")
        return f"/proc/self/fd/{self._descriptor}/{name}"

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
