from typing import Any

import pytest
from PIL import Image

from fakes.programs import Programs
from sockslocal_tray import base
from sockslocal_tray.actions import Action
from sockslocal_tray.backends import Backend
from sockslocal_tray.face import Chosen, Icon, Message
from sockslocal_tray.icons import Drawing
from sockslocal_tray.menu import SEPARATOR, Row

UP = Drawing("up", dark=True)
ROWS = (
    Row("Connected", Action("status"), default=True),
    SEPARATOR,
    Row("R&D", children=(Row("db", Action("forward.off", "db"), "check", checked=True),)),
    Row("Server", Action("server", "a"), "radio", enabled=False),
)


class Plain(base.Icon):  # type: ignore[misc]
    """As pystray's own, of no screen."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.notes: list[tuple[Any, ...]] = []

    def _run(self) -> None:
        self._mark_ready()

    def _show(self) -> None:
        self.notes.append(("show",))

    _hide = _update_icon = _update_title = _update_menu = _stop = lambda self: None

    def _notify(self, message: str, title: str | None = None) -> None:
        self.notes.append((message, title))


class Rich(Plain):
    """As our StatusNotifierItem."""

    def __init__(self, *arguments: Any, on_middle_click: Any) -> None:
        super().__init__(*arguments)
        self.on_middle_click = on_middle_click

    def notify(self, message: str, title: str | None = None, **more: Any) -> None:
        self.notes.append((message, title, more))

    def remove_notification(self, category: str | None = None) -> None:
        self.notes.append((category,))


class Silent(Plain):
    """As that of old panels."""

    HAS_NOTIFICATION = False


@pytest.fixture
def chosen() -> list[Action]:
    """What was chosen."""
    return []


def made(chosen: list[Action], kind: Any = Plain, **abilities: bool) -> tuple[Icon, Any]:
    """An icon, and pystray's within it."""
    toggle = Action("tunnel", "on")
    icon = Icon(
        Backend("fake", kind, **abilities), chosen.append, on_middle_click=lambda: chosen.append(toggle)
    )
    return icon, icon._icon


def test_an_icon_runs_until_it_is_stopped(chosen: list[Action]) -> None:
    """Who waits for it to be there is told."""
    icon, _ = made(chosen)
    told: list[str] = []
    icon.run(lambda: told.append("ready"))
    icon.stop()
    assert told == ["ready"]


def test_what_draws_itself_is_given_the_drawing(chosen: list[Action]) -> None:
    """It asks for the sizes that its panel wants."""
    icon, inner = made(chosen, Rich, draws=True)
    icon.show(UP)
    assert inner.icon == UP
    assert inner.notes == [("show",)]
    inner.on_middle_click()
    assert chosen == [Action("tunnel", "on")]


def test_what_does_not_is_given_a_picture(chosen: list[Action]) -> None:
    """Of a size to be scaled."""
    icon, inner = made(chosen)
    icon.show(UP)
    assert isinstance(inner.icon, Image.Image)


def test_rows_become_pystray_s(chosen: list[Action]) -> None:
    """With what each does; the default is done by a click on the icon."""
    icon, inner = made(chosen)
    icon.lay_out("title", ROWS)
    assert inner.title == "title"
    first, separator, sub, server = inner.menu.items
    assert (first.text, first.default, first.checked) == ("Connected", True, None)
    assert separator is base.Menu.SEPARATOR
    (db,) = sub.submenu.items
    assert (db.checked, db.radio) == (True, False)
    assert (server.checked, server.radio, server.enabled) == (False, True, False)
    db(inner)
    inner()
    assert chosen == [Action("forward.off", "db"), Action("status")]


def test_equal_rows_do_equal_things(chosen: list[Action]) -> None:
    """So that panels know them for the same."""
    assert Chosen(Action("logs"), chosen.append) == Chosen(Action("logs"), chosen.append)
    assert Chosen(Action("logs"), chosen.append) != Chosen(Action("doctor"), chosen.append)


@pytest.mark.parametrize(("doubled", "text"), [(True, "R&&D"), (False, "R&D")])
def test_ampersands_are_doubled_where_they_mark_keys(
    chosen: list[Action], text: str, *, doubled: bool
) -> None:
    """As on Windows."""
    icon, inner = made(chosen, ampersands=doubled)
    icon.lay_out("", ROWS)
    assert inner.menu.items[2].text == text


def test_a_notification_has_its_button_where_there_are_any(chosen: list[Action]) -> None:
    """And takes the place of its category's last one."""
    icon, inner = made(chosen, Rich, draws=True, offers=True)
    icon.tell(Message("Title", "text", "critical", "server", ("Run it", Action("logs"))))
    icon.take_back("server")
    (text, title, more), taken = inner.notes
    assert (text, title, more["replaces"], more["urgency"]) == ("text", "Title", "server", "critical")
    ((label, press),) = more["actions"]
    press()
    assert (label, chosen, taken) == ("Run it", [Action("logs")], ("server",))


def test_a_notification_without_a_button_has_none(chosen: list[Action]) -> None:
    """It just tells."""
    icon, inner = made(chosen, Rich, draws=True, offers=True)
    icon.tell(Message("Title", "text"))
    assert inner.notes[0][2]["actions"] == []


def test_other_notifications_are_plain_and_short(chosen: list[Action]) -> None:
    """As long as Windows takes them; they cannot be taken back."""
    icon, inner = made(chosen)
    icon.tell(Message("t" * 100, "x" * 300))
    icon.take_back("server")
    assert inner.notes == [("x" * 255, "t" * 63)]


def test_where_the_icon_has_none_a_program_notifies(chosen: list[Action], programs: Programs) -> None:
    """Its text is never read as an option."""
    icon, _ = made(chosen, Silent)
    icon.tell(Message("--title", "text", "critical"))  # nobody there: no harm
    programs.add("notify-send")
    icon.tell(Message("--title", "text", "critical"))
    assert programs.arguments("notify-send") == [
        "--app-name=sockslocal",
        "--urgency=critical",
        "--",
        "--title",
        "text",
    ]
