"""`logs`: the end of the daemon's log, and what comes."""

import contextlib
import os
import sys
import time
from argparse import Namespace
from collections import deque
from pathlib import Path
from typing import BinaryIO

from sockslocal.cli.context import Context
from sockslocal.cli.terminal import line, say, write
from sockslocal.problems import ExitCode

_POLL = 0.2
_BLOCK = 64 * 1024


def show(arguments: Namespace, context: Context) -> int:
    """The last lines on stdout; with `--follow` until Ctrl-C."""
    log = _Log(context.paths.log)
    with contextlib.closing(log):
        if not log.open() and not arguments.follow:
            say(f"there is no log yet at {context.paths.log}; `run` logs to the terminal")
        log.print_last(arguments.lines)
        if arguments.follow:
            with contextlib.suppress(KeyboardInterrupt):  # the way to leave
                log.follow()
    return ExitCode.DONE


class _Log:
    """A log file that is read to its end, and on in its successor when it is rotated."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._begun = b""

    def open(self) -> bool:
        """Whether there is one."""
        with contextlib.suppress(FileNotFoundError):
            self._file = self._path.open("rb", buffering=0)
        return self._file is not None

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def print_last(self, count: int) -> None:
        """Print the last `count` lines: the file is bounded by its rotation, so it is simply read."""
        last: deque[bytes] = deque(maxlen=max(0, count))
        while lines := self._next_lines():
            last.extend(lines)
        _print(list(last))

    def follow(self) -> None:
        """Print what comes, without end."""
        while True:
            replaced = self._is_replaced()  # asked first: what comes afterwards is in the next file
            while lines := self._next_lines():
                _print(lines)
            if replaced:
                self.close()
                self.open()
            else:
                time.sleep(_POLL)

    def _next_lines(self) -> list[bytes]:
        """Complete lines, as many as one block has; empty at the end."""
        while self._file is not None and (block := self._file.read(_BLOCK)):
            *lines, self._begun = (self._begun + block).split(b"\n")
            if lines:
                return lines
        return []

    def _is_replaced(self) -> bool:
        try:
            there = self._path.stat()
        except FileNotFoundError:
            return False
        if self._file is None:
            return True
        return not os.path.samestat(there, os.fstat(self._file.fileno()))


def _print(lines: list[bytes]) -> None:
    write(sys.stdout, [line(text.decode(errors="replace")) for text in lines])
    sys.stdout.flush()
