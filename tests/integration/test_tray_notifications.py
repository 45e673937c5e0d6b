"""Notifications on a real screen: dunst shows them, and a pointer clicks on them."""

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from fakes.panel import Colour, Screen, screen
from fakes.session_bus import SessionBus, running, users_session_bus
from fakes.waiting import wait_until
from sockslocal_tray.sni.icon import Icon

MISSING = [name for name in ("Xvfb", "xdotool", "dbus-daemon", "dunst") if shutil.which(name) is None]

pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")

BLUE: Colour = (0, 64, 128)
RED: Colour = (128, 0, 0)
YELLOW: Colour = (255, 255, 0)

_DUNSTRC = """
[global]
    origin = top-left
    offset = 10x10
    width = 300
    transparency = 0
    frame_width = 0
    idle_threshold = 0
    icon_position = left
    min_icon_size = 0
    max_icon_size = 48
    mouse_left_click = do_action
[urgency_normal]
    background = "#004080"
    foreground = "#ffffff"
    timeout = 0
[urgency_critical]
    background = "#800000"
    foreground = "#ffffff"
    timeout = 0
"""


@pytest.fixture
def bus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SessionBus]:
    """A session bus with nobody on it."""
    with users_session_bus(tmp_path, monkeypatch) as one:
        yield one


@pytest.fixture
def shown(bus: SessionBus, tmp_path: Path) -> Iterator[Screen]:
    """A screen on which notifications are shown."""
    configuration = tmp_path / "dunstrc"
    configuration.write_text(_DUNSTRC)
    command = ["dunst", "-config", str(configuration)]
    with screen(tmp_path) as one, (tmp_path / "dunst.log").open("wb") as log:
        environment = os.environ | {"DISPLAY": one.name}
        with running(command, stdout=log, stderr=log, env=environment):
            wait_until(lambda: bus.has("org.freedesktop.Notifications"), seconds=20, what="dunst")
            yield one


@pytest.fixture
def icon(bus: SessionBus) -> Iterator[Icon]:
    """An icon that is served; there is no panel for it."""
    one = Icon("sockslocal", Image.new("RGB", (64, 64), YELLOW), "sockslocal")
    thread = threading.Thread(target=one.run)
    thread.start()
    yield one
    one.stop()
    thread.join(10)


def displayed() -> int:
    """How many notifications are on the screen."""
    done = subprocess.run(["dunstctl", "count", "displayed"], capture_output=True, check=True, timeout=20)
    return int(done.stdout)


def test_it_is_shown_with_the_icon_and_does_what_it_offers(shown: Screen, icon: Icon) -> None:
    """A click on it is the first of its buttons."""
    chosen: list[str] = []
    buttons = [(label, lambda label=label: chosen.append(label)) for label in ("Log in…", "Doctor")]
    icon.notify("The server <office> refused it", "Wrong password", actions=buttons, replaces="server")
    place = shown.find(BLUE)
    shown.find(YELLOW)
    shown.click(place)
    wait_until(lambda: chosen == ["Log in…"], seconds=20, what="the action")


def test_one_for_each_category(shown: Screen, icon: Icon) -> None:
    """The new one takes the old one's place, and goes when it is taken back."""
    icon.notify("It does not answer", "office", replaces="server")
    shown.find(BLUE)
    icon.notify("Wrong password", "office", replaces="server", urgency="critical")
    shown.find(RED)
    assert shown.where(BLUE) is None
    assert displayed() == 1
    icon.remove_notification("server")
    wait_until(lambda: shown.where(RED) is None, seconds=20, what="the end of the notification")
