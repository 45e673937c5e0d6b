import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from jeepney import new_method_return
from jeepney.low_level import Message

from fakes.session_bus import SessionBus, StandIn, session_bus
from sockslocal_tray import panel

PORTAL, XFCE = "org.freedesktop.portal.Desktop", "org.xfce.Xfconf"


@pytest.fixture
def bus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SessionBus]:
    """A desktop's bus."""
    if shutil.which("dbus-daemon") is None:
        pytest.skip("not installed: dbus-daemon")
    with session_bus(tmp_path) as running:
        for name, value in running.environment.items():
            monkeypatch.setenv(name, value)
        yield running


def portal(prefers: int) -> object:
    """Answers as the portal does: a variant in a variant."""

    def respond(question: Message) -> Message:
        assert question.body == ("org.freedesktop.appearance", "color-scheme")
        return new_method_return(question, "v", (("v", ("u", prefers)),))

    return respond


@pytest.mark.parametrize(("prefers", "dark"), [(0, True), (1, True), (2, False)])
def test_a_person_who_prefers_light_has_a_light_panel(bus: SessionBus, prefers: int, *, dark: bool) -> None:
    """Who prefers nothing has a dark one, on most desktops."""
    with StandIn(bus, PORTAL, portal(prefers)):  # type: ignore[arg-type]
        assert panel.is_dark() is dark


@pytest.mark.parametrize("dark", [True, False])
def test_xfce_is_asked_for_its_panel(bus: SessionBus, monkeypatch: pytest.MonkeyPatch, *, dark: bool) -> None:
    """Which may be dark beside light windows."""
    monkeypatch.setenv("XDG_CURRENT_DESKTOP", "XFCE")

    def respond(question: Message) -> Message:
        assert question.body == ("xfce4-panel", "/panels/dark-mode")
        return new_method_return(question, "v", (("b", dark),))

    with StandIn(bus, XFCE, respond):
        assert panel.is_dark() is dark


@pytest.mark.usefixtures("bus")
@pytest.mark.parametrize(("desktop", "dark"), [("GNOME", True), ("XFCE", False)])
def test_a_desktop_that_says_nothing_is_as_it_comes(
    monkeypatch: pytest.MonkeyPatch, desktop: str, *, dark: bool
) -> None:
    """Nobody is started to answer."""
    monkeypatch.setenv("XDG_CURRENT_DESKTOP", desktop)
    assert panel.is_dark() is dark


def test_without_a_bus_it_is_dark(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most are."""
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nowhere")
    assert panel.is_dark()
