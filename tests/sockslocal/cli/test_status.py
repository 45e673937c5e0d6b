import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fakes.cli import CommandLine, next_line, started
from fakes.control import fake_daemon, status, using
from sockslocal.control.server import Limits
from sockslocal.paths import Paths
from sockslocal.problems import problem
from sockslocal.status import Server, Tunnel

WATCH = [sys.executable, "-m", "sockslocal", "status", "--watch"]
QUICK = Limits(event_interval=0.0)


def test_a_person_gets_the_screen(cli: CommandLine, paths: Paths) -> None:
    """On stdout, with exit code 0, also where something is wrong."""
    with fake_daemon(paths, first=status(servers={"office": Server("proxy:1080", "down")})):
        done = cli("status")
    assert done.code == 0
    assert "✗  office  proxy:1080  down" in done.out
    assert done.err == ""


def test_remedies_are_for_the_file_that_the_daemon_uses(
    cli: CommandLine, paths: Paths, tmp_path: Path
) -> None:
    """Which may be another than that of the command."""
    other = tmp_path / "other.toml"
    rejected = problem("auth-failed", address="a:1", username="ana", remedy="sockslocal login office")
    servers = {"office": Server("proxy:1080", "auth-failed", problem=rejected)}
    with fake_daemon(paths, first=status(daemon=using(other), servers=servers)):
        lines = cli("status").out.splitlines()
        assert lines[1] == f"It uses another configuration: {other}"
        assert f"      → sockslocal --config {other} login office" in lines
        assert "uses another file" not in cli("--config", str(other), "status").out
    with fake_daemon(paths, first=status(daemon=using(paths.config), servers=servers)):
        shown = cli("status").out
        assert "uses another file" not in shown
        assert "      → sockslocal login office\n" in shown


def test_a_program_gets_the_answer_as_it_came(cli: CommandLine, paths: Paths) -> None:
    """Keys that this version does not know stay, for a newer daemon may say more."""

    async def newer(_parameters: dict[str, Any]) -> object:
        return {"version": 1, "news": True}

    with fake_daemon(paths, {"status": newer}):
        done = cli("status", "--json")
    assert (done.code, json.loads(done.out), done.err) == (0, {"version": 1, "news": True}, "")


def test_without_a_daemon_it_is_not_running(cli: CommandLine) -> None:
    """Exit code 3, nothing on stdout, and the command that mends it."""
    for arguments in (("status",), ("status", "--json"), ("status", "--watch")):
        done = cli(*arguments)
        assert (done.code, done.out) == (3, "")
        assert done.err.endswith("  help: sockslocal start\n")


def test_watch_gives_programs_an_object_a_line(paths: Paths) -> None:
    """Each as soon as it is there; the end of the daemon is exit code 3."""
    with fake_daemon(paths, limits=QUICK) as daemon, started("status", "--watch", "--json") as process:
        assert json.loads(next_line(process))["tunnel"] == {"on": True}
        daemon.set(status(tunnel=Tunnel(on=False)))
        assert json.loads(next_line(process))["tunnel"] == {"on": False}


def test_watch_into_a_pipe_gives_one_screen_after_another(paths: Paths) -> None:
    """Without any codes for a cursor."""
    with fake_daemon(paths, limits=QUICK) as daemon, started("status", "--watch") as process:
        seen = [next_line(process)]
        daemon.set(status(tunnel=Tunnel(on=False)))
        while not seen[-1].startswith("The tunnel is off"):
            seen.append(next_line(process))
        daemon.close()
        assert process.wait(30) == 1  # the connection was lost, and the fake still has the lock
    assert seen[0].startswith("sockslocal 0.1.0")
    assert "\x1b" not in "".join(seen)


@contextlib.contextmanager
def on_a_terminal(command: list[str], **environment: str) -> Iterator[tuple["subprocess.Popen[bytes]", int]]:
    """A process whose terminal is the descriptor given."""
    ours, theirs = pty.openpty()
    try:
        with subprocess.Popen(
            command,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "80", "LINES": "24", **environment},
        ) as process:
            os.close(theirs)
            try:
                yield process, ours
            finally:
                process.kill()
    finally:
        os.close(ours)


def read_until(terminal: int, text: bytes, seconds: float = 30) -> bytes:
    """What came, up to and with `text`."""
    came = b""
    deadline = time.monotonic() + seconds
    while text not in came:
        assert time.monotonic() < deadline, came
        came += os.read(terminal, 65536)
    return came


def test_watch_redraws_a_terminal_in_place(paths: Paths) -> None:
    """From the top left each time, in colour; the cursor is hidden, and is back after Ctrl-C."""
    with fake_daemon(paths, limits=QUICK) as daemon, on_a_terminal(WATCH) as (process, terminal):
        first = read_until(terminal, b"\x1b[J")
        assert first.startswith(b"\x1b[?25l\x1b[2J\x1b[H")
        assert b"\x1b[1msockslocal" in first
        daemon.set(status(tunnel=Tunnel(on=False)))
        second = read_until(terminal, b"\x1b[J")
        assert second.startswith(b"\x1b[H")
        assert b"The tunnel is off" in second
        process.send_signal(signal.SIGINT)
        read_until(terminal, b"\x1b[?25h")
        assert process.wait(30) == 0


def test_a_small_terminal_shows_the_beginning(paths: Paths) -> None:
    """A picture that is too high would scroll; its end is told of instead."""
    many = status(servers={f"server-{number}": Server("a:1", "up") for number in range(50)})
    with (
        fake_daemon(paths, first=many),
        on_a_terminal(WATCH, LINES="10", NO_COLOR="1") as (_, terminal),
    ):
        picture = read_until(terminal, b"\x1b[J")
    assert picture.count(b"\n") == 9
    assert "… more than fits: sockslocal status".encode() in picture
    assert b"\x1b[1m" not in picture
