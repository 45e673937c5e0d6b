"""The demo's daemon process, played by small scripts and by a fake control server."""

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.control import fake_daemon, short_paths, status
from fakes.waiting import wait_until
from sockslocal.demo import child
from sockslocal.demo.child import DaemonProcess, NotStarted
from sockslocal.demo.setting import Setting
from sockslocal.problems import problem
from sockslocal.status import Dns, Forward

BUSY = problem("listen-failed", kind="forward", name="web", listen="127.0.0.1:1", reason="no", remedy="")
DNS = Dns("127.0.0.1:53", "proxy", "listening")


@pytest.fixture
def setting() -> Iterator[Setting]:
    """A setting in a folder short enough for its control socket."""
    with short_paths() as paths:
        yield Setting.create(paths.runtime.parent)


def play(monkeypatch: pytest.MonkeyPatch, setting: Setting, script: str) -> None:
    """The shell's `script` is what the demo takes for the daemon's program."""
    program = setting.folder / "program"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(sys, "executable", str(program))


def forward(state: str) -> Forward:
    """A forward in `state`."""
    told = {"listening": None, "off": None, "error": BUSY}[state]
    return Forward("tcp", "127.0.0.1:1", "db:1", "proxy", state, told)  # type: ignore[arg-type]


def is_alive(pid: int) -> bool:
    """Whether there is a process `pid`."""
    return Path(f"/proc/{pid}").exists()


def test_a_daemon_that_ends_at_once_is_quoted(monkeypatch: pytest.MonkeyPatch, setting: Setting) -> None:
    """Its exit code and its last lines are told."""
    play(monkeypatch, setting, "echo the reason; echo in two lines >&2; exit 4")
    with DaemonProcess(setting) as daemon, pytest.raises(NotStarted) as caught:
        daemon.wait_until_listening()
    assert str(caught.value) == "it ended with code 4\n  the reason\n  in two lines"


def test_a_daemon_that_never_listens_is_given_up(monkeypatch: pytest.MonkeyPatch, setting: Setting) -> None:
    """The demo waits for a bounded time."""
    monkeypatch.setattr(child, "START_SECONDS", 0.1)
    play(monkeypatch, setting, "exec sleep 60")
    with DaemonProcess(setting) as daemon, pytest.raises(NotStarted, match=r"not ready within 0\.1 s"):
        daemon.wait_until_listening()


def test_it_is_started_with_the_settings_places(monkeypatch: pytest.MonkeyPatch, setting: Setting) -> None:
    """Its arguments and environment name them, and it runs in the demo's folder; no password is in either."""
    play(monkeypatch, setting, 'echo "$@"; pwd; env | grep ^SOCKSLOCAL_ | sort')
    with DaemonProcess(setting) as daemon, pytest.raises(NotStarted) as caught:
        daemon.wait_until_listening()
    told = [line.strip() for line in str(caught.value).splitlines()[1:]]
    environment = sorted(f"{name}={value}" for name, value in setting.environment.items())
    config = f"-m sockslocal run --until-stdin-ends --config {setting.paths.config}"
    assert told == [config, os.path.realpath(setting.folder), *environment]


@pytest.mark.parametrize(("first", "raises"), [("listening", False), ("error", True)])
def test_listeners_decide_whether_it_is_up(
    monkeypatch: pytest.MonkeyPatch, setting: Setting, first: str, *, raises: bool
) -> None:
    """One that cannot listen is told of in its own words."""
    play(monkeypatch, setting, "exec sleep 60")
    state = status(forwards={"web": forward(first)}, dns=DNS)
    with fake_daemon(setting.paths, first=state), DaemonProcess(setting) as daemon:
        if not raises:
            daemon.wait_until_listening()
            return
        with pytest.raises(NotStarted, match=BUSY.text):
            daemon.wait_until_listening()


def test_a_dns_listener_counts_as_well(monkeypatch: pytest.MonkeyPatch, setting: Setting) -> None:
    """Its problem is one of the daemon's."""
    play(monkeypatch, setting, "exec sleep 60")
    dns = Dns("127.0.0.1:53", "proxy", "error", problem=BUSY)
    state = status(forwards={"web": forward("listening")}, dns=dns)
    with (
        fake_daemon(setting.paths, first=state),
        DaemonProcess(setting) as daemon,
        pytest.raises(NotStarted, match=BUSY.text),
    ):
        daemon.wait_until_listening()


def test_what_is_off_is_still_starting(monkeypatch: pytest.MonkeyPatch, setting: Setting) -> None:
    """Nothing is sent before all listeners are up."""
    monkeypatch.setattr(child, "START_SECONDS", 0.2)
    play(monkeypatch, setting, "exec sleep 60")
    state = status(forwards={"web": forward("listening"), "echo": forward("off")}, dns=DNS)
    with (
        fake_daemon(setting.paths, first=state),
        DaemonProcess(setting) as daemon,
        pytest.raises(NotStarted, match="not ready"),
    ):
        daemon.wait_until_listening()


@pytest.mark.parametrize("script", ["exec sleep 60", "trap '' TERM; while :; do sleep 0.05; done"])
def test_it_is_gone_afterwards(monkeypatch: pytest.MonkeyPatch, setting: Setting, script: str) -> None:
    """One that does not hear requests is sent SIGTERM, one that ignores that is killed."""
    monkeypatch.setattr(child, "STOP_SECONDS", 0.2)
    play(monkeypatch, setting, script)
    with DaemonProcess(setting) as daemon:
        pid = daemon.pid
        assert is_alive(pid)
    assert not is_alive(pid)


def test_its_stdin_ends_with_the_demo(monkeypatch: pytest.MonkeyPatch, setting: Setting) -> None:
    """By that it knows, should nobody be left to stop it."""
    ended, python = setting.folder / "ended", sys.executable
    play(monkeypatch, setting, f"trap '' TERM; cat > /dev/null; touch {ended}")
    code = (
        "import os, sys; from pathlib import Path; from sockslocal.demo.child import DaemonProcess\n"
        "from sockslocal.demo.setting import Setting\n"
        "sys.executable = sys.argv[2]\n"
        "DaemonProcess(Setting.create(Path(sys.argv[1]))).__enter__()\n"
        "os.kill(os.getpid(), 9)"
    )
    subprocess.run([python, "-c", code, str(setting.folder), sys.executable], check=False)
    wait_until(ended.exists, seconds=10, what="the end of its stdin")


def test_it_is_asked_to_stop(monkeypatch: pytest.MonkeyPatch, setting: Setting) -> None:
    """The control socket is tried before any signal."""
    stopped = setting.folder / "stopped"

    async def stop(parameters: dict[str, object]) -> bool:
        assert parameters == {"grace": 0.0}
        stopped.touch()
        return True

    play(monkeypatch, setting, f"while [ ! -e {stopped} ]; do sleep 0.01; done; echo in order")
    with fake_daemon(setting.paths, {"stop": stop}):
        with DaemonProcess(setting) as daemon:
            pass
        assert daemon.last_words() == "\n  in order"


def test_waiting_ends_with_the_daemon(monkeypatch: pytest.MonkeyPatch, setting: Setting) -> None:
    """Whoever stops the daemon ends the demo."""
    play(monkeypatch, setting, "exit 0")
    with DaemonProcess(setting) as daemon:
        daemon.wait()
        wait_until(lambda: not is_alive(daemon.pid), seconds=5, what="the daemon's end")
