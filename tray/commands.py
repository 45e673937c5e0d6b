"""Commands of ours as child processes: for what the command line does already."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import NamedTuple

from sockslocal import children
from sockslocal.paths import Paths
from sockslocal.problems import Problem
from sockslocal.secret import Secret

DEADLINE_S = 180.0
"""A person may have to answer first: polkit, or the keyring."""

_MAX_TEXT = 2000

if sys.platform == "win32":
    _FLAGS = subprocess.CREATE_NO_WINDOW
else:
    _FLAGS = 0


class Outcome(NamedTuple):
    """How a command ended; `text` is what it said last."""

    code: int
    text: str


def sockslocal(paths: Paths, *words: str) -> list[str]:
    """The command line of `sockslocal WORDS` for the same configuration."""
    return [*children.command_of("sockslocal"), "--config", str(paths.config), *words]


def run(command: Sequence[str], secret: Secret | None = None, *, seconds: float = DEADLINE_S) -> Outcome:
    """Run it to its end, with `secret` as its stdin; it is killed after so many seconds. Raises OSError."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE if secret else subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
        creationflags=_FLAGS,
    )
    try:
        _, said = process.communicate(secret.reveal().encode() if secret else None, timeout=seconds)
    except subprocess.TimeoutExpired:
        _kill(process)
        return Outcome(1, f"it did not end within {seconds:g} s")
    return Outcome(process.returncode, said[-_MAX_TEXT:].decode(errors="replace").strip())


def _kill(process: subprocess.Popen[bytes]) -> None:
    """With all that it has started."""
    if sys.platform == "win32":
        process.kill()
    else:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    with process:  # its pipes are closed, and its end is taken note of
        pass


def failure(outcome: Outcome) -> Problem:
    """What a command that failed has said on stderr, as it is written there: error, and help."""
    error, place, remedy = (_last(outcome.text, label) for label in ("error: ", "  --> ", "  help: "))
    text = error or outcome.text or f"exit code {outcome.code}"
    return Problem("command-failed", "That did not work", f"{place}: {text}" if place else text, remedy)


def _last(text: str, label: str) -> str:
    """What follows `label` on the last line that begins with it."""
    found = [line.removeprefix(label) for line in text.splitlines() if line.startswith(label)]
    return found[-1] if found else ""
