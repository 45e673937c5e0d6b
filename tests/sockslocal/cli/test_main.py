import io
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from fakes.cli import CommandLine
from fakes.control import fake_daemon
from sockslocal import __version__
from sockslocal.paths import Paths

SOCKSLOCAL = [sys.executable, "-m", "sockslocal"]


def run(*arguments: str, **options: object) -> "subprocess.CompletedProcess[str]":
    """The command line as the shell sees it."""
    return subprocess.run(  # type: ignore[call-overload, no-any-return]  # options are what they are
        [*SOCKSLOCAL, *arguments], capture_output=True, text=True, timeout=60, check=False, **options
    )


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ((), 0),
        (("--help",), 0),
        (("--version",), 0),
        (("status",), 3),
        (("stop",), 3),
        (("statsu",), 2),
        (("stop", "--grace", "soon"), 2),
        (("forward",), 2),
        (("forward", "set", "db"), 2),
        (("config", "check"), 4),
        (("forward", "remove", "db"), 4),
    ],
)
def test_exit_codes_reach_the_shell(paths: Paths, arguments: tuple[str, ...], code: int) -> None:
    """Data goes to stdout when all is well, talk to stderr when it is not; never both."""
    done = run(*arguments)
    assert done.returncode == code
    assert bool(done.stdout) == (code == 0)
    assert bool(done.stderr) == (code != 0)
    assert "Traceback" not in done.stderr


def test_errors_have_one_layout(cli: CommandLine, paths: Paths) -> None:
    """`error:`, the file with its line, `help:`."""
    paths.config.write_text("[server.office]\naddress = 'nowhere'\n")
    done = cli("config", "check")
    error, where, remedy = done.err.splitlines()
    assert done.code == 4
    assert error.startswith("error: ")
    assert where == f"  --> {paths.config}:2"
    assert remedy.startswith("  help: ")


def test_alone_it_tells_the_first_steps(cli: CommandLine) -> None:
    """Whoever types the name alone learns what to type next."""
    done = cli()
    assert done.code == 0
    assert "first steps:\n  sockslocal demo" in done.out
    assert done.err == ""


def test_the_version_is_told(cli: CommandLine) -> None:
    """On stdout, as programs want it."""
    with pytest.raises(SystemExit) as caught:
        cli("--version")
    assert caught.value.code == 0
    assert run("--version").stdout == f"sockslocal {__version__}\n"


def test_the_config_may_be_named_before_and_after_the_command(cli: CommandLine, paths: Paths) -> None:
    """`--config` wins over the environment, wherever it stands."""
    other = paths.config.with_name("other.toml")
    assert cli("config", "path").out == f"{paths.config}\n"
    assert cli("--config", str(other), "config", "path").out == f"{other}\n"
    assert cli("config", "path", "--config", str(other)).out == f"{other}\n"


def test_proposals_are_for_the_file_that_was_named(cli: CommandLine, paths: Paths) -> None:
    """What is copied from a remedy acts on the file that the error is about."""
    other = paths.config.with_name("other.toml")
    given = ("--config", str(other))
    added = cli(*given, "server", "add", "office", "proxy:1080", "--username", "ana")
    assert added.err.endswith(f"next: sockslocal --config {other} login office\n")
    web = cli(*given, "forward", "add", "tcp", "web", "127.0.0.1:1", "a:1")
    assert web.err.endswith(f"it takes effect with: sockslocal --config {other} start\n")
    refused = cli(*given, "forward", "set", "web", "--listen", "8080")
    assert refused.err.endswith(
        f"  help: sockslocal --config {other} forward set web --listen 127.0.0.1:8080\n"
    )
    assert cli(*given, "status").err.endswith(f"  help: sockslocal --config {other} start\n")


def test_ctrl_c_is_no_traceback(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    """130 is what shells expect then."""

    def interrupted(_arguments: object, _context: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("sockslocal.cli.config.path", interrupted)
    assert cli("config", "path") == (130, "", "")


def test_a_reader_that_has_enough_is_no_error(paths: Paths) -> None:
    """`sockslocal completion bash | head -1` ends quietly."""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [*SOCKSLOCAL, "completion", "bash"],
        stdout=writing,
        stderr=subprocess.PIPE,
        timeout=60,
        check=False,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


def test_what_cannot_be_encoded_is_replaced(paths: Paths) -> None:
    """A terminal without Unicode gets question marks, not a traceback."""
    done = run("completion", "nöpe", env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert done.returncode == 2
    assert 'there is no shell "n?pe"' in done.stderr


def test_streams_of_any_kind_will_do(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tool may have put something simpler in the place of stdout."""
    from sockslocal.cli.main import _forgive_encodings

    monkeypatch.setattr("sys.stdout", io.StringIO())
    _forgive_encodings()


def test_words_from_outside_cannot_paint_the_terminal(cli: CommandLine) -> None:
    """Control characters come out as escapes, on one line."""
    done = cli("\x1b[2J\nerror: forged")
    assert "\x1b" not in done.err
    assert done.err.count("\n") == 2


@pytest.mark.parametrize("command", ["run", "start", "stop", "status", "login", "forward add", "dns query"])
def test_every_command_explains_itself(command: str) -> None:
    """`--help` is there for each, on stdout."""
    done = run(*command.split(), "--help")
    assert done.returncode == 0
    assert f"usage: sockslocal {command}" in done.stdout


def test_status_imports_little(paths: Paths) -> None:
    """What takes long to import is not imported for what a person does all day."""
    slow = ("asyncio", "rich", "dns", "keyring", "psutil", "tomllib", "subprocess", "http")
    script = (
        "import sys; from sockslocal.__main__ import main; main();"
        f"print([name for name in {slow} if name in sys.modules])"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    with fake_daemon(paths):
        done = subprocess.run(
            [sys.executable, "-c", script, "status"],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
            env=environment,  # measuring coverage imports much
        )
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize("arguments", ["--version", "completion bash", "config path", ""])
def test_output_that_cannot_be_written(arguments: str) -> None:
    """A full disk is one line on stderr and exit code 1; a closed stdout is no error."""
    command = f"{shlex.quote(sys.executable)} -m sockslocal {arguments}"
    full = subprocess.run(["sh", "-c", f"{command} > /dev/full"], capture_output=True, text=True, check=False)
    assert "Traceback" not in full.stderr
    if arguments != "--version":  # argparse writes that one, and keeps silent
        assert full.stderr == "error: the output cannot be written: No space left on device\n"
        assert full.returncode == 1
    closed = subprocess.run(["sh", "-c", f"{command} >&-"], capture_output=True, text=True, check=False)
    assert (closed.returncode, closed.stderr) == (0, "")
