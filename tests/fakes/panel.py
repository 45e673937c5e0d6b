"""A screen, and xfce4-panel on it with nothing but the place for icons, each for one test."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import reduce
from pathlib import Path

from PIL import Image, ImageChops, ImageGrab

from fakes.session_bus import SessionBus, running
from fakes.waiting import wait_until

_XFCONFD = "/usr/lib/x86_64-linux-gnu/xfce4/xfconf/xfconfd"
_PROGRAMS = ("Xvfb", "xfce4-panel", "xdotool", "dbus-daemon", _XFCONFD)

MISSING = [name for name in _PROGRAMS if shutil.which(name) is None]
"""What has to be installed before any of this works."""

_PATIENCE = 20.0  # seconds; a panel takes about one
_POINTER = {"left": 1, "middle": 2, "right": 3}

Colour = tuple[int, int, int]


class Screen:
    """A screen without a window manager; `name` is what programs find it by."""

    def __init__(self, name: str) -> None:
        self.name = name

    def picture(self) -> Image.Image:
        """What is on it now."""
        return ImageGrab.grab(xdisplay=self.name).convert("RGB")

    def where(self, colour: Colour) -> tuple[int, int] | None:
        """The middle of all that has exactly this colour; None where nothing has."""
        picture = self.picture()
        differences = ImageChops.difference(picture, Image.new("RGB", picture.size, colour)).split()
        most = reduce(ImageChops.lighter, differences)
        box = most.point([255] + [0] * 255).getbbox()
        return box and ((box[0] + box[2]) // 2, (box[1] + box[3]) // 2)

    def find(self, colour: Colour) -> tuple[int, int]:
        """As `where`, as soon as it is there."""
        wait_until(lambda: self.where(colour) is not None, seconds=_PATIENCE, what=f"{colour} on the screen")
        place = self.where(colour)
        assert place is not None
        return place

    def wait_for(self, shown: Callable[[Image.Image], bool], what: str) -> None:
        """Return as soon as the picture is as wanted."""
        wait_until(lambda: shown(self.picture()), seconds=_PATIENCE, what=what)

    def click(self, place: tuple[int, int], button: str = "left") -> None:
        """Point there and click."""
        self._do("mousemove", *map(str, place), "click", str(_POINTER[button]))

    def press(self, *keys: str) -> None:
        """Press keys, by their X names."""
        self._do("key", *keys)

    def _do(self, *arguments: str) -> None:
        subprocess.run(
            ["xdotool", *arguments], env=os.environ | {"DISPLAY": self.name}, check=True, timeout=20
        )


@contextmanager
def screen(folder: Path, size: str = "640x480") -> Iterator[Screen]:
    """A screen of `size` pixels, until the end of the block."""
    reading, writing = os.pipe()
    command = ["Xvfb", "-displayfd", str(writing), "-screen", "0", f"{size}x24", "-nolisten", "tcp"]
    command.append(
        "-noreset"
    )  # it would begin anew, and refuse whoever comes meanwhile, when its last client leaves
    with (
        (folder / "xvfb.log").open("wb") as log,
        os.fdopen(reading) as number,
        running(command, stdout=log, stderr=log, pass_fds=[writing]),
    ):
        os.close(writing)
        yield Screen(f":{number.readline().strip()}")


class Panel:
    """xfce4-panel with its StatusNotifierWatcher, which can be ended and started again."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._environment = environment
        self._process = ExitStack()

    def start(self) -> None:
        """Start it; it is not waited for."""
        log = self._process.enter_context((self._folder / "panel.log").open("ab"))
        command = ["xfce4-panel", "--disable-wm-check", "--sm-client-disable"]
        self._process.enter_context(running(command, stdout=log, stderr=log, env=self._environment))

    def kill(self) -> None:
        """End it as a crash does."""
        self._process.close()


@contextmanager
def panel(bus: SessionBus, on: Screen, folder: Path) -> Iterator[Panel]:
    """A panel at the top of the screen, with a configuration of its own, until the end of the block."""
    home = folder / "panel"
    channel = home / "config/xfce4/xfconf/xfce-perchannel-xml"
    channel.mkdir(parents=True)
    (channel / "xfce4-panel.xml").write_text(_CONFIGURATION)
    places = {"HOME": home, "XDG_CONFIG_HOME": home / "config", "XDG_CACHE_HOME": home / "cache"}
    environment = os.environ | bus.environment | {name: str(path) for name, path in places.items()}
    environment |= {"DISPLAY": on.name, "NO_AT_BRIDGE": "1", "GTK_A11Y": "none", "GDK_BACKEND": "x11"}
    with (
        (home / "xfconfd.log").open("wb") as log,
        running([_XFCONFD], stdout=log, stderr=log, env=environment),
    ):
        wait_until(lambda: bus.has("org.xfce.Xfconf"), seconds=_PATIENCE, what="xfconfd")
        one = Panel(home, environment)
        one.start()
        try:
            yield one
        finally:
            one.kill()


_CONFIGURATION = """<?xml version="1.0" encoding="UTF-8"?>
<channel name="xfce4-panel" version="1.0">
  <property name="configver" type="int" value="2"/>
  <property name="panels" type="array">
    <value type="int" value="1"/>
    <property name="panel-1" type="empty">
      <property name="position" type="string" value="p=6;x=0;y=0"/>
      <property name="position-locked" type="bool" value="true"/>
      <property name="length" type="uint" value="100"/>
      <property name="size" type="uint" value="32"/>
      <property name="plugin-ids" type="array">
        <value type="int" value="1"/>
      </property>
    </property>
  </property>
  <property name="plugins" type="empty">
    <property name="plugin-1" type="string" value="systray">
      <property name="square-icons" type="bool" value="true"/>
      <property name="known-items" type="array"/>
    </property>
  </property>
</channel>
"""
