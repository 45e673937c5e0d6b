import functools
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fakes.waiting import wait_until
from sockslocal.cli import background, prompts
from sockslocal.cli.background import StartFailedError, launch, leashed, stop, wait_until_gone
from sockslocal.control.client import Client
from sockslocal.errors import ControlError, SockslocalError
from sockslocal.paths import Paths
from sockslocal.problems import ExitCode
from sockslocal.secret import Secret

DEAF = """
import signal, sys, time
from pathlib import Path
from sockslocal.control.endpoint import claim
from sockslocal.paths import Paths
if sys.argv[2] == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
root = Path(sys.argv[1])
claimed = claim(Paths(root / "config.toml", root / "run", root / "state"))
listener = claimed.listen()
print("deaf", flush=True)
time.sleep(60)
"""


@contextmanager
def deaf_daemon(paths: Paths, manner: str) -> Iterator[int]:
    """A process that has the lock and accepts nobody; `stubborn` ones ignore SIGTERM."""
    command = [sys.executable, "-c", DEAF, str(paths.runtime.parent), manner]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"deaf\n"
        try:
            yield process.pid
        finally:
            process.kill()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short deadlines, for what does not answer."""
    monkeypatch.setattr(background, "Client", functools.partial(Client, deadline=0.2))
    monkeypatch.setattr(background, "_MARGIN_SECONDS", 0.3)


def test_a_daemon_is_started_detached_and_stopped(paths: Paths) -> None:
    """It answers when `launch` returns, leads a session of its own, and is gone when `stop` returns."""
    paths.config.write_text("")
    status = launch(paths, "info", {})
    pid = status.daemon.pid
    assert Client(paths).pid() == pid
    assert os.getsid(pid) == pid
    assert stop(paths, 1.0) == pid
    assert Client(paths).pid() is None
    wait_until(lambda: has_ended(pid), seconds=5, what="the process has ended")
    assert "is down" in paths.log.read_text()


def test_a_leashed_daemon_ends_with_the_block(paths: Paths) -> None:
    """One that does not start is told as always."""
    paths.config.write_text("")
    with leashed(paths, {"office": Secret("hunter2")}) as status:
        assert Client(paths).pid() == status.daemon.pid
    assert Client(paths).pid() is None
    paths.config.unlink()
    with pytest.raises(StartFailedError), leashed(paths, {}):
        pass


def has_ended(pid: int) -> bool:
    """Whether it is a zombie of ours, or gone."""
    return os.waitpid(pid, os.WNOHANG)[0] == pid


def test_stopping_nothing_is_nothing(paths: Paths) -> None:
    """Nobody is signalled."""
    assert stop(paths, 1.0) is None


def test_the_daemons_own_words_are_kept(paths: Paths) -> None:
    """With its exit code; here it finds no configuration."""
    with pytest.raises(StartFailedError) as caught:
        launch(paths, "info", {})
    assert caught.value.words[0] == f"error: there is no {paths.config}"
    assert caught.value.exit_code == ExitCode.CONFIG


@pytest.mark.parametrize(
    ("words", "code", "text", "exit_code"),
    [
        ("", -9, "its exit status was -9 and it said nothing", ExitCode.FAILED),
        (
            "Traceback …\n  File …\nImportError: no such thing\n",
            1,
            "ImportError: no such thing",
            ExitCode.FAILED,
        ),
        ("error: taken", 7, "error: taken", ExitCode.PERMISSION),
        ("all is well", 0, "all is well", ExitCode.FAILED),
    ],
)
def test_a_daemon_that_ended_is_an_error(words: str, code: int, text: str, exit_code: ExitCode) -> None:
    """Never exit code 0, and the last thing that it said."""
    error = StartFailedError(words, code)
    assert error.problem.text == f"the daemon ended while starting: {text}"
    assert error.exit_code == exit_code


def test_a_daemon_that_does_not_come_up_is_ended(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing half-started is left behind."""
    monkeypatch.setattr(background, "START_SECONDS", 0.2)
    monkeypatch.setattr(sys, "executable", shutil_sleep(paths))
    with pytest.raises(ControlError) as caught:
        launch(paths, "info", {})
    assert caught.value.problem.code == "not-answering"


def shutil_sleep(paths: Paths) -> str:
    """A program that only sleeps, whatever its arguments."""
    program = paths.runtime.parent / "sleeper"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o755)
    return str(program)


