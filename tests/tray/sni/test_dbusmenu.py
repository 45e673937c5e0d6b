from typing import Any

import pytest
from jeepney import Message

from fakes.dbus_messages import answer, call, sent
from sockslocal_tray.base import Menu, MenuItem
from sockslocal_tray.sni.dbusmenu import PATH, DBusMenu
from sockslocal_tray.sni.objects import Objects
from sockslocal_tray.sni.rows import rows

NAME = "com.canonical.dbusmenu"
SUBMENU = {"children-display": ("s", "submenu")}


def status() -> None:
    """An action."""


def quit_tray() -> None:
    """Another."""


def other() -> None:
    """A third."""


ITEMS = (
    MenuItem("Status", status),  # 1
    Menu.SEPARATOR,  # 2
    MenuItem("Server", Menu(MenuItem("office", other, checked=lambda _: True, radio=True))),  # 3, 4
    MenuItem("Greyed", other, enabled=False),  # 5
    MenuItem("Quit", quit_tray),  # 6
)

STATUS = {"label": ("s", "Status")}
SEPARATOR = {"type": ("s", "separator")}
SERVER = {"label": ("s", "Server"), **SUBMENU}
OFFICE = {"label": ("s", "office"), "toggle-type": ("s", "radio"), "toggle-state": ("i", 1)}
GREYED = {"label": ("s", "Greyed"), "enabled": ("b", False)}
QUIT = {"label": ("s", "Quit")}


class Shown:
    """A menu, what it sent and what was clicked, by the labels."""

    def __init__(self, *items: MenuItem) -> None:
        self.sent: list[Message] = []
        self.clicked: list[str] = []
        self.menu = DBusMenu(self.sent.append, lambda item: self.clicked.append(str(item)))
        self.objects = Objects({PATH: self.menu.interface})
        self.show(*items)
        self.sent.clear()

    def show(self, *items: MenuItem) -> None:
        """Other rows."""
        self.menu.show(rows(Menu(*items)))

    def signals(self) -> list[tuple[str, tuple[Any, ...]]]:
        """What was sent since the last call."""
        signals, self.sent[:] = [sent(message) for message in self.sent], []
        return signals

    def ask(self, method: str, signature: str = "", *body: object) -> Any:
        """The answer to a call."""
        return answer(self.objects, call(PATH, NAME, method, signature, *body))

    def click(self, number: int, event: str = "clicked") -> Any:
        """The answer to the report of a click."""
        return self.ask("Event", "isvu", number, event, ("i", 0), 1234)


@pytest.fixture
def shown() -> Shown:
    """The menu above."""
    return Shown(*ITEMS)


def child(number: int, properties: dict[str, Any], *children: object) -> tuple[str, Any]:
    """A row as it stands in the layout."""
    return "(ia{sv}av)", (number, properties, list(children))


def test_the_whole_layout(shown: Shown) -> None:
    """All rows with all that is not as by default."""
    revision, layout = shown.ask("GetLayout", "iias", 0, -1, [])
    assert revision == 2
    assert layout == (
        0,
        SUBMENU,
        [
            child(1, STATUS),
            child(2, SEPARATOR),
            child(3, SERVER, child(4, OFFICE)),
            child(5, GREYED),
            child(6, QUIT),
        ],
    )


def test_parts_of_the_layout(shown: Shown) -> None:
    """From a row on, down to a depth, and only the properties that are asked for."""
    assert shown.ask("GetLayout", "iias", 0, 0, [])[1] == (0, SUBMENU, [])
    assert shown.ask("GetLayout", "iias", 3, 1, ["label"])[1] == (
        3,
        {"label": ("s", "Server")},
        [child(4, {"label": ("s", "office")})],
    )
    _, (_, _, children) = shown.ask("GetLayout", "iias", 0, 1, [])
    assert children[2] == child(3, SERVER)
    assert shown.ask("GetLayout", "iias", 99, -1, []) == "InvalidArgs"


