"""The command line in the test's own process."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import pytest

from sockslocal.cli.main import main
from sockslocal.paths import Paths
from sockslocal.secret import Secret


class Outcome(NamedTuple):
    """What a command left: exit code, data, talk."""

    code: int
    out: str
    err: str


class RunCall(NamedTuple):
    """How the daemon was asked to be run."""

    paths: Paths
    log_to_stderr: bool
    level: str
    secrets: Mapping[str, Secret]


class CommandLine:
    """Call it with arguments; `runs` and `demos` are the calls of what it may not import."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.runs: list[RunCall] = []
        self.demos: list[bool] = []

    def __call__(self, *arguments: str) -> Outcome:
        self._capsys.readouterr()
        code = main(arguments, run=self._run, demo=self._demo)
        out, err = self._capsys.readouterr()
        return Outcome(code, out, err)

    def _run(self, paths: Paths, *, log_to_stderr: bool, level: str, secrets: Mapping[str, Secret]) -> int:
        self.runs.append(RunCall(paths, log_to_stderr, level, secrets))
        return 0

    def _demo(self, *, once: bool) -> int:
        self.demos.append(once)
        return 0


@contextlib.contextmanager
def started(*arguments: str) -> "Iterator[subprocess.Popen[str]]":
    """The command line as a process with its output to be read; killed at the end, if it still runs."""
    command = [sys.executable, "-m", "sockslocal", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def next_line(process: "subprocess.Popen[str]") -> str:
    """The next line that `process` prints."""
    assert process.stdout is not None
    return process.stdout.readline()
