"""The whole of it: the real tray in a real panel, the real daemon, and a pointer that clicks."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from jeepney import DBusAddress, Properties
from PIL import Image

from fakes.panel import MISSING, Screen, panel, screen
from fakes.session_bus import SessionBus, running, users_session_bus
from fakes.socks5_server import FakeServer
from fakes.tray import Tray, tray
from fakes.waiting import wait_until
from integration.daemon import Daemon, tcp
from integration.local import echoes
from integration.servers.process import LOOPBACK, free_port
from integration.servers.targets import Targets
from sockslocal.control.client import Client
from sockslocal.errors import ControlError
from sockslocal_tray.shapes import INKS, Ink
from sockslocal_tray.sni import host

pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")

MOST_RSS = 45_000_000
PATIENCE = 40.0


class Scene:
    """A screen with a panel, the tray in it, and a daemon with one forward."""

    def __init__(self, shown: Screen, bus: SessionBus, icon: Tray, daemon: Daemon, port: int) -> None:
        self.screen = shown
        self.bus = bus
        self.icon = icon
        self.daemon = daemon
        self.port = port

    def wait_for(self, ink: Ink) -> tuple[int, int]:
        """Where the icon is, once something in it has this colour."""
        red, green, blue = bytes.fromhex(INKS[True][ink].removeprefix("#"))
        found: list[tuple[int, int]] = []

        def is_seen() -> bool:
            place = self.screen.where((red, green, blue))
            found.extend([place] if place else [])
            return bool(found)

        try:
            wait_until(is_seen, seconds=PATIENCE, what=f"{ink} on the screen")
        except AssertionError as error:
            raise AssertionError(f"{error}; the tray says: {self.icon.log}") from None
        return found[0]

    def wait_for_title(self, end: str) -> None:
        """Return once the title ends so; the menu is of the same moment, and may come later than the icon."""
        name = f"org.kde.StatusNotifierItem-{self.icon.process.pid}-1"
        item = DBusAddress("/StatusNotifierItem", bus_name=name, interface="org.kde.StatusNotifierItem")

        def is_there() -> bool:
            with self.bus.connect() as connection:
                ((_, title),) = connection.send_and_get_reply(Properties(item).get("Title")).body
            return bool(title.endswith(end))

        wait_until(is_there, seconds=PATIENCE, what=f"the title {end!r}")

    def choose(self, *keys: str) -> None:
        """Open the menu, and press these keys in it."""
        self.screen.wait_for(lambda now: not _is_menu(now), "no menu of before")
        self.screen.click(self.wait_for("line"), "right")
        self.screen.wait_for(_is_menu, "a menu")
        self.screen.press(*keys)


def _is_menu(picture: Image.Image) -> bool:
    """Whether there is something below the panel."""
    return picture.crop((0, 80, *picture.size)).getbbox() is not None


@pytest.fixture
def scene(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, daemon: Daemon, targets: Targets
) -> Iterator[Scene]:
    """All of them, the tunnel being up; the daemon is the one that the tray has started."""
    port = free_port()
    with (
        FakeServer() as server,
        users_session_bus(tmp_path, monkeypatch) as bus,
        screen(tmp_path) as shown,
        panel(bus, shown, tmp_path),
    ):
        assert host.appears(within=PATIENCE)
        daemon.configure(daemon.server(f"{LOOPBACK}:{server.port}"), tcp("echo", port, targets.echo_port))
        desktop = {**bus.environment, "DISPLAY": shown.name}
        with tray(daemon.paths, desktop, "--panel", "dark") as icon:
            made = Scene(shown, bus, icon, daemon, port)
            made.wait_for("green")
            made.wait_for_title("1/1 up")
            yield made
        daemon.cli("stop", "--grace", "0s")


def test_the_tray_starts_the_daemon_and_switches_it(scene: Scene) -> None:
    """By the middle button, and by the menu; what it carries follows, and so does the icon."""
    assert echoes(scene.port)
    scene.screen.click(scene.wait_for("green"), "middle")
    scene.wait_for("faint")
    assert not scene.daemon.status().tunnel.on
    scene.screen.click(scene.wait_for("faint"), "middle")
    scene.wait_for_title("1/1 up")
    scene.choose("Down", "Down", "Return")
    scene.wait_for("faint")
    assert not scene.daemon.status().tunnel.on


def test_a_forward_is_switched_from_the_menu(scene: Scene) -> None:
    """It is the first of its submenu."""
    scene.choose("Down", "Down", "Down", "Right", "Return")
    scene.daemon.wait_for(lambda status: status.forwards["echo"].state == "off")
    scene.wait_for_title("0/1 up")
    scene.choose("Down", "Down", "Down", "Right", "Return")
    scene.daemon.wait_for(lambda status: status.forwards["echo"].state == "listening")
    assert echoes(scene.port)


def test_the_icon_follows_the_command_line(scene: Scene) -> None:
    """Whoever switches, it shows what is."""
    for command, ink in (("off", "faint"), ("on", "green")):
        assert scene.daemon.cli(command).returncode == 0
        scene.wait_for(ink)  # type: ignore[arg-type]


def test_each_outlives_the_other(scene: Scene) -> None:
    """The daemon ends, and comes again; the tray is killed, and what it showed goes on."""
    scene.daemon.cli("stop", "--grace", "0s")
    scene.wait_for("faint")
    assert scene.daemon.cli("start").returncode == 0
    scene.wait_for("green")
    scene.icon.process.send_signal(signal.SIGKILL)
    scene.icon.process.wait()
    assert echoes(scene.port)


def test_stopping_all_from_the_menu(scene: Scene) -> None:
    """It is the last row: the daemon ends, and then the tray."""
    scene.choose("Up", "Return")
    assert scene.icon.process.wait(PATIENCE) == 0
    with pytest.raises(ControlError):
        Client(scene.daemon.paths).status()


def test_the_tray_is_small(scene: Scene) -> None:
    """As long as it only shows."""
    scene.choose("Escape")
    assert scene.icon.rss < MOST_RSS


def test_a_second_tray_leaves_the_first_alone(scene: Scene) -> None:
    """One icon is enough."""
    command = [sys.executable, "-m", "sockslocal", "tray"]
    with running(command, env={**os.environ, **scene.daemon.environment}) as second:
        assert second.wait(PATIENCE) == 0
    wait_until(lambda: scene.icon.process.poll() is None, seconds=1, what="the first one")
