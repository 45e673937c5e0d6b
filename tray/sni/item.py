"""The StatusNotifierItem: what a panel shows of the icon, and where it reports clicks.

The specification is freedesktop.org's StatusNotifierItem in the form that KDE gave it and every panel reads:
`WindowId` is an INT32, names begin with `org.kde`.
"""

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from jeepney.low_level import Message

from sockslocal_tray.sni import dbusmenu
from sockslocal_tray.sni.objects import Body, Interface, Method, Property
from sockslocal_tray.sni.values import Pixmap, text

PATH = "/StatusNotifierItem"


@dataclass(frozen=True)
class Face:
    """What is seen of the icon. The first line of the title is the tooltip's title, the rest its text."""

    status: Literal["Active", "Passive"] = "Passive"
    title: str = ""
    pixmaps: Sequence[Pixmap] = ()


class Item:
    """Shows a `Face`; `interface` is its side to the bus, `send` takes the signals about changes."""

    def __init__(
        self,
        name: str,
        send: Callable[[Message], object],
        *,
        on_click: Callable[[], object],
        on_middle_click: Callable[[], object],
    ) -> None:
        self.face = Face()
        self._name = text(name)
        self._send = send
        self.interface = Interface(
            "org.kde.StatusNotifierItem", self._properties(), _methods(on_click, on_middle_click), _SIGNALS
        )

    def show(self, face: Face) -> None:
        """Show it, and tell the panels what is new about it."""
        old, self.face = self.face, face
        if face.pixmaps != old.pixmaps:
            self._tell(["IconPixmap"], "NewIcon")
        if face.title != old.title:
            self._tell(["Title"], "NewTitle")
            self._tell(["ToolTip"], "NewToolTip")
        if face.status != old.status:
            self._tell(["Status"], "NewStatus", face.status)

    def _tell(self, properties: Sequence[str], signal: str, *body: object) -> None:
        self._send(self.interface.changed(PATH, properties))
        self._send(self.interface.signal(PATH, signal, *body))

    def _properties(self) -> dict[str, Property]:
        return {
            "Category": _always("s", "ApplicationStatus"),
            "Id": _always("s", self._name),
            "Title": Property("s", lambda: self._title()[0]),
            "Status": Property("s", lambda: self.face.status),
            "WindowId": _always("i", 0),
            "IconThemePath": _always("s", ""),
            "IconName": _always("s", ""),
            "IconPixmap": Property("a(iiay)", lambda: list(self.face.pixmaps)),
            "OverlayIconName": _always("s", ""),
            "OverlayIconPixmap": _always("a(iiay)", []),
            "AttentionIconName": _always("s", ""),
            "AttentionIconPixmap": _always("a(iiay)", []),
            "AttentionMovieName": _always("s", ""),
            "ToolTip": Property("(sa(iiay)ss)", lambda: ("", [], *self._tooltip())),
            "ItemIsMenu": _always("b", False),
            "Menu": _always("o", dbusmenu.PATH),
        }

    def _title(self) -> tuple[str, str]:
        first, _, rest = text(self.face.title).partition("\n")
        return first, rest

    def _tooltip(self) -> tuple[str, str]:
        title, rest = self._title()
        return title, html.escape(rest)  # the specification's Markup


def _always(kind: str, value: Any) -> Property:
    return Property(kind, lambda: value)


def _methods(on_click: Callable[[], object], on_middle_click: Callable[[], object]) -> dict[str, Method]:
    def does(action: Callable[[], object]) -> Callable[..., Body]:
        def call(*_: object) -> Body:
            action()
            return ()

        return call

    def nothing() -> None:
        pass

    at = "i:x i:y"
    return {
        "Activate": Method(does(on_click), at),
        "SecondaryActivate": Method(does(on_middle_click), at),
        "ContextMenu": Method(does(nothing), at),  # the panel draws it, from the object at `Menu`
        "Scroll": Method(does(nothing), "i:delta s:orientation"),
        "ProvideXdgActivationToken": Method(does(nothing), "s:token"),
    }


_SIGNALS = {
    "NewTitle": "",
    "NewIcon": "",
    "NewAttentionIcon": "",
    "NewOverlayIcon": "",
    "NewToolTip": "",
    "NewStatus": "s:status",
}
