import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from sockslocal.cli import privileged
from sockslocal.cli.privileged import HELPER, run_helper
from sockslocal.errors import SockslocalError
from sockslocal.problems import ExitCode


class Processes:
    """Stands for the processes that would be started; `output` and `code` are what they come to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.output, self.code = b"{}\n", 0
        self.commands: list[list[str]] = []
        monkeypatch.setattr(subprocess, "run", self._run)

    def _run(self, command: Sequence[str], **_: Any) -> "subprocess.CompletedProcess[bytes]":
        self.commands.append([*command])
        return subprocess.CompletedProcess(command, self.code, self.output)


class Stdin:
    """A terminal, or none."""

    def __init__(self, *, terminal: bool) -> None:
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> Processes:
    """None is real."""
    return Processes(monkeypatch)


@pytest.mark.parametrize(
    ("uid", "terminal", "there", "prefix"),
    [
        (0, False, {"sudo", "pkexec"}, []),
        (1000, True, {"sudo", "pkexec"}, ["sudo", "--"]),
        (1000, True, {"pkexec"}, ["pkexec"]),
        (1000, False, {"sudo", "pkexec"}, ["pkexec"]),
        (1000, False, {"sudo"}, ["sudo", "-n", "--"]),
    ],
)
@pytest.mark.parametrize("installed", [True, False])
def test_how_root_is_become(  # noqa: PLR0917  the table's columns
    processes: Processes,
    monkeypatch: pytest.MonkeyPatch,
    uid: int,
    terminal: bool,  # noqa: FBT001  as above
    there: set[str],
    prefix: list[str],
    installed: bool,  # noqa: FBT001  as above
    tmp_path: Path,
) -> None:
    """By sudo where it can ask in a terminal, by polkit's agent elsewhere.

    polkit is asked for what root installed only: the other one is in a folder that the user may write to.
    """
    if installed:
        (tmp_path / "sockslocal-dns").touch()
    elif prefix == ["pkexec"]:
        there = there | {"sudo"}
        prefix = ["sudo", "--"] if terminal else ["sudo", "-n", "--"]
    monkeypatch.setattr(privileged, "INSTALLED", tmp_path / "sockslocal-dns")
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    monkeypatch.setattr(sys, "stdin", Stdin(terminal=terminal))
    monkeypatch.setattr(shutil, "which", lambda name: name if name in there else None)
    assert run_helper("apply", "53") == {}
    program = [str(privileged.INSTALLED)] if installed else [sys.executable, "-I", str(HELPER)]
    assert processes.commands == [[*prefix, *program, "apply", "53"]]


def refused(*arguments: str) -> SockslocalError:
    """What is told where the helper did not do it."""
    with pytest.raises(SockslocalError) as caught:
        run_helper(*arguments)
    return caught.value


def test_without_a_way_to_root_the_command_is_told(
    processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For whoever has another one; pkexec alone is none for what is not installed."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(shutil, "which", lambda name: name if name == "pkexec" else None)
    error = refused("restore")
    assert error.exit_code is ExitCode.PERMISSION
    assert error.problem.remedy.startswith("run it as root: sudo /")
    assert error.problem.remedy.endswith("helper.py restore")
    assert processes.commands == []


@pytest.mark.parametrize(
    ("code", "output"), [(126, b""), (1, b"Sorry, try again.\n"), (7, b'{"error": ""}\n')]
)
def test_who_is_not_allowed_is_told(processes: Processes, code: int, output: bytes) -> None:
    """Exit code 7."""
    processes.code, processes.output = code, output
    assert refused("restore").exit_code is ExitCode.PERMISSION


def test_the_helpers_reason_is_told(processes: Processes) -> None:
    """With its remedy, where it knows one."""
    processes.code, processes.output = 1, b'{"error": "no", "remedy": "do it"}'
    assert refused("restore").problem.text.endswith(": no")
    assert refused("restore").problem.remedy == "do it"
    processes.output = b'{"error": "no"}'
    assert refused("restore").problem.remedy == "sockslocal dns status"


def test_a_python_that_cannot_be_started_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """As what keeps from being root."""

    def fail(*_: Any, **__: Any) -> None:
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(privileged, "_as_root", lambda *_, **__: [])
    monkeypatch.setattr(subprocess, "run", fail)
    assert "No such file" in refused("restore").problem.text
