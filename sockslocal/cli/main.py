"""From arguments to an exit code."""

import argparse
import errno
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO, cast

from sockslocal.cli.context import Context, Demo, Run
from sockslocal.cli.tree import build
from sockslocal.errors import SockslocalError
from sockslocal.interrupts import INTERRUPTED, ending_at_once
from sockslocal.problems import ExitCode

_UNWRITABLE = {errno.ENOSPC, errno.EFBIG, errno.EIO}
"""What writing to a full or broken disk answers."""


def main(arguments: Sequence[str], *, run: Run, demo: Demo) -> int:
    """Do what `arguments` ask for; whatever is wrong is told on stderr, and in the exit code."""
    _open_missing_streams()
    _forgive_encodings()
    try:
        if not arguments:
            print(build().format_help(), end="")  # `print_help` keeps silent about errors
            sys.stdout.flush()  # here what goes wrong is still caught
            return ExitCode.DONE
        return _dispatch(build().parse_args(arguments), run, demo)
    except SockslocalError as error:
        return _tell(error)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _close_stdout()
        return ExitCode.DONE  # `sockslocal logs | head` has what it wanted
    except OSError as error:
        if error.errno not in _UNWRITABLE:
            raise
        _close_stdout()
        print(f"error: the output cannot be written: {error.strerror}", file=sys.stderr)
        return ExitCode.FAILED


def _dispatch(arguments: argparse.Namespace, run: Run, demo: Demo) -> int:
    module, function = arguments.command.split(":")
    with ending_at_once():
        from sockslocal import paths

        command = getattr(importlib.import_module(f"sockslocal.cli.{module}"), function)
    context = Context(paths.find(arguments.config), run, demo)
    try:
        code: int = command(arguments, context)
    except SockslocalError as error:
        return _tell(error, context.paths.config)
    sys.stdout.flush()  # as above
    return code


def _tell(error: SockslocalError, config: Path | None = None) -> int:
    from sockslocal.cli.render import print_error

    print_error(error, config)
    return error.exit_code


def _open_missing_streams() -> None:
    """Python has None for what the shell closed (`>&-`): what is written there goes nowhere."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115  until the end


def _forgive_encodings() -> None:
    """What a terminal cannot show becomes a question mark, never an exception."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # not what some test or tool put in its place
            stream.reconfigure(errors="replace")


def _close_stdout() -> None:
    """So that the interpreter does not try, and fail, to write the rest when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), cast(TextIO, sys.stdout).fileno())
