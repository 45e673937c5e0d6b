import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from threading import Thread

import pytest

from fakes.panel import Colour, Screen, screen
from fakes.session_bus import running
from fakes.waiting import wait_until
from sockslocal_tray import base, xembed
from sockslocal_tray.icons import Drawing
from sockslocal_tray.shapes import INKS, Ink

MISSING = [name for name in ("Xvfb", "trayer", "xdotool") if shutil.which(name) is None]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")

PATIENCE = 20.0


class Desktop:
    """A screen with an old panel that comes and goes, and an icon for it."""

    def __init__(self, on: Screen, folder: Path) -> None:
        self.screen = on
        self.clicks: list[str] = []
        menu = base.Menu(base.MenuItem("x", lambda: self.clicks.append("default"), default=True))
        self.icon = xembed.Icon(
            "sockslocal", None, "title", menu, on_middle_click=lambda: self.clicks.append("middle")
        )
        self.error: Exception | None = None
        self._folder = folder
        self._thread = Thread(target=self._run)
        self._panel = ExitStack()

    def _run(self) -> None:
        try:
            self.icon.run(lambda _icon: None)
        except ConnectionError as error:
            self.error = error

    def begin(self, drawing: Drawing) -> None:
        """Show the icon, as soon as there is a panel."""
        self._thread.start()
        self.icon.icon = drawing
        self.icon.visible = True

    def end(self) -> None:
        """Have the icon end by itself."""
        self.icon.stop()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()

    def show_panel(self, *, tint: str = "0x202020") -> None:
        """A panel in the upper left corner."""
        log = self._panel.enter_context((self._folder / "trayer.log").open("ab"))
        looks = ["--edge", "top", "--align", "left", "--widthtype", "request", "--height", "24"]
        colour = ["--transparent", "true", "--alpha", "0", "--tint", tint]
        environment = os.environ | {"DISPLAY": self.screen.name}
        self._panel.enter_context(
            running(["trayer", *looks, *colour], stdout=log, stderr=log, env=environment)
        )

    def kill_panel(self) -> None:
        """It ends as in a crash."""
        self._panel.close()

    def wait_for(self, ink: Ink, *, dark: bool = True) -> None:
        """Return as soon as something of this colour is seen."""
        self.screen.find(_colour(ink, dark=dark))

    def wait_for_none(self, ink: Ink) -> None:
        """Return as soon as nothing of this colour is seen any more."""
        colour = _colour(ink, dark=True)
        wait_until(lambda: self.screen.where(colour) is None, seconds=PATIENCE, what=f"no {ink}")

    def click(self, button: str) -> None:
        """On the icon."""
        self.screen.click((12, 12), button)


def _colour(ink: Ink, *, dark: bool) -> Colour:
    red, green, blue = bytes.fromhex(INKS[dark][ink].removeprefix("#"))
    return red, green, blue


@pytest.fixture
def desktop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desktop]:
    """One without a panel yet."""
    with screen(tmp_path) as on:
        monkeypatch.setenv("DISPLAY", on.name)
        made = Desktop(on, tmp_path)
        yield made
        made.kill_panel()
        if made._thread.is_alive():
            made.end()


OFF, UP = Drawing("off", dark=True), Drawing("up", dark=True)
DEGRADED, FAILED = Drawing("degraded", dark=True), Drawing("failed", dark=True)


def test_the_icon_is_clicked(desktop: Desktop) -> None:
    """With either button: there is no menu; the middle one is told apart."""
    desktop.show_panel()
    desktop.begin(UP)
    desktop.wait_for("green")
    for button in ("left", "middle", "right"):
        desktop.click(button)
    wait_until(lambda: len(desktop.clicks) == 3, seconds=PATIENCE, what="three clicks")
    assert desktop.clicks == ["default", "middle", "default"]
    desktop.end()


def test_the_icon_waits_for_a_panel_and_survives_it(desktop: Desktop) -> None:
    """It may come later, end, and come again; the icon shows what is true then."""
    desktop.begin(UP)
    desktop.show_panel()
    desktop.wait_for("green")
    desktop.kill_panel()
    desktop.icon.icon = FAILED
    desktop.show_panel()
    desktop.wait_for("red")
    desktop.click("left")
    wait_until(lambda: desktop.clicks == ["default"], seconds=PATIENCE, what="a click")


def test_the_icon_changes(desktop: Desktop) -> None:
    """As it is told, and is gone when it is hidden."""
    desktop.show_panel()
    desktop.begin(OFF)
    desktop.wait_for("faint")
    desktop.icon.icon = DEGRADED
    desktop.wait_for("amber")
    desktop.icon.visible = False
    desktop.wait_for_none("amber")


def test_on_a_light_panel_the_icon_is_dark(desktop: Desktop) -> None:
    """It is drawn for the colour that is seen beneath it."""
    desktop.show_panel(tint="0xf0f0f0")
    desktop.begin(UP)
    desktop.wait_for("green", dark=False)


def test_whether_there_is_a_panel_is_known(desktop: Desktop) -> None:
    """Now, not later."""
    assert not xembed.manager_is_there()
    desktop.show_panel()
    wait_until(xembed.manager_is_there, seconds=PATIENCE, what="a panel")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # Xlib forgets its socket
@pytest.mark.parametrize("display", ["", ":4711"])
def test_without_a_display_there_is_no_panel(monkeypatch: pytest.MonkeyPatch, display: str) -> None:
    """Nor can an icon run."""
    monkeypatch.setenv("DISPLAY", display)
    assert not xembed.manager_is_there()
    with pytest.raises(ConnectionError):
        xembed.Icon("sockslocal").run()