def test_secrets_reach_the_daemon_by_its_stdin_alone(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not in its arguments, nor in its environment, nor in a file."""
    program = paths.runtime.parent / "witness"
    program.write_text('#!/bin/sh\n{ echo "$@"; env; } > "$0.seen"; cat > "$0.stdin"\n')
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    with pytest.raises(StartFailedError):
        launch(paths, "debug", {"office": Secret("hunter2")})
    seen = Path(f"{program}.seen").read_text()
    assert "hunter2" not in seen
    assert "--secrets-from-stdin" in seen
    assert f"--config {paths.config} --level debug" in seen
    assert Path(f"{program}.stdin").read_text() == '{"office":"hunter2"}\n'
    assert all(b"hunter2" not in file.read_bytes() for file in paths.state.iterdir())


def test_a_daemon_that_reads_nothing_is_no_broken_pipe(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it said instead is told."""
    program = paths.runtime.parent / "short"
    program.write_text("#!/bin/sh\nexec <&-\necho error: gone\nexit 7\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    monkeypatch.setattr(prompts, "dump", lambda _secrets: b"x" * 1_000_000)  # more than a pipe holds
    with pytest.raises(StartFailedError) as caught:
        launch(paths, "info", {})
    assert caught.value.words == ["error: gone"]
    assert caught.value.exit_code == ExitCode.PERMISSION


def test_modules_of_the_current_folder_are_not_imported(
    paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever can write there could else run what they like."""
    (tmp_path / "msgspec.py").write_text("raise SystemExit('hijacked')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    paths.config.write_text("")
    launch(paths, "info", {})
    stop(paths, 0.0)


def test_a_state_folder_that_cannot_be_written_is_an_error(paths: Paths) -> None:
    """With what would help."""
    paths.state.write_text("a file in its place")
    with pytest.raises(SockslocalError) as caught:
        launch(paths, "info", {})
    assert caught.value.problem.code == "folder-unsafe"
    assert "SOCKSLOCAL_STATE_DIR" in caught.value.problem.remedy


@pytest.mark.usefixtures("impatient")
def test_the_end_of_one_that_stops_is_waited_for(paths: Paths) -> None:
    """It may let go of everything at any time; one that does not is an error in the end."""
    with deaf_daemon(paths, "polite") as pid:
        with pytest.raises(ControlError) as caught:
            wait_until_gone(paths, pid, 0.1)
        assert caught.value.problem.code == "still-stopping"
        ending = threading.Timer(0.2, os.kill, (pid, signal.SIGTERM))
        ending.start()
        wait_until_gone(paths, pid, 30.0)
        assert Client(paths).pid() is None
        ending.join()


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("manner", ["polite", "stubborn"])
def test_a_daemon_that_does_not_answer_is_ended(paths: Paths, manner: str) -> None:
    """By SIGTERM, and where that is ignored by SIGKILL."""
    with deaf_daemon(paths, manner) as pid:
        assert stop(paths, 0.0) == pid
        assert Client(paths).pid() is None


@pytest.mark.usefixtures("impatient")
def test_a_process_that_cannot_be_named_is_not_signalled(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Process 0 would be all of our own."""

    def kill(_pid: int, _signal: int) -> None:
        raise AssertionError("somebody was signalled")

    with deaf_daemon(paths, "polite"), monkeypatch.context() as patched:
        (paths.runtime / "lock").write_text("")
        patched.setattr(os, "kill", kill)
        with pytest.raises(ControlError, match="process unknown"):
            stop(paths, 0.0)


@pytest.mark.usefixtures("impatient")
def test_one_that_goes_by_itself_is_gone(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between being found and being asked."""

    def gone(_client: Client, _do: str, **_parameters: object) -> None:
        os.kill(pid, signal.SIGKILL)
        raise ControlError.of("not-running")

    with deaf_daemon(paths, "polite") as pid:
        monkeypatch.setattr(Client, "call", gone)
        assert stop(paths, 0.0) == pid


@pytest.mark.usefixtures("impatient")
def test_a_refusal_is_told(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that answers, but does not want to, is not ended by force."""

    def refuse(_client: Client, _do: str, **_parameters: object) -> None:
        raise ControlError.of("internal", reason="no")

    with deaf_daemon(paths, "polite"), monkeypatch.context() as patched:
        patched.setattr(Client, "call", refuse)
        with pytest.raises(ControlError, match="no"):
            stop(paths, 0.0)
        assert Client(paths).pid() is not None


@pytest.mark.usefixtures("impatient")
def test_one_that_survives_everything_is_an_error(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not said to have stopped."""
    with deaf_daemon(paths, "stubborn") as pid, monkeypatch.context() as patched:
        patched.setattr(background, "_kill", lambda _pid: None)
        with pytest.raises(ControlError) as caught:
            stop(paths, 0.0)
        assert caught.value.problem.code == "not-answering"
        os.kill(pid, signal.SIGKILL)
