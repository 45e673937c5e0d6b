import shlex
import sys

import pytest

from sockslocal.credentials.commands import read_command
from sockslocal.credentials.messages import Request
from sockslocal.errors import CredentialsError
from sockslocal.problems import Problem

CANARY = "k@n:a/r%ie vögel"


def request(command: str) -> Request:
    """A request for what `command` prints."""
    return Request(
        action="read", server="office", username="ana", source="command", argument=command, deadline=20
    )


def python(code: str) -> str:
    """The command line that runs `code`."""
    return shlex.join([sys.executable, "-c", code])


def refusal(command: str) -> Problem:
    """Why what `command` printed is not the password."""
    with pytest.raises(CredentialsError) as caught:
        read_command(request(command))
    assert caught.value.problem.code == "password-source-failed"
    assert CANARY not in str(caught.value.problem)
    return caught.value.problem


def test_what_it_prints_is_what_is_read() -> None:
    """All of it, as bytes."""
    assert read_command(request(f"printf '%s\\n' {shlex.quote(CANARY)}")) == f"{CANARY}\n".encode()


def test_no_shell_looks_at_it() -> None:
    """Quotation marks are a shell's, the rest is not: nothing is expanded, redirected or run besides."""
    assert read_command(request("echo $HOME '$(id)' > x; id")) == b"$HOME $(id) > x; id\n"


def test_it_has_no_stdin() -> None:
    """The request, which has the account in it, is not there to be read; nor does it wait for anybody."""
    assert read_command(request("cat")) == b""


def test_what_it_says_on_stderr_is_dropped(capfd: pytest.CaptureFixture[str]) -> None:
    """It may hold the secret."""
    assert read_command(request(f"sh -c 'echo {CANARY} >&2; echo pw'")) == b"pw\n"
    assert CANARY not in capfd.readouterr().err


def test_an_exit_status_is_a_failure() -> None:
    """What it printed before is not told: it may hold half a secret."""
    assert "it ended with exit status 3" in refusal(f"sh -c 'echo {CANARY}; exit 3'").text


@pytest.mark.parametrize(("number", "name"), [("9", "SIGKILL"), ("15", "SIGTERM"), ("40", "signal 40")])
def test_a_signal_is_a_failure(number: str, name: str) -> None:
    """A command that was killed has not finished."""
    assert f"it was ended by {name}" in refusal(f"sh -c 'echo {CANARY}; kill -{number} $$'").text


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("/nonexistent/pass show proxy", "it cannot be run: No such file or directory"),
        ("/ show", "it cannot be run: Permission denied"),
        ("echo 'x", "its quotation marks do not match"),
        ("", "none is named"),
        ("  ", "none is named"),
        ("echo \0", "it has a NUL character"),
    ],
)
def test_what_cannot_be_run_is_told(command: str, reason: str) -> None:
    """Every way to name the wrong thing has its reason."""
    assert reason in refusal(command).text


def test_64_kib_is_the_most() -> None:
    """A command that never stops printing is ended, and its output does not fill the memory."""
    assert len(read_command(request(python("print('x' * 65535)")))) == 65536
    assert "it printed more than 65536 bytes" in refusal("yes").text
