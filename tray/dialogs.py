"""Asking for a password in a window of the desktop's. It comes back over a pipe, or not at all."""

import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence

from sockslocal import children
from sockslocal.log import escape
from sockslocal.secret import Secret

DEADLINE_S = 300.0
"""After which nobody is there, and the window is closed."""

_TITLE = "sockslocal"
_NO_SUCH_PROGRAM = 127


class NoDialogError(Exception):
    """Nothing here can show a window."""


def password(server: str) -> Secret | None:
    """The password that the person gives for `server`; None where there is none. Raises NoDialogError."""
    if sys.platform == "win32":
        from sockslocal_tray import credential_dialog

        return credential_dialog.ask(_TITLE, _question(server))
    for command in _dialogs(_question(server)):
        if shutil.which(command[0]):
            code, answer = _ask(command)
            if code != _NO_SUCH_PROGRAM:
                return _read(answer) if code == 0 else None
    raise NoDialogError("neither zenity nor kdialog is installed")


def _question(server: str) -> str:
    return f"Password for the server “{escape(server)[:80]}”:"


def _dialogs(question: str) -> Iterator[Sequence[str]]:
    """What may be there; a question is never read as an option."""
    if sys.platform == "darwin":
        yield ["osascript", "-e", _OSASCRIPT, question]
        return
    yield ["zenity", "--entry", "--hide-text", f"--title={_TITLE}", f"--text={_unmarked(question)}"]
    yield ["kdialog", "--title", _TITLE, "--password", question]
    yield [*children.command_of("sockslocal_tray.tk_password"), question]


def _unmarked(text: str) -> str:
    """For zenity, which takes an underscore for the mark of a key."""
    return text.replace("_", "__")


_OSASCRIPT = """\
on run arguments
  set question to item 1 of arguments
  set answer to display dialog question with title "sockslocal" default answer "" with hidden answer
  return text returned of answer
end run"""


def _ask(command: Sequence[str]) -> tuple[int, bytes]:
    """How the program ended, and what it wrote; its warnings go nowhere."""
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        try:
            answer, _ = process.communicate(timeout=DEADLINE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            return 1, b""
    return process.returncode, answer


def _read(answer: bytes) -> Secret | None:
    text = answer.removesuffix(b"\n").removesuffix(b"\r").decode(errors="surrogateescape")
    return Secret(text) if text else None
