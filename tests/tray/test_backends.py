import sys
from types import SimpleNamespace

import pytest

from sockslocal_tray import backends, xembed
from sockslocal_tray.backends import NoTrayError
from sockslocal_tray.sni import host
from sockslocal_tray.sni.bus import BusLostError


class Desktop:
    """One with a new panel, an old one, or neither; each comes after so many looks."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.panel_after: int | None = None
        self.old_panel_after: int | None = None
        self.has_bus = True
        self.looks = 0
        monkeypatch.setattr(host, "appears", self._appears)
        monkeypatch.setattr(xembed, "manager_is_there", self._old_panel_is_there)
        monkeypatch.setattr("time.sleep", lambda _seconds: None)

    def _appears(self) -> bool:
        self.looks += 1
        if not self.has_bus:
            raise BusLostError
        return self.panel_after is not None and self.looks > self.panel_after

    def _old_panel_is_there(self) -> bool:
        return self.old_panel_after is not None and self.looks > self.old_panel_after


@pytest.fixture
def desktop(monkeypatch: pytest.MonkeyPatch) -> Desktop:
    """One with no panel, and no GTK in our Python."""
    for name in ("appindicator", "gtk"):
        monkeypatch.setitem(sys.modules, f"pystray._{name}", None)
    return Desktop(monkeypatch)


def test_a_panel_of_today_has_our_item(desktop: Desktop) -> None:
    """Also where it takes old icons too."""
    desktop.panel_after = desktop.old_panel_after = 0
    found = backends.find()
    assert (found.name, found.draws, found.offers) == ("sni", True, True)


def test_an_old_panel_has_an_old_icon(desktop: Desktop) -> None:
    """Without GTK, one without a menu."""
    desktop.old_panel_after = 0
    found = backends.find()
    assert (found.name, found.Icon) == ("xembed", xembed.Icon)


def test_an_old_panel_without_a_bus_has_one_too(desktop: Desktop) -> None:
    """It needs none."""
    desktop.has_bus, desktop.old_panel_after = False, 0
    assert backends.find().name == "xembed"


@pytest.mark.parametrize("name", ["appindicator", "gtk"])
def test_where_gtk_is_there_an_old_panel_has_a_menu(
    desktop: Desktop, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """By pystray."""
    desktop.old_panel_after = 0
    monkeypatch.setitem(sys.modules, f"pystray._{name}", SimpleNamespace(Icon="theirs"))
    found = backends.find()
    assert (found.name, found.Icon, found.draws) == (name, "theirs", False)


def test_a_panel_may_come_later(desktop: Desktop) -> None:
    """At login the tray is often the first to be there."""
    desktop.panel_after = 5
    assert backends.find(60).name == "sni"
    assert desktop.looks == 6


@pytest.mark.parametrize(
    ("display", "reason"),
    [("", "there is no desktop here"), (":99", "GNOME needs its AppIndicator extension")],
)
def test_no_panel_is_said_with_its_reason(
    desktop: Desktop, monkeypatch: pytest.MonkeyPatch, display: str, reason: str
) -> None:
    """After one look, where nobody wants to wait."""
    monkeypatch.setenv("DISPLAY", display)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(NoTrayError, match=reason):
        backends.find()
    assert desktop.looks == 1
