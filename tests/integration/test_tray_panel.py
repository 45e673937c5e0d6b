"""The icon in a real panel: xfce4-panel on a screen of the test's own, and a pointer that clicks."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image, ImageChops

from fakes.panel import MISSING, Colour, Panel, Screen, panel, screen
from fakes.session_bus import SessionBus, users_session_bus
from fakes.waiting import wait_until
from sockslocal_tray.base import Menu, MenuItem
from sockslocal_tray.sni import host
from sockslocal_tray.sni.icon import Icon

pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")

MAGENTA: Colour = (255, 0, 128)
GREEN: Colour = (0, 200, 0)


class Square:
    """A drawing in one colour, which nothing else on the screen has."""

    def __init__(self, colour: Colour) -> None:
        self.colour = colour

    def at(self, size: int) -> Image.Image:
        """The whole square."""
        return Image.new("RGB", (size, size), self.colour)


class Application:
    """What stands behind the icon."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.on = False
        self.icon = Icon(
            "sockslocal", Square(MAGENTA), "sockslocal\n<office>", self.menu(), on_middle_click=self.middle
        )

    def menu(self, *more: MenuItem) -> Menu:
        """The switch is the second row that can be chosen."""
        return Menu(
            MenuItem("Connected · my_office", None, enabled=False),
            Menu.SEPARATOR,
            MenuItem("Status", self.status, default=True),
            MenuItem("Tunnel", self.toggle, checked=lambda _: self.on),
            MenuItem("Server", Menu(MenuItem("office", self.status, checked=lambda _: True, radio=True))),
            *more,
        )

    def status(self) -> None:
        """The default."""
        self.done.append("status")

    def middle(self) -> None:
        """The middle button."""
        self.done.append("middle")

    def toggle(self) -> None:
        """A row."""
        self.on = not self.on
        self.done.append("toggle")

    def wait_for(self, *done: str) -> None:
        """Return once exactly this has been done since the start."""
        wait_until(lambda: self.done == list(done), seconds=20, what=f"{done}, after {self.done}")


@pytest.fixture
def bus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SessionBus]:
    """A session bus with nobody on it."""
    with users_session_bus(tmp_path, monkeypatch) as one:
        yield one


@pytest.fixture
def shown(tmp_path: Path) -> Iterator[Screen]:
    """An empty screen."""
    with screen(tmp_path) as one:
        yield one


@pytest.fixture
def there(bus: SessionBus, shown: Screen, tmp_path: Path) -> Iterator[Panel]:
    """A panel that shows icons."""
    with panel(bus, shown, tmp_path) as one:
        assert host.appears(within=20)
        yield one


@pytest.fixture
def application(bus: SessionBus) -> Iterator[Application]:
    """One whose icon is served."""
    one = Application()
    thread = threading.Thread(target=one.icon.run)
    thread.start()
    yield one
    one.icon.stop()
    thread.join(10)


def opened(screen: Screen, place: tuple[int, int]) -> Image.Image:
    """The screen after a right click there, as soon as the menu is drawn."""
    before = screen.picture()
    screen.click(place, "right")
    screen.wait_for(lambda now: is_menu(before, now), "a menu")
    return screen.picture()


def is_menu(before: Image.Image, now: Image.Image) -> bool:
    """Whether something as high as five rows has come below the panel."""
    changed = ImageChops.difference(before, now).getbbox()
    return changed is not None and changed[3] > 120


def test_clicks(there: Panel, shown: Screen, application: Application) -> None:
    """The left one is the default row, the middle one what the application wants."""
    place = shown.find(MAGENTA)
    shown.click(place)
    application.wait_for("status")
    shown.click(place, "middle")
    application.wait_for("status", "middle")


def test_a_row_of_the_menu(there: Panel, shown: Screen, application: Application) -> None:
    """A right click opens the menu, and a row that is chosen does what it says."""
    opened(shown, shown.find(MAGENTA))
    shown.press("Down", "Down", "Return")
    application.wait_for("toggle")


def test_an_open_menu_follows(there: Panel, shown: Screen, application: Application) -> None:
    """It stays open while a check, and then a row, is new: keys still reach it."""
    menu = opened(shown, shown.find(MAGENTA))
    application.on = True
    application.icon.update_menu()
    shown.wait_for(lambda now: ImageChops.difference(menu, now).getbbox() is not None, "the check mark")
    checked = shown.picture()
    application.icon.menu = application.menu(MenuItem("One more", application.status))
    shown.wait_for(lambda now: ImageChops.difference(checked, now).getbbox() is not None, "the row")
    shown.press("Up", "Return")
    application.wait_for("status")


def test_another_icon(there: Panel, shown: Screen, application: Application) -> None:
    """It is shown in the place of the old one; hidden, it is gone, and shown again, it is back."""
    place = shown.find(MAGENTA)
    application.icon.icon = Square(GREEN)
    assert shown.find(GREEN) == place
    application.icon.visible = False
    wait_until(lambda: shown.where(GREEN) is None, seconds=20, what="an empty panel")
    application.icon.visible = True
    shown.find(GREEN)


def test_the_panel_is_restarted(there: Panel, shown: Screen, application: Application) -> None:
    """The icon comes back, and works."""
    shown.find(MAGENTA)
    for _ in range(2):
        there.kill()
        wait_until(lambda: shown.where(MAGENTA) is None, seconds=20, what="no panel")
        there.start()
        shown.find(MAGENTA)
    shown.click(shown.find(MAGENTA))
    application.wait_for("status")


def test_the_panel_comes_late(
    bus: SessionBus, shown: Screen, application: Application, tmp_path: Path
) -> None:
    """At login the tray may be first."""
    assert not host.appears()
    with panel(bus, shown, tmp_path):
        shown.find(MAGENTA)
