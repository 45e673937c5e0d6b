"""The whole demo, as a user runs it."""

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fakes.waiting import wait_until
from sockslocal.demo import run, traffic
from sockslocal.demo.child import DaemonProcess, NotStarted

COMMAND = [sys.executable, "-m", "sockslocal", "demo"]
PATHS = ["login", "TCP", "HTTP", "UDP", "DNS/UDP", "DNS/TCP"]


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the demo makes its own in."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    return tmp_path


def daemons(folder: Path) -> list[int]:
    """The processes that have `folder` in their command line."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and os.fsencode(folder) in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
    return found


def assert_nothing_is_left(temporary: Path) -> None:
    """Neither a file nor a process."""
    assert list(temporary.iterdir()) == []
    assert daemons(temporary) == []


@contextlib.contextmanager
def staying(folder: Path) -> Iterator["subprocess.Popen[str]"]:
    """A demo that has shown everything and stays, its output in `folder`."""
    output = folder / "output"
    with output.open("w") as out, subprocess.Popen(COMMAND, stdout=out, stderr=out, text=True) as process:
        try:
            wait_until(
                lambda: "--watch" in output.read_text() or process.poll() is not None,
                seconds=30,
                what="the commands to try",
            )
            yield process
        finally:
            process.terminate()
            process.wait(30)


def test_once_shows_every_path_and_ends(temporary: Path) -> None:
    """Each path is a line that begins with a tick, and the exit code is 0."""
    done = subprocess.run([*COMMAND, "--once"], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    walked = [line.split() for line in done.stdout.splitlines() if line.startswith(("✓", "✗"))]
    assert [(line[0], line[1]) for line in walked] == [("✓", kind) for kind in PATHS]
    assert max(len(line) for line in done.stdout.splitlines()) <= 80
    assert "pid" in done.stdout
    assert_nothing_is_left(temporary)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_it_stays_until_it_is_ended(
    temporary: Path, tmp_path_factory: pytest.TempPathFactory, number: signal.Signals
) -> None:
    """Ctrl-C, SIGTERM and a closed terminal end it in order, even twice in a row."""
    with staying(tmp_path_factory.mktemp("out")) as process:
        assert len(daemons(temporary)) == 1
        process.send_signal(number)
        process.send_signal(number)
        assert process.wait(30) == 128 + number
        assert_nothing_is_left(temporary)


def test_ctrl_c_ends_it_at_any_time(temporary: Path) -> None:
    """Whatever it is about: the code is what shells expect, there is no traceback, and nothing is left."""
    waits = [0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9]
    with ThreadPoolExecutor(4) as pool:
        outcomes = [*pool.map(interrupted_after, waits)]
    assert [code for code, _ in outcomes] == [130] * len(waits)
    assert not any("Traceback" in said for _, said in outcomes)
    assert_nothing_is_left(temporary)


DEMO = """
import sys
from sockslocal.__main__ import main

def note(event, arguments):
    if event == "import" and arguments[0] == "sockslocal.cli.main":
        print("begun", file=sys.stderr, flush=True)

sys.argv = ["sockslocal", "demo"]
sys.addaudithook(note)
sys.exit(main())
"""


def interrupted_after(seconds: float) -> tuple[int, str]:
    """The code of a demo that is interrupted so long after its first import, and what it said."""
    with subprocess.Popen(
        [sys.executable, "-c", DEMO], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "begun\n"
        time.sleep(seconds)
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
    return process.returncode, said


def test_ctrl_c_while_things_are_made(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was begun is made, and then taken down: neither folder nor daemon is forgotten."""
    enter = DaemonProcess.__enter__

    def interrupted(daemon: DaemonProcess) -> DaemonProcess:
        signal.raise_signal(signal.SIGINT)
        return enter(daemon)

    monkeypatch.setattr(DaemonProcess, "__enter__", interrupted)
    assert run.main(once=True) == 130
    assert_nothing_is_left(temporary)


