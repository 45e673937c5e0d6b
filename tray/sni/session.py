"""What an icon is on one connection to the session bus: its objects, its announcement, its notifications."""

import os
from collections.abc import Callable, Sequence
from itertools import count

from sockslocal_tray.sni import dbusmenu, item
from sockslocal_tray.sni.bus import Bus
from sockslocal_tray.sni.dbusmenu import Click, DBusMenu
from sockslocal_tray.sni.inbox import Incoming
from sockslocal_tray.sni.item import Face, Item
from sockslocal_tray.sni.notifications import Notifications
from sockslocal_tray.sni.objects import Objects
from sockslocal_tray.sni.rows import Row
from sockslocal_tray.sni.watcher import Registration

_numbers = count(1)


class Session:
    """The icon `name` on `bus`; it is shown when it is first given an active face.

    `on_click` and `on_middle_click` are called for clicks on the icon, `on_row` with what a clicked row does.
    """

    def __init__(
        self,
        bus: Bus,
        name: str,
        *,
        on_click: Callable[[], object],
        on_middle_click: Callable[[], object],
        on_row: Callable[[Click], object],
    ) -> None:
        self.notifications = Notifications(bus, name)
        self._item = Item(name, bus.send, on_click=on_click, on_middle_click=on_middle_click)
        self._menu = DBusMenu(bus.send, on_row)
        self._registration = Registration(bus, f"org.kde.StatusNotifierItem-{os.getpid()}-{next(_numbers)}")
        objects = {item.PATH: self._item.interface, dbusmenu.PATH: self._menu.interface}
        bus.on_call = Objects(objects).answer
        bus.on_signal = self._on_signal

    def show(self, face: Face, rows: Sequence[Row]) -> None:
        """Show the icon and its menu, and tell the panels what is new about them."""
        self._menu.show(rows)
        turned = face.status != self._item.face.status
        self._item.show(face)
        if turned and face.status == "Active":
            self._registration.start()
        elif turned:
            self._registration.stop()

    def _on_signal(self, signal: Incoming) -> None:
        self._registration.on_signal(signal)
        self.notifications.on_signal(signal)
