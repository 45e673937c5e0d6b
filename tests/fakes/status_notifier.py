"""The two sides that a StatusNotifierItem talks to: the watcher that it announces itself to, and a panel."""

from collections.abc import Sequence
from typing import Any

from jeepney import DBusAddress, HeaderFields, Message, new_error, new_method_call, new_method_return
from jeepney.bus_messages import MatchRule, message_bus
from jeepney.wrappers import unwrap_msg

from fakes.session_bus import SessionBus, StandIn

WATCHER = "org.kde.StatusNotifierWatcher"
ITEM = "org.kde.StatusNotifierItem"
MENU = "com.canonical.dbusmenu"
PROPERTIES = "org.freedesktop.DBus.Properties"

_PATHS = {ITEM: "/StatusNotifierItem", MENU: "/MenuBar"}


class Watcher(StandIn):
    """Takes announcements down in `items`, after `busy` refusals; `hosts`: whether a panel is there."""

    def __init__(self, bus: SessionBus, *, hosts: bool = True, busy: int = 0) -> None:
        super().__init__(bus, WATCHER, self._answer)
        self.items: list[str] = []
        self.hosts = hosts
        self._busy = busy

    def _answer(self, call: Message) -> Message | None:
        if self._busy:
            self._busy -= 1
            return new_error(call, "org.freedesktop.DBus.Error.Failed")
        match call.header.fields[HeaderFields.member], call.body:
            case "RegisterStatusNotifierItem", (item,):
                self.items.append(item)
                return new_method_return(call)
            case "Get", ("org.kde.StatusNotifierWatcher", "IsStatusNotifierHostRegistered"):
                return new_method_return(call, "v", (("b", self.hosts),))
        return new_error(call, "org.freedesktop.DBus.Error.UnknownMethod")


class Panel:
    """What a panel does about the item that has the bus name `item`: it asks, and listens to signals."""

    def __init__(self, bus: SessionBus, item: str) -> None:
        self._connection = bus.connect()
        self._item = item
        self._signals: list[Message] = []
        self._owner = ""
        (self._owner,) = self._ask(message_bus.GetNameOwner(item))
        self._ask(message_bus.AddMatch(MatchRule(type="signal", sender=item)))

    def close(self) -> None:
        """Leave the bus."""
        self._connection.close()

    def call(self, interface: str, method: str, signature: str = "", *body: object) -> Any:
        """What the item, or its menu, answers; raises DBusErrorResponse."""
        address = DBusAddress(_PATHS[interface], self._item, interface)
        return self._ask(new_method_call(address, method, signature or None, body))

    def properties(self, interface: str) -> dict[str, Any]:
        """All properties, without their types."""
        address = DBusAddress(_PATHS[interface], self._item, PROPERTIES)
        (values,) = self._ask(new_method_call(address, "GetAll", "s", (interface,)))
        return {name: value for name, (_, value) in values.items()}

    def labels(self) -> dict[str, int]:
        """The numbers of all rows of the menu that have a text, by it."""
        _, layout = self.call(MENU, "GetLayout", "iias", 0, -1, [])
        return dict(_labels(layout))

    def choose(self, label: str) -> None:
        """Click on a row."""
        self.call(MENU, "Event", "isvu", self.labels()[label], "clicked", ("i", 0), 0)

    def next_signals(self, until: str) -> list[tuple[str, tuple[Any, ...]]]:
        """The signals since the last one that was asked for, up to and with `until`."""
        while not any(_name(message) == until for message in self._signals):
            self._keep(self._connection.receive(timeout=10))
        end = [_name(message) for message in self._signals].index(until) + 1
        taken, self._signals = self._signals[:end], self._signals[end:]
        return [(_name(message), message.body) for message in taken]

    def _ask(self, call: Message) -> Any:
        serial = next(self._connection.outgoing_serial)
        self._connection.send(call, serial=serial)
        while True:
            message = self._connection.receive(timeout=10)
            if message.header.fields.get(HeaderFields.reply_serial) == serial:
                return unwrap_msg(message)
            self._keep(message)

    def _keep(self, message: Message) -> None:
        if message.header.fields.get(HeaderFields.sender) == self._owner:
            self._signals.append(message)


def _name(message: Message) -> str:
    return str(message.header.fields[HeaderFields.member])


def _labels(node: tuple[int, dict[str, Any], Sequence[Any]]) -> list[tuple[str, int]]:
    number, properties, children = node
    own = [(properties["label"][1], number)] if "label" in properties else []
    return own + [label for _, child in children for label in _labels(child)]