def test_ctrl_c_that_python_passes_over(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It counts all the same, if a little later."""

    def passed_over(_setting: object) -> tuple[()]:
        with contextlib.suppress(KeyboardInterrupt):  # as around a `__del__`
            signal.raise_signal(signal.SIGINT)
        return ()

    monkeypatch.setattr(traffic, "steps", passed_over)
    assert run.main(once=False) == 130
    assert_nothing_is_left(temporary)


def test_a_demo_that_is_killed_leaves_no_daemon(
    temporary: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """It ends by itself; the folder goes with the next demo."""
    with staying(tmp_path_factory.mktemp("out")) as process:
        assert len(daemons(temporary)) == 1
        process.kill()
        process.wait(30)
    wait_until(lambda: not daemons(temporary), seconds=15, what="the daemon's end")
    assert len([*temporary.iterdir()]) == 1
    done = subprocess.run([*COMMAND, "--once"], capture_output=True, check=False, timeout=60)
    assert done.returncode == 0
    assert_nothing_is_left(temporary)


def test_the_commands_that_it_prints_work(temporary: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Each can be copied into a shell, in the order in which they are shown."""
    folder = tmp_path_factory.mktemp("out")
    with staying(folder):
        shown = (folder / "output").read_text().splitlines()
        commands = [line.split("  ")[1].strip() for line in shown[shown.index("") :] if line.startswith("  ")]
        environment, *rest = [
            line for line in commands if line.split(" ")[0] in (".", "curl", "dig", "sockslocal")
        ]
        asked = [command for command in rest if not command.endswith("--watch")]
        assert len(asked) >= 3
        for command in asked:
            script = f"{environment} && {command}"
            done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"{shlex.quote(command)}: {done.stdout}{done.stderr}"


def test_it_ends_with_its_daemon(temporary: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Somebody stops the daemon: the demo says so and cleans up."""
    folder = tmp_path_factory.mktemp("out")
    with staying(folder) as process:
        (daemon,) = daemons(temporary)
        os.kill(daemon, signal.SIGTERM)
        assert process.wait(30) == 0
    assert (folder / "output").read_text().endswith("The daemon has been stopped, so this ends too.\n")
    assert_nothing_is_left(temporary)


def test_a_path_that_fails_is_shown_and_counted(
    temporary: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The other paths are walked all the same, and the exit code is 1."""

    def no_page(_at: object) -> str:
        raise traffic.StepFailed("the page is blank")

    monkeypatch.setattr(traffic, "fetch_page", no_page)
    assert run.main(once=True) == 1
    shown = capsys.readouterr()
    walked = [line.split()[:2] for line in shown.out.splitlines() if line.startswith(("✓", "✗"))]
    assert walked == [["✗" if kind == "HTTP" else "✓", kind] for kind in PATHS]
    assert "the page is blank" in shown.out
    assert shown.err.startswith("error: 1 of them failed; the daemon says:\n")
    assert_nothing_is_left(temporary)


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (NotStarted("it ended"), "error: the daemon did not start: it ended\n"),
        (OSError(28, "No space left on device"), "error: [Errno 28] No space left on device\n"),
    ],
)
def test_what_keeps_it_from_starting_is_told_in_a_line(
    temporary: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    raised: Exception,
    said: str,
) -> None:
    """No traceback, exit code 1, nothing left behind, and the signals are as before."""

    def fail(_daemon: object) -> None:
        raise raised

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr("sockslocal.demo.child.DaemonProcess.wait_until_listening", fail)
    assert run.main(once=True) == 1
    assert capsys.readouterr().err == said
    assert signal.getsignal(signal.SIGTERM) == before
    assert_nothing_is_left(temporary)


def test_answers_that_did_not_pass_the_server_are_no_success(
    temporary: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The server's own count has to agree with what was shown."""
    monkeypatch.setattr(traffic, "steps", lambda _setting: ())
    assert run.main(once=True) == 1
    assert "all answers came, but not through the server" in capsys.readouterr().out
    assert_nothing_is_left(temporary)
