from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sockslocal_tray.base import Icon, Menu, MenuItem
from sockslocal_tray.sni.rows import Change, Tree, rows


@dataclass(frozen=True)
class Deed:
    """An action that is the same one when it is made anew."""

    name: str

    def __call__(self, icon: Icon, item: MenuItem) -> None:
        """Nothing."""


def item(text: str, deed: str = "", **more: Any) -> MenuItem:
    """A row of a menu."""
    return MenuItem(text, Deed(deed) if deed else None, **more)


def shown(*items: MenuItem) -> Tree:
    """A menu with these rows."""
    tree = Tree()
    tree.replace(rows(Menu(*items)))
    return tree


def changed(tree: Tree, *items: MenuItem) -> Change:
    """What is new when it has these."""
    return tree.replace(rows(Menu(*items)))


def properties(item: MenuItem) -> dict[str, Any]:
    """What a row has, without types."""
    (row,) = rows(Menu(item))
    return {name: value for name, (_, value) in row.properties.items()}


def labels(tree: Tree) -> dict[int, str]:
    """The texts by their numbers."""
    return {
        number: node.row.properties["label"][1]
        for number, node in tree.nodes.items()
        if "label" in node.row.properties
    }


def test_properties_have_no_defaults() -> None:
    """A plain row has a label, and that is all (com.canonical.dbusmenu's defaults)."""
    assert properties(item("Doctor")) == {"label": "Doctor"}


def test_properties() -> None:
    """What a row is besides."""
    assert properties(item("my_host", enabled=False)) == {"label": "my__host", "enabled": False}
    assert properties(item("db", checked=lambda _: True)) == {
        "label": "db",
        "toggle-type": "checkmark",
        "toggle-state": 1,
    }
    assert properties(item("home", checked=lambda _: False, radio=True)) == {
        "label": "home",
        "toggle-type": "radio",
        "toggle-state": 0,
    }
    assert properties(MenuItem("Server", Menu(item("office")))) == {
        "label": "Server",
        "children-display": "submenu",
    }


def test_separators() -> None:
    """They have a type; pystray leaves out those that separate nothing."""
    found = rows(Menu(Menu.SEPARATOR, item("a"), Menu.SEPARATOR, Menu.SEPARATOR, item("b")))
    assert [row.properties.get("type") for row in found] == [None, ("s", "separator"), None]


def test_no_menu() -> None:
    """An icon may have none."""
    assert rows(None) == ()


def test_what_can_be_clicked() -> None:
    """Neither what is greyed out nor what only opens a submenu."""
    found = rows(Menu(item("a"), item("b", enabled=False), MenuItem("c", Menu(item("d")))))
    assert [row.click is not None for row in found] == [True, False, False]


def test_new_texts_and_checks_move_nothing() -> None:
    """The rows keep their numbers, and only what is new about them is told."""
    tree = shown(item("Connecting"), item("db", "db", checked=lambda _: False), item("Quit", "quit"))
    change = changed(
        tree, item("Connected"), item("db", "db", checked=lambda _: True), item("Quit", "quit", enabled=False)
    )
    assert change.updated == [
        (1, {"label": ("s", "Connected")}),
        (2, {"toggle-state": ("i", 1)}),
        (3, {"enabled": ("b", False)}),
    ]
    assert (change.removed, change.rearranged) == ([], [])


def test_back_to_the_default() -> None:
    """A property that is gone is told as such."""
    tree = shown(item("Quit", "quit", enabled=False))
    assert changed(tree, item("Quit", "quit")).removed == [(1, ["enabled"])]


def test_nothing_new() -> None:
    """Then nothing is told."""
    tree = shown(item("a", "a"), Menu.SEPARATOR, item("b"))
    assert changed(tree, item("a", "a"), Menu.SEPARATOR, item("b")) == Change()


def test_a_row_between_others() -> None:
    """It has a number that no other row ever had; the others keep theirs."""
    tree = shown(item("a", "a"), item("c", "c"))
    assert changed(tree, item("a", "a"), item("b", "b"), item("c", "c")).rearranged == [0]
    assert labels(tree) == {1: "a", 3: "b", 2: "c"}
    changed(tree, item("a", "a"), item("c", "c"))
    changed(tree, item("a", "a"), item("b", "b"), item("c", "c"))
    assert labels(tree) == {1: "a", 4: "b", 2: "c"}


def test_another_row_in_the_same_place() -> None:
    """Who clicked on the one must not get the other, even where they look alike."""
    tree = shown(item("home", "use home"))
    assert changed(tree, item("home", "forget home")).rearranged == [0]
    assert labels(tree) == {2: "home"}


def test_rows_change_places() -> None:
    """Each takes its number along."""
    tree = shown(item("a", "a"), item("b", "b"))
    assert changed(tree, item("b", "b"), item("a", "a")).rearranged == [0]
    assert labels(tree) == {2: "b", 1: "a"}


def test_a_change_in_a_submenu() -> None:
    """Only the submenu is to be drawn anew."""
    tree = shown(MenuItem("Server", Menu(item("office", "office"))), item("Quit", "quit"))
    change = changed(
        tree, MenuItem("Server", Menu(item("office", "office"), item("home", "home"))), item("Quit", "quit")
    )
    assert change.rearranged == [1]
    assert tree.nodes[4].row.properties["label"] == ("s", "home")


def test_a_row_becomes_a_submenu() -> None:
    """Then it is another row."""
    tree = shown(item("Server"))
    changed(tree, MenuItem("Server", Menu(item("home"))))
    assert 1 not in tree.nodes


def same(first: Callable[..., object] | None, second: Callable[..., object] | None) -> bool:
    """Whether rows with these actions are taken for the same."""
    tree = shown(MenuItem("row", first))
    return not changed(tree, MenuItem("row", second)).rearranged


def test_which_actions_are_the_same() -> None:
    """Those that compare equal, whatever pystray wraps them into; two lambdas never do."""

    def two(icon: Icon, item: MenuItem) -> None:
        pass

    class Tray:
        def none(self) -> None:
            pass

        def one(self, icon: Icon) -> None:
            pass

    tray = Tray()
    assert same(two, two)
    assert same(tray.none, tray.none)
    assert same(tray.one, tray.one)
    assert same(None, None)
    assert same(Deed("a"), Deed("a"))
    assert not same(Deed("a"), Deed("b"))
    assert not same(tray.none, tray.one)
    assert not same(lambda: None, lambda: None)
    assert not same(None, two)


def test_a_layout_is_as_deep_as_it_is_asked_for() -> None:
    """Each row with what was asked of it, and the rows below it (com.canonical.dbusmenu, GetLayout)."""
    tree = shown(MenuItem("Server", Menu(item("office", enabled=False))))
    menu = tree.nodes[0]
    server = {"label": ("s", "Server"), "children-display": ("s", "submenu")}
    office = {"label": ("s", "office"), "enabled": ("b", False)}
    assert menu.layout(0, ["label"]) == (0, {}, [])
    assert menu.layout(1, [])[2] == [("(ia{sv}av)", (1, server, []))]
    assert menu.layout(-1, ["label", "enabled"])[2] == [
        ("(ia{sv}av)", (1, {"label": ("s", "Server")}, [("(ia{sv}av)", (2, office, []))]))
    ]
