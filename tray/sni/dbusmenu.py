"""The menu, as com.canonical.dbusmenu: the panel asks for rows, draws them and reports clicks.

Numbers that are no row of the menu, or no longer, are errors; in groups they are listed or passed over, as
libdbusmenu does it.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Any

from jeepney.low_level import Message

from sockslocal_tray.base import Icon
from sockslocal_tray.sni.objects import Body, Interface, Method, Property, RefusedError
from sockslocal_tray.sni.rows import Node, Row, Tree

_log = logging.getLogger(__name__)

PATH = "/MenuBar"

Click = Callable[[Icon], object]


class DBusMenu:
    """Shows rows; `interface` is its side to the bus, `send` takes the signals about changes.

    `on_click` is given what the row that was clicked does.
    """

    def __init__(self, send: Callable[[Message], object], on_click: Callable[[Click], object]) -> None:
        self._send = send
        self._on_click = on_click
        self._tree = Tree()
        self._revision = 1
        self.interface = Interface("com.canonical.dbusmenu", _PROPERTIES, self._methods(), _SIGNALS)

    def show(self, rows: Sequence[Row]) -> None:
        """Show them, and tell the panels what is new about them."""
        change = self._tree.replace(rows)
        if change.updated or change.removed:
            self._tell("ItemsPropertiesUpdated", change.updated, change.removed)
        if change.rearranged:
            self._revision += 1
            self._tell(
                "LayoutUpdated", self._revision, change.rearranged[0] if len(change.rearranged) == 1 else 0
            )

    def _tell(self, signal: str, *body: object) -> None:
        self._send(self.interface.signal(PATH, signal, *body))

    def _methods(self) -> dict[str, Method]:
        return {
            "GetLayout": Method(
                self._layout,
                "i:parentId i:recursionDepth as:propertyNames",
                "u:revision (ia{sv}av):layout",
            ),
            "GetGroupProperties": Method(
                self._group_properties, "ai:ids as:propertyNames", "a(ia{sv}):properties"
            ),
            "GetProperty": Method(self._property, "i:id s:name", "v:value"),
            "Event": Method(self._event, "i:id s:eventId v:data u:timestamp"),
            "EventGroup": Method(self._event_group, "a(isvu):events", "ai:idErrors"),
            "AboutToShow": Method(self._about_to_show, "i:id", "b:needUpdate"),
            "AboutToShowGroup": Method(self._about_to_show_group, "ai:ids", "ai:updatesNeeded ai:idErrors"),
        }

    def _layout(self, parent: int, depth: int, names: Sequence[str]) -> Body:
        return self._revision, self._node(parent).layout(depth, names)

    def _group_properties(self, numbers: Sequence[int], names: Sequence[str]) -> Body:
        wanted = dict.fromkeys(numbers) or self._tree.nodes  # each once, however often it was asked for
        known = [self._tree.nodes[number] for number in wanted if number in self._tree.nodes]
        return ([(node.number, node.chosen(names)) for node in known],)

    def _property(self, number: int, name: str) -> Body:
        try:
            return (self._node(number).row.properties[name],)
        except KeyError:
            raise RefusedError("InvalidArgs", "the row has no such property") from None

    def _event(self, number: int, event: str, _data: Any, _timestamp: int) -> Body:
        self._happened(self._node(number), event)
        return ()

    def _event_group(self, events: Sequence[tuple[int, str, Any, int]]) -> Body:
        missing = self._missing([number for number, *_ in events])
        for number, event, *_ in events:
            if number in self._tree.nodes:
                self._happened(self._tree.nodes[number], event)
        return (missing,)

    def _about_to_show(self, number: int) -> Body:
        self._node(number)
        return (False,)  # what is shown is always up to date

    def _about_to_show_group(self, numbers: Sequence[int]) -> Body:
        return [], self._missing(numbers)

    def _happened(self, node: Node, event: str) -> None:
        if event == "clicked" and node.row.click:
            self._on_click(node.row.click)

    def _missing(self, numbers: Sequence[int]) -> list[int]:
        """Those that are no rows; refuses where none is one."""
        missing = [number for number in dict.fromkeys(numbers) if number not in self._tree.nodes]
        if numbers and not set(numbers).intersection(self._tree.nodes):
            raise RefusedError("InvalidArgs", "none of them is in the menu")
        return missing

    def _node(self, number: int) -> Node:
        try:
            return self._tree.nodes[number]
        except KeyError:
            raise RefusedError("InvalidArgs", "no such row in the menu") from None


_PROPERTIES = {
    "Version": Property("u", lambda: 3),
    "TextDirection": Property("s", lambda: "ltr"),
    "Status": Property("s", lambda: "normal"),
    "IconThemePath": Property("as", list),
}

_SIGNALS = {
    "ItemsPropertiesUpdated": "a(ia{sv}):updatedProps a(ias):removedProps",
    "LayoutUpdated": "u:revision i:parent",
    "ItemActivationRequested": "i:id u:timestamp",
}