def test_properties_of_rows(shown: Shown) -> None:
    """Of all, of some, of none that is not there; each once, however often it is asked for."""
    assert shown.ask("GetGroupProperties", "aias", [1, 99, 6], []) == ([(1, STATUS), (6, QUIT)],)
    assert shown.ask("GetGroupProperties", "aias", [1] * 10_000, ["label"]) == ([(1, STATUS)],)
    (everything,) = shown.ask("GetGroupProperties", "aias", [], [])
    assert [number for number, _ in everything] == [0, 1, 2, 3, 4, 5, 6]
    assert shown.ask("GetProperty", "is", 5, "enabled") == (("b", False),)
    assert shown.ask("GetProperty", "is", 1, "enabled") == "InvalidArgs"
    assert shown.ask("GetProperty", "is", -1, "label") == "InvalidArgs"


def test_clicks(shown: Shown) -> None:
    """They do what the row does."""
    assert shown.click(1) == ()
    assert shown.ask(
        "EventGroup", "a(isvu)", [(6, "clicked", ("s", ""), 0), (4, "clicked", ("i", 1), 0)]
    ) == ([],)
    assert shown.clicked == ["Status", "Quit", "office"]


def test_events_that_do_nothing(shown: Shown) -> None:
    """Opening, hovering, and clicks on what cannot be clicked."""
    for event in ("opened", "closed", "hovered", "x-vendor-specific"):
        assert shown.click(1, event) == ()
    for number in (0, 2, 3, 5):
        assert shown.click(number) == ()
    assert shown.clicked == []


def test_rows_that_are_not_there(shown: Shown) -> None:
    """An error; in a group they are listed, and the others are done."""
    assert shown.click(99) == "InvalidArgs"
    events = [(99, "clicked", ("i", 0), 0), (1, "clicked", ("i", 0), 0), (-5, "clicked", ("i", 0), 0)]
    assert shown.ask("EventGroup", "a(isvu)", events) == ([99, -5],)
    assert shown.clicked == ["Status"]
    assert shown.ask("EventGroup", "a(isvu)", events[:1]) == "InvalidArgs"
    assert shown.ask("EventGroup", "a(isvu)", []) == ([],)


def test_a_late_click(shown: Shown) -> None:
    """One on a row that another has taken the place of meanwhile does nothing."""
    shown.show(MenuItem("Stop everything", other), *ITEMS[1:])
    assert shown.click(1) == "InvalidArgs"
    assert shown.clicked == []


def test_about_to_show(shown: Shown) -> None:
    """The rows are always up to date."""
    assert shown.ask("AboutToShow", "i", 0) == (False,)
    assert shown.ask("AboutToShow", "i", 3) == (False,)
    assert shown.ask("AboutToShow", "i", 99) == "InvalidArgs"
    assert shown.ask("AboutToShowGroup", "ai", [0, 99]) == ([], [99])
    assert shown.ask("AboutToShowGroup", "ai", [99]) == "InvalidArgs"


def test_properties_of_the_menu(shown: Shown) -> None:
    """Those of the protocol's third version."""
    interface = "org.freedesktop.DBus.Properties"
    assert answer(shown.objects, call(PATH, interface, "GetAll", "s", NAME)) == (
        {
            "Version": ("u", 3),
            "TextDirection": ("s", "ltr"),
            "Status": ("s", "normal"),
            "IconThemePath": ("as", []),
        },
    )


def test_signals_of_new_texts(shown: Shown) -> None:
    """The layout stays, so that an open menu does."""
    shown.show(MenuItem("Connected", status), *ITEMS[1:3], MenuItem("Greyed", other), ITEMS[4])
    assert shown.signals() == [
        ("ItemsPropertiesUpdated", ([(1, {"label": ("s", "Connected")})], [(5, ["enabled"])])),
    ]
    assert shown.ask("GetLayout", "iias", 0, 0, [])[0] == 2


def test_signals_of_new_rows(shown: Shown) -> None:
    """One, with the number of the menu that is to be drawn anew: the whole where it is more than one."""
    server = MenuItem("Server", Menu(MenuItem("office", other), MenuItem("home", quit_tray)))
    shown.show(*ITEMS[:2], server, *ITEMS[3:])
    assert shown.signals()[-1] == ("LayoutUpdated", (3, 3))
    shown.show(*ITEMS[:3], ITEMS[4])
    assert shown.signals()[-1] == ("LayoutUpdated", (4, 0))


def test_no_signal_when_nothing_changed(shown: Shown) -> None:
    """However often it is shown."""
    shown.show(*ITEMS)
    assert shown.signals() == []
