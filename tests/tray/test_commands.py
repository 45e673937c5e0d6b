import sys
import time
from pathlib import Path

import pytest

from fakes.processes import wait_for_end
from sockslocal.paths import Paths
from sockslocal.secret import Secret
from sockslocal_tray import commands
from sockslocal_tray.commands import Outcome


def python(script: str) -> list[str]:
    """A command that does this."""
    return [sys.executable, "-c", script]


def test_the_command_is_run_for_the_same_configuration(paths: Paths) -> None:
    """By the same Python, which imports nothing from the current folder."""
    program = [sys.executable, "-P", "-m", "sockslocal"]
    assert commands.sockslocal(paths, "on", "db") == [*program, "--config", str(paths.config), "on", "db"]


def test_what_it_says_is_kept() -> None:
    """Not what it prints, which is data."""
    script = "import sys; print('data'); sys.stderr.write('talk\\n'); sys.exit(3)"
    assert commands.run(python(script)) == Outcome(3, "talk")


def test_a_secret_is_its_stdin() -> None:
    """And nothing else: neither an argument nor a variable."""
    script = "import sys; sys.stderr.write(str(len(sys.stdin.buffer.read())))"
    assert commands.run(python(script), Secret("hunter2é")) == Outcome(0, "9")


def test_without_a_secret_its_stdin_is_empty() -> None:
    """It cannot ask anything there."""
    assert commands.run(python("import sys; sys.exit(sys.stdin.read() != '')")).code == 0


def test_one_that_does_not_end_is_ended(tmp_path: Path) -> None:
    """With all that it has started."""
    pid = tmp_path / "pid"
    shell = f"sleep 60 & echo $! > {pid}.new; mv {pid}.new {pid}; wait"
    started = time.monotonic()
    outcome = commands.run(["sh", "-c", shell], seconds=1)
    assert outcome == Outcome(1, "it did not end within 1 s")
    assert time.monotonic() - started < 30
    wait_for_end(pid)


def test_an_error_is_read_as_it_is_written() -> None:
    """As the command line prints it: what is wrong, and what helps."""
    said = 'warning: old\nerror: there is no server "x"\n  --> config.toml:3\n  help: sockslocal server list'
    problem = commands.failure(Outcome(2, said))
    assert problem.text == 'config.toml:3: there is no server "x"'
    assert problem.remedy == "sockslocal server list"


@pytest.mark.parametrize(("said", "text"), [("strange words", "strange words"), ("", "exit code 5")])
def test_what_else_it_says_is_told_as_it_is(said: str, text: str) -> None:
    """Something is always told."""
    assert commands.failure(Outcome(5, said)).text == text
