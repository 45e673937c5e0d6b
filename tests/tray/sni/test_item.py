from typing import Any

from jeepney import Message

from fakes.dbus_messages import answer, call, sent
from sockslocal_tray.sni.item import PATH, Face, Item
from sockslocal_tray.sni.objects import Objects

NAME = "org.kde.StatusNotifierItem"
PIXMAPS = [(1, 1, b"\xff\x01\x02\x03")]


class Shown:
    """An item, what it sent and what was clicked."""

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.clicks: list[str] = []
        self.item = Item(
            "sockslocal",
            self.sent.append,
            on_click=lambda: self.clicks.append("left"),
            on_middle_click=lambda: self.clicks.append("middle"),
        )
        self.objects = Objects({PATH: self.item.interface})

    def signals(self) -> list[tuple[str, tuple[Any, ...]]]:
        """What was sent since the last call."""
        signals, self.sent[:] = [sent(message) for message in self.sent], []
        return signals

    def ask(self, method: str, signature: str = "", *body: object) -> Any:
        """The answer to a call."""
        return answer(self.objects, call(PATH, NAME, method, signature, *body))

    def properties(self) -> dict[str, tuple[str, Any]]:
        """All of them."""
        interface = "org.freedesktop.DBus.Properties"
        found: Any = answer(self.objects, call(PATH, interface, "GetAll", "s", NAME))
        return dict(found[0])


def test_properties() -> None:
    """All that the specification lists, with the types that panels expect."""
    shown = Shown()
    shown.item.show(Face("Active", "sockslocal\nconnected <office> & 3/4 up", PIXMAPS))
    assert shown.properties() == {
        "Category": ("s", "ApplicationStatus"),
        "Id": ("s", "sockslocal"),
        "Title": ("s", "sockslocal"),
        "Status": ("s", "Active"),
        "WindowId": ("i", 0),
        "IconThemePath": ("s", ""),
        "IconName": ("s", ""),
        "IconPixmap": ("a(iiay)", PIXMAPS),
        "OverlayIconName": ("s", ""),
        "OverlayIconPixmap": ("a(iiay)", []),
        "AttentionIconName": ("s", ""),
        "AttentionIconPixmap": ("a(iiay)", []),
        "AttentionMovieName": ("s", ""),
        "ToolTip": ("(sa(iiay)ss)", ("", [], "sockslocal", "connected &lt;office&gt; &amp; 3/4 up")),
        "ItemIsMenu": ("b", False),
        "Menu": ("o", "/MenuBar"),
    }


def test_signals() -> None:
    """A panel is told what is new: by the signals of its specification, and as all properties are."""
    shown = Shown()
    shown.item.show(Face("Active", "off", PIXMAPS))
    assert shown.signals() == [
        ("PropertiesChanged", (NAME, {"IconPixmap": ("a(iiay)", PIXMAPS)}, [])),
        ("NewIcon", ()),
        ("PropertiesChanged", (NAME, {"Title": ("s", "off")}, [])),
        ("NewTitle", ()),
        ("PropertiesChanged", (NAME, {"ToolTip": ("(sa(iiay)ss)", ("", [], "off", ""))}, [])),
        ("NewToolTip", ()),
        ("PropertiesChanged", (NAME, {"Status": ("s", "Active")}, [])),
        ("NewStatus", ("Active",)),
    ]


def test_nothing_new_is_not_told() -> None:
    """An icon that is drawn again as it was does not flicker."""
    shown = Shown()
    shown.item.show(Face("Active", "off", PIXMAPS))
    shown.signals()
    shown.item.show(Face("Active", "off", list(PIXMAPS)))
    assert shown.signals() == []
    shown.item.show(Face("Active", "up", PIXMAPS))
    assert [name for name, _ in shown.signals() if name.startswith("New")] == ["NewTitle", "NewToolTip"]


def test_clicks() -> None:
    """Left and middle do something; for the right one the panel draws the menu itself."""
    shown = Shown()
    assert shown.ask("Activate", "ii", 1, 2) == ()
    assert shown.ask("SecondaryActivate", "ii", 1, 2) == ()
    assert shown.ask("ContextMenu", "ii", 1, 2) == ()
    assert shown.ask("Scroll", "is", 120, "vertical") == ()
    assert shown.ask("ProvideXdgActivationToken", "s", "token") == ()
    assert shown.clicks == ["left", "middle"]


def test_texts_that_the_bus_does_not_take() -> None:
    """A title with a zero octet would cost the connection."""
    shown = Shown()
    shown.item.show(Face(title="a\0b"))
    assert shown.properties()["Title"] == ("s", "ab")
