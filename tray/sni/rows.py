"""The rows of a pystray menu as com.canonical.dbusmenu has them, each with a number that it keeps.

A panel reports a click by the row's number, and may do so after the menu has changed: so a number is never
given to another row. And an open menu is drawn anew only where rows came, went or moved.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from sockslocal_tray.base import Icon, Menu, MenuItem
from sockslocal_tray.sni.values import text

Properties = Mapping[str, tuple[str, Any]]
"""Names and variants. Those that have their default value are left out, as the protocol wants it."""


@dataclass(frozen=True)
class Row:
    """A row as it is now. Two rows are the same row at different times where their keys are equal."""

    key: object
    properties: Properties = field(default_factory=dict)
    click: Callable[[Icon], object] | None = None
    children: tuple["Row", ...] = ()


def rows(menu: Menu | None) -> tuple[Row, ...]:
    """The visible rows of `menu` as they are now."""
    return tuple(_row(item) for item in menu or ())


def _row(item: MenuItem) -> Row:
    if item is Menu.SEPARATOR:
        return Row("separator", {"type": ("s", "separator")})
    children = rows(item.submenu)
    properties = dict(_properties(item, parent=bool(children)))
    click = item if item.enabled and not children else None
    return Row(("submenu", bool(children), _action(item)), properties, click, children)


def _properties(item: MenuItem, *, parent: bool) -> Iterator[tuple[str, tuple[str, Any]]]:
    yield "label", ("s", text(item.text).replace("_", "__"))  # a single one marks the access key
    if not item.enabled:
        yield "enabled", ("b", False)
    if item.checked is not None:
        yield "toggle-type", ("s", "radio" if item.radio else "checkmark")
        yield "toggle-state", ("i", int(item.checked))
    if parent:
        yield "children-display", ("s", "submenu")


_NO_ACTION = MenuItem("", None)._action.__code__  # noqa: SLF001  what pystray puts in the place of none


def _action(item: MenuItem) -> object:
    """What tells the row from others: its action, out of what pystray may have wrapped it into."""
    if item.submenu:
        return None
    action = item._action  # noqa: SLF001  pystray tells nobody
    if getattr(action, "__code__", None) is _NO_ACTION:
        return None
    return getattr(action, "__wrapped__", action)


@dataclass
class Node:
    """A row with its number."""

    number: int
    row: Row
    children: list["Node"]

    def layout(self, depth: int, names: Sequence[str]) -> tuple[int, dict[str, Any], list[Any]]:
        """It and what is below it, `depth` levels of it or, where negative, all: `(ia{sv}av)`."""
        below = [("(ia{sv}av)", node.layout(depth - 1, names)) for node in self.children] if depth else []
        return self.number, self.chosen(names), below

    def chosen(self, names: Sequence[str]) -> dict[str, Any]:
        """The properties that are asked for; all where `names` is empty."""
        return {name: value for name, value in self.row.properties.items() if not names or name in names}


@dataclass
class Change:
    """What became of a menu; numbers of rows, with properties that are new, and with those that went."""

    updated: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    removed: list[tuple[int, list[str]]] = field(default_factory=list)
    rearranged: list[int] = field(default_factory=list)

    def compare(self, number: int, old: Properties, new: Properties) -> None:
        """Add what is different about row `number`."""
        updated = {name: value for name, value in new.items() if old.get(name) != value}
        removed = [name for name in old if name not in new]
        if updated:
            self.updated.append((number, updated))
        if removed:
            self.removed.append((number, removed))


class Tree:
    """All rows of a menu by their numbers; 0 is the menu itself."""

    def __init__(self) -> None:
        self._numbers = count(1)
        self._root = Node(0, Row("root", _ROOT), [])
        self.nodes = {0: self._root}

    def replace(self, wanted: Sequence[Row]) -> Change:
        """Make `wanted` the rows, each with the number that it had."""
        change = Change()
        self._merge(self._root, wanted, change)
        self.nodes = {node.number: node for node in _all(self._root)}
        return change

    def _merge(self, parent: Node, wanted: Sequence[Row], change: Change) -> None:
        left = list(parent.children)
        children = [self._node(row, left, change) for row in wanted]
        if [node.number for node in children] != [node.number for node in parent.children]:
            change.rearranged.append(parent.number)
        parent.children = children

    def _node(self, row: Row, left: list[Node], change: Change) -> Node:
        """The node of `row`: one of those `left`, which it leaves, or a new one."""
        place = next((place for place, node in enumerate(left) if node.row.key == row.key), None)
        if place is None:
            node = Node(next(self._numbers), row, [])
            self._merge(node, row.children, Change())  # the panel asks for new rows whole
            return node
        node = left.pop(place)
        change.compare(node.number, node.row.properties, row.properties)
        node.row = row
        self._merge(node, row.children, change)
        return node


_ROOT: Properties = {"children-display": ("s", "submenu")}


def _all(node: Node) -> Iterator[Node]:
    yield node
    for child in node.children:
        yield from _all(child)
