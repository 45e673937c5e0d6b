"""The StatusNotifierWatcher, to which items announce themselves and panels ask for them.

It is most often the panel itself, so it comes late, goes, and comes again without knowing of us.
"""

from jeepney import DBusAddress, new_method_call
from jeepney.bus_messages import message_bus
from jeepney.low_level import HeaderFields, Message

from sockslocal_tray.sni.bus import Bus
from sockslocal_tray.sni.inbox import Incoming

NAME = "org.kde.StatusNotifierWatcher"
_WATCHER = DBusAddress("/StatusNotifierWatcher", NAME, NAME)
_TRIES = 5
_FIRST_PAUSE = 1.0
"""Seconds; twice as long each time. A panel may have its name on the bus before it answers."""


class Registration:
    """Keeps the item that has the bus name `item` announced, from `start` to `stop`."""

    def __init__(self, bus: Bus, item: str) -> None:
        self._bus = bus
        self._item = item
        self._wanted = False
        self._watcher = 0  # how many there have been: who tries for an earlier one gives up
        watch_owner(bus, NAME)

    def start(self) -> None:
        """Announce it now, and to every watcher that comes."""
        self._wanted = True
        watcher = self._watcher
        self._bus.call(message_bus.RequestName(self._item), lambda _: self._register(watcher, _TRIES))

    def stop(self) -> None:
        """Take it back: a watcher strikes off whose name is gone."""
        self._wanted = False
        self._bus.call(message_bus.ReleaseName(self._item))

    def on_signal(self, signal: Incoming) -> None:
        """To be told of all signals."""
        if new_owner(signal, NAME):
            self._watcher += 1
            self._register(self._watcher, _TRIES)

    def _register(self, watcher: int, tries: int) -> None:
        if not (self._wanted and tries and watcher == self._watcher):
            return
        call = new_method_call(_WATCHER, "RegisterStatusNotifierItem", "s", (self._item,))

        def answered(reply: Incoming | None) -> None:
            if not reply:
                pause = _FIRST_PAUSE * 2.0 ** (_TRIES - tries)
                self._bus.later(pause, lambda: self._register(watcher, tries - 1))

        self._bus.call(call, answered)


def watch_owner(bus: Bus, name: str) -> None:
    """Be told when `name` changes hands."""
    bus.match(sender=message_bus.bus_name, member="NameOwnerChanged", arg0=name)


def new_owner(signal: Incoming, name: str) -> str:
    """Who has `name` now, where the signal says that somebody took it; else empty."""
    is_it = (signal.field(HeaderFields.sender), signal.field(HeaderFields.member))
    if is_it != (message_bus.bus_name, "NameOwnerChanged") or signal.body[0] != name:
        return ""
    return str(signal.body[2])


def is_host_registered() -> Message:
    """The question whether a panel is there."""
    address = DBusAddress(_WATCHER.object_path, NAME, "org.freedesktop.DBus.Properties")
    return new_method_call(address, "Get", "ss", (NAME, "IsStatusNotifierHostRegistered"))
