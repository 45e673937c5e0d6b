import os
import sys

import pytest

from fakes.cli import CommandLine
from sockslocal.paths import Paths


@pytest.fixture
def became(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What the process would have become."""
    commands: list[list[str]] = []

    def become(_program: str, command: list[str]) -> None:
        commands.append(command)
        raise SystemExit(0)

    monkeypatch.setattr(os, "execv", become)
    return commands


def test_the_process_becomes_the_tray(cli: CommandLine, paths: Paths, became: list[list[str]]) -> None:
    """With the same configuration."""
    with pytest.raises(SystemExit):
        cli("tray")
    program = [sys.executable, "-P", "-m", "sockslocal_tray"]
    assert became == [[*program, "--config", str(paths.config), "--wait", "0.0", "--panel", "auto"]]


def test_the_tray_is_told_what_the_command_was(cli: CommandLine, became: list[list[str]]) -> None:
    """How long to wait, in whatever unit, and the panel's colour."""
    with pytest.raises(SystemExit):
        cli("tray", "--wait", "1m", "--panel", "light")
    assert became[0][-4:] == ["--wait", "60.0", "--panel", "light"]
