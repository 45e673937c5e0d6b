import subprocess
from pathlib import Path

import pytest

from fakes.programs import Programs
from fakes.waiting import wait_until
from sockslocal_tray import openers


def called(programs: Programs, name: str) -> list[str]:
    """How the program, which runs on its own, was called."""
    wait_until(lambda: programs.arguments(name) is not None, seconds=10, what=f"{name} called")
    return programs.arguments(name) or []


@pytest.mark.parametrize(
    ("name", "options"),
    [("x-terminal-emulator", ["-e"]), ("gnome-terminal", ["--wait", "--"]), ("xterm", ["-e"])],
)
def test_a_command_is_run_in_whichever_terminal_is_there(
    programs: Programs, name: str, options: list[str]
) -> None:
    """It is not taken apart by a shell, and what it says stays to be read."""
    programs.add(name)
    openers.in_terminal(["echo", "a b", "$HOME"])
    arguments = called(programs, name)
    assert arguments[: len(options)] == options
    assert arguments[len(options) : len(options) + 2] == ["sh", "-c"]
    script = arguments[len(options) + 2 : len(options) + 3]
    done = subprocess.run(
        ["/bin/sh", "-c", *script, *arguments[-4:]],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "a b $HOME\n\nPress Enter to close this window. "


def test_the_person_s_own_terminal_comes_first(programs: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Named as many programs have it."""
    monkeypatch.setenv("TERMINAL", "mine")
    programs.add("mine")
    programs.add("xterm")
    openers.in_terminal(["true"])
    assert called(programs, "mine")[:3] == ["-e", "sh", "-c"]


@pytest.mark.usefixtures("programs")
def test_no_terminal_is_said() -> None:
    """The caller tells what to do instead."""
    with pytest.raises(openers.NoProgramError, match="no terminal program was found"):
        openers.in_terminal(["true"])


def test_a_file_is_opened_by_the_desktop(programs: Programs) -> None:
    """With whatever it has for such files."""
    programs.add("xdg-open")
    openers.in_editor(Path("/x/config.toml"))
    assert called(programs, "xdg-open") == ["/x/config.toml"]


def test_a_file_is_else_opened_in_a_terminal(programs: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the person's editor."""
    monkeypatch.setenv("EDITOR", "vi")
    programs.add("xterm")
    openers.in_editor(Path("/x/config.toml"))
    assert called(programs, "xterm")[-2:] == ["vi", "/x/config.toml"]
