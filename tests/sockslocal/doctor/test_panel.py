import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from jeepney import Message, new_method_return

from fakes.session_bus import SessionBus, StandIn, running, session_bus
from fakes.waiting import wait_until

WATCHER = "org.kde.StatusNotifierWatcher"

needs_bus = pytest.mark.skipif(shutil.which("dbus-daemon") is None, reason="dbus-daemon is not installed")
needs_tray = pytest.mark.skipif(
    not (shutil.which("Xvfb") and shutil.which("trayer")), reason="Xvfb or trayer is not installed"
)


@pytest.fixture(autouse=True)
def desktop(monkeypatch: pytest.MonkeyPatch) -> None:
    """One whose display and bus are not there."""
    monkeypatch.setenv("DISPLAY", ":9999")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nowhere")


@pytest.fixture
def bus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SessionBus]:
    """The desktop's."""
    with session_bus(tmp_path) as made:
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", made.address)
        yield made


def found() -> str:
    """What the child prints."""
    command = [sys.executable, "-m", "sockslocal.doctor.panel"]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=100).stdout


def test_a_desktop_with_nothing() -> None:
    """Whatever its libraries raise."""
    assert found() == "none"


def test_no_desktop(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a server, or in a shell from afar."""
    monkeypatch.delenv("DISPLAY")
    assert found() == "no-desktop"


@needs_bus
@pytest.mark.parametrize(("registered", "word"), [(True, "status-notifier"), (False, "none")])
def test_a_watcher_knows_whether_there_is_a_host(bus: SessionBus, *, registered: bool, word: str) -> None:
    """Without a host nobody would see the item."""

    def answer(message: Message) -> Message:
        return new_method_return(message, "v", (("b", registered),))

    with StandIn(bus, WATCHER, answer):
        assert found() == word


@needs_bus
def test_a_watcher_that_does_not_answer(bus: SessionBus) -> None:
    """It is waited for only a second."""
    with StandIn(bus, WATCHER, lambda _message: None) as watcher:
        assert found() == "none"
        assert watcher.calls


@needs_tray
def test_a_tray_of_the_old_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has the selection of its screen."""
    reading, writing = os.pipe()
    command = ["Xvfb", "-displayfd", str(writing), "-screen", "0", "320x240x24", "-nolisten", "tcp"]
    with (
        (tmp_path / "log").open("wb") as log,
        os.fdopen(reading) as number,
        running(command, stdout=log, stderr=log, pass_fds=[writing]),
    ):
        os.close(writing)
        monkeypatch.setenv("DISPLAY", f":{number.readline().strip()}")
        assert found() == "none"
        with running(["trayer"], stdout=log, stderr=log):
            wait_until(lambda: found() == "xembed", seconds=20, what="a tray")
