import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from fakes.control import fake_daemon, status
from fakes.pystray_icon import FakeIcon, backend
from fakes.waiting import wait_until
from sockslocal.paths import Paths
from sockslocal.status import Forward, Server, Tunnel
from sockslocal_tray import commands
from sockslocal_tray.app import App, only_one
from sockslocal_tray.commands import Outcome
from sockslocal_tray.painter import Painter

UP = status(servers={"office": Server("proxy:1080", "up", 42.0)})
OFF = status(servers=UP.servers, tunnel=Tunnel(on=False))
DB = Forward("tcp", "127.0.0.1:5432", "db:5432", "office", "listening")
WITH_FORWARD = status(servers=UP.servers, forwards={"db": DB})


@contextmanager
def app(paths: Paths) -> Iterator[FakeIcon]:
    """A tray, with an icon that nobody sees, until the end of the block."""
    made: list[FakeIcon] = []
    tray = App(paths, backend(made), dark=True)
    thread = threading.Thread(target=tray.run)
    thread.start()
    try:
        yield made[0]
    finally:
        made[0].stop()
        thread.join(10)
        assert not thread.is_alive()


class Started:
    """The commands that were run."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.words: list[str] = []
        monkeypatch.setattr(commands, "run", self._run)

    def _run(self, command: list[str], *_more: Any, **_options: Any) -> Outcome:
        self.words.append(" ".join(command[6:]))
        return Outcome(0, "")

    def wait_for(self, words: str) -> None:
        """Return as soon as that was run."""
        wait_until(lambda: words in self.words, seconds=10, what=f"sockslocal {words}")


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Started:
    """No command is really run."""
    return Started(monkeypatch)


async def done(_parameters: dict[str, Any]) -> None:
    """A request that is granted."""


def test_the_icon_follows_the_daemon_within_a_second(paths: Paths) -> None:
    """From its state to the icon's, each time; and it outlives the daemon."""
    with app(paths) as icon:
        icon.wait_for("off")
        with fake_daemon(paths, first=UP) as daemon:
            icon.wait_for("up")
            for state, shown in ((OFF, "off"), (UP, "up")):
                daemon.set(state)
                icon.wait_for(shown)
        icon.wait_for("off")
        with fake_daemon(paths, first=UP):
            icon.wait_for("up")


def test_a_thousand_changes_a_minute_do_not_flicker(paths: Paths) -> None:
    """Two seconds of them: a few changes of the icon, and of the menu, and the last state is shown."""
    with fake_daemon(paths, first=UP) as daemon, app(paths) as icon:
        icon.wait_for("up")
        before, layouts, began = len(icon.changes), icon.layouts, time.monotonic()
        for number in range(33):
            daemon.set(OFF if number % 2 else UP)
            time.sleep(0.06)  # the pace that is tested
        daemon.set(OFF)
        icon.wait_for("off")
        seconds = time.monotonic() - began
        assert len(icon.changes) - before <= 2 * seconds + 2
        assert icon.layouts - layouts <= seconds + 2


def test_choosing_asks_the_daemon(paths: Paths) -> None:
    """The tunnel, a forward; and by a middle click the tunnel again."""
    handlers = dict.fromkeys(("on", "off", "forward.off"), done)
    with fake_daemon(paths, handlers, first=WITH_FORWARD) as daemon, app(paths) as icon:
        icon.click("Turn off")
        wait_until(lambda: len(daemon.calls) == 1, seconds=10, what="a call")
        icon.click("db")
        wait_until(lambda: len(daemon.calls) == 2, seconds=10, what="a call")
        icon.middle_click()
        wait_until(lambda: len(daemon.calls) == 3, seconds=10, what="a call")
        daemon.set(OFF)
        icon.wait_for("off")
        icon.middle_click()
        wait_until(lambda: len(daemon.calls) == 4, seconds=10, what="a call")
    assert [verb for verb, _ in daemon.calls] == ["off", "forward.off", "off", "on"]


def test_a_slow_deed_freezes_nothing(paths: Paths) -> None:
    """The icon follows while the daemon takes its time."""
    go_on = threading.Event()

    async def slow(_parameters: dict[str, Any]) -> None:
        import asyncio

        await asyncio.to_thread(go_on.wait, 10)

    with fake_daemon(paths, {"off": slow}, first=UP) as daemon, app(paths) as icon:
        icon.click("Turn off")
        wait_until(lambda: len(daemon.calls) == 1, seconds=10, what="a call")
        daemon.set(OFF)
        icon.wait_for("off")
        go_on.set()


def test_a_daemon_that_does_not_run_is_started(paths: Paths, started: Started) -> None:
    """Where there is a configuration; a middle click starts it, too."""
    paths.config.write_text("")
    with app(paths) as icon:
        started.wait_for("start")
        started.words.clear()
        icon.middle_click()
        started.wait_for("start")


def test_without_a_configuration_nothing_is_started(paths: Paths, started: Started) -> None:
    """The first step is offered instead; and once it is taken, the menu is another."""
    with app(paths) as icon:
        icon.wait_for("off")
        wait_until(lambda: icon.title == "○ Not set up yet", seconds=10, what="the title")
        paths.config.write_text("")
        icon.click("Show logs")  # whatever is done, it is looked anew
        wait_until(lambda: icon.title == "○ Not running", seconds=10, what="the title")
    assert started.words == []


def test_quitting_ends_the_tray(paths: Paths) -> None:
    """And nothing else."""
    made: list[FakeIcon] = []
    with fake_daemon(paths, first=UP) as daemon:
        tray = App(paths, backend(made), dark=True)
        thread = threading.Thread(target=tray.run)
        thread.start()
        made[0].click("Quit")
        thread.join(10)
        assert not thread.is_alive()
        assert daemon.calls == []


def test_the_end_of_the_desktop_is_told(paths: Paths) -> None:
    """The tray ends with it."""
    made: list[FakeIcon] = []
    tray = App(paths, backend(made), dark=True)
    made[0].lose()
    with pytest.raises(ConnectionError, match="the session has ended"):
        tray.run()


def test_a_bug_in_painting_is_not_the_end(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next state is painted."""
    look = Painter.look
    failed = threading.Event()

    def fail_once(painter: Painter, *arguments: Any) -> float | None:
        if not failed.is_set():
            failed.set()
            raise ValueError("a bug")
        return look(painter, *arguments)

    monkeypatch.setattr(Painter, "look", fail_once)
    with app(paths) as icon:
        assert failed.wait(10)
        with fake_daemon(paths, first=UP):
            icon.wait_for("up")


def test_one_tray_runs_for_a_user(paths: Paths) -> None:
    """The next one sees it, and may run when it has ended."""
    with only_one(paths) as first, only_one(paths) as second:
        assert (first, second) == (True, False)
    with only_one(paths) as third:
        assert third
