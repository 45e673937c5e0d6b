"""Passwords in files: `file:/path`, and the credentials that systemd hands to a service."""

import os
import shlex
import stat
import sys
from pathlib import Path

from sockslocal.credentials.failures import failed
from sockslocal.credentials.messages import Request

MAX_BYTES = 64 * 1024

_ONLY_PASSWORD = "name a file that holds the password and nothing else"  # noqa: S105  no password

if sys.platform == "win32":
    _FLAGS = os.O_RDONLY | os.O_BINARY | os.O_NOINHERIT
else:
    # A FIFO without a writer must not hang, a link must not lead elsewhere, a terminal must not take us over.
    _FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_NOCTTY | os.O_CLOEXEC


def read_file(request: Request) -> bytes:
    """What is in the file `request.argument`, which nobody but its owner may use: this user, or root."""
    path = Path(request.argument)
    return _read(
        request,
        path,
        private=True,
        creation=f"put it there, for you alone: (umask 077; cat > {shlex.quote(str(path))})",
    )


def read_systemd(request: Request) -> bytes:
    """The credential `request.argument` of the unit that this process belongs to (systemd.exec(5)).

    systemd guards its folder. The mode of a file in it says little: access may be granted by an ACL, and then
    looks like the group's.
    """
    name = request.argument
    creation = f"add LoadCredential={name}:/path to the [Service] part of the unit"
    if name in {"", ".", ".."} or Path(name).name != name:
        raise failed(request, "that is no credential's name", "name it as LoadCredential= does in the unit")
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    if not folder:
        raise failed(request, "systemd gave this process no credentials", creation)
    return _read(request, Path(folder, name), private=False, creation=creation)


def _read(request: Request, path: Path, *, private: bool, creation: str) -> bytes:
    """The content of `path`, checked on the open file; `creation` is the remedy where there is none."""
    try:
        with open(path, "rb", opener=_opener) as file:
            _check(request, path, os.fstat(file.fileno()), private=private)
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise failed(request, "there is no such file", creation) from None
    except (OSError, ValueError) as error:
        raise _unreadable(request, path, error) from None
    if len(content) > MAX_BYTES:
        raise failed(request, f"it has more than {MAX_BYTES} bytes", _ONLY_PASSWORD)
    return content


def _opener(path: str, _: int) -> int:
    return os.open(path, _FLAGS)


def _check(request: Request, path: Path, status: os.stat_result, *, private: bool) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise failed(request, "it is not a regular file", _ONLY_PASSWORD)
    if sys.platform == "win32" or not private:
        return  # on Windows st_mode tells nothing about the access list
    if status.st_uid not in {os.geteuid(), 0}:
        raise failed(request, f"it belongs to another user (uid {status.st_uid})", _ls(path))
    if status.st_mode & 0o077:
        mode = stat.filemode(status.st_mode)
        raise failed(request, f"other users may use it ({mode})", f"chmod 600 {shlex.quote(str(path))}")


def _unreadable(request: Request, path: Path, error: OSError | ValueError) -> Exception:
    if path.is_symlink():
        remedy = f'name what it points to: password_from = "file:{path.resolve()}"'
        return failed(request, "it is a symbolic link", remedy)
    return failed(request, getattr(error, "strerror", None) or "that is no path", _ls(path))


def _ls(path: Path) -> str:
    return f"ls -l {shlex.quote(str(path))}"
