"""Pop-ups by org.freedesktop.Notifications (Desktop Notifications Specification 1.2 and 1.3).

A notification belongs to a category. A category shows one at a time: the new one takes the old one's place.
"""

import html
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from jeepney import DBusAddress, new_method_call
from jeepney.low_level import HeaderFields, Message

from sockslocal_tray.sni.bus import Bus
from sockslocal_tray.sni.inbox import Incoming
from sockslocal_tray.sni.values import text

_log = logging.getLogger(__name__)

Urgency = Literal["low", "normal", "critical"]
Action = tuple[str, Callable[[], object]]

_NAME = "org.freedesktop.Notifications"
_SERVER = DBusAddress("/org/freedesktop/Notifications", _NAME, _NAME)
_URGENCIES = {"low": 0, "normal": 1, "critical": 2}
_SERVER_DECIDES = -1  # when it vanishes
_MAX_CATEGORIES = 32
"""Of which notifications may still be seen; the oldest is forgotten, and its buttons do nothing any more."""


@dataclass(frozen=True, eq=False)
class Notice:
    """What is to be shown; `image` is an `image-data`, or None."""

    title: str
    message: str
    urgency: Urgency = "normal"
    actions: Sequence[Action] = ()
    image: tuple[Any, ...] | None = None

    def arguments(self, name: str, replaced: int, capabilities: Sequence[str]) -> tuple[Any, ...]:
        """Those of Notify, for a server with these capabilities."""
        message = text(self.message)
        body = html.escape(message, quote=False) if "body-markup" in capabilities else message
        labels = [text(label) for label, _ in self.actions] if "actions" in capabilities else []
        keys = [part for number, label in enumerate(labels) for part in (str(number), label)]
        if labels:
            keys = [_DEFAULT, labels[0], *keys]
        texts = text(name), replaced, "", text(self.title), body
        return (*texts, keys, self._hints(name), _SERVER_DECIDES)

    def _hints(self, name: str) -> dict[str, tuple[str, Any]]:
        hints: dict[str, tuple[str, Any]] = {
            "urgency": ("y", _URGENCIES[self.urgency]),
            "desktop-entry": ("s", text(name)),
        }
        return hints | ({"image-data": ("(iiibiiay)", self.image)} if self.image else {})

    def choose(self, key: str) -> None:
        """The action `key` was chosen."""
        keys = {str(number): action for number, (_, action) in enumerate(self.actions)}
        action = keys.get("0" if key == _DEFAULT else key)
        if action:
            action()


_DEFAULT = "default"  # a click on the notification itself


@dataclass(eq=False)
class _Category:
    wanted: Notice | None = None
    sent: Notice | None = None
    number: int = 0  # by which the server knows what was sent
    server: str = ""
    asked: bool = False  # and not yet answered: one thing at a time, for the answer has the number


class Notifications:
    """Shows and takes back notifications, in the name of the application `name`."""

    def __init__(self, bus: Bus, name: str) -> None:
        self._bus = bus
        self._name = name
        self._categories: dict[object, _Category] = {}
        bus.match(sender=_NAME, interface=_NAME)

    def show(self, category: object, notice: Notice) -> None:
        """Show it, in the place of what the category showed before."""
        entry = self._categories.pop(category, None) or _Category()
        self._categories[category] = entry  # behind all others: the first one is the oldest
        if len(self._categories) > _MAX_CATEGORIES:
            del self._categories[next(iter(self._categories))]
        entry.wanted = notice
        self._work(entry)

    def close(self, category: object) -> None:
        """Take back what the category shows."""
        entry = self._categories.get(category)
        if entry:
            entry.wanted = None
            self._work(entry)

    def close_all(self) -> None:
        """Take back all that is shown."""
        for category in [*self._categories]:
            self.close(category)

    def on_signal(self, signal: Incoming) -> None:
        """To be told of all signals. Only the server that showed a notification is believed about it."""
        fields = signal.field(HeaderFields.interface), signal.field(HeaderFields.signature)
        if fields not in ((_NAME, "us"), (_NAME, "uu")):
            return
        about = signal.field(HeaderFields.sender), signal.body[0]
        entry = next((one for one in self._categories.values() if about == (one.server, one.number)), None)
        if entry and entry.sent:
            self._happened(entry, entry.sent, signal)

    def _happened(self, entry: _Category, notice: Notice, signal: Incoming) -> None:
        match signal.field(HeaderFields.member):
            case "ActionInvoked":
                notice.choose(signal.body[1])
            case "NotificationClosed":
                self._gone(entry)

    def _work(self, entry: _Category) -> None:
        """Do what is to be done next, so that what is wanted is shown."""
        if entry.asked:
            return
        if entry.wanted is entry.sent:
            self._forget_ended()
        elif entry.wanted:
            entry.asked = True
            # asked each time, for another server may have taken the place of the last one
            self._bus.call(_call("GetCapabilities"), lambda reply: self._send(entry, reply), gives="as")
        else:
            entry.asked = True
            close = _call("CloseNotification", "u", entry.number)
            self._bus.call(close, lambda _: self._closed(entry))

    def _send(self, entry: _Category, capabilities: Incoming | None) -> None:
        notice = entry.wanted
        if not notice:  # taken back meanwhile
            entry.asked = False
            self._work(entry)
            return
        known = capabilities.body[0] if capabilities else []
        notify = _call("Notify", "susssasa{sv}i", *notice.arguments(self._name, entry.number, known))
        self._bus.call(notify, lambda reply: self._sent(entry, notice, reply), gives="u")

    def _sent(self, entry: _Category, notice: Notice, reply: Incoming | None) -> None:
        entry.asked, entry.sent = False, notice
        if reply:
            entry.number, entry.server = reply.body[0], reply.field(HeaderFields.sender)
            self._work(entry)
        else:
            _log.warning("! no notification server showed: %s", notice.title)
            self._gone(entry)

    def _closed(self, entry: _Category) -> None:
        entry.asked = False
        self._gone(entry)

    def _gone(self, entry: _Category) -> None:
        """What was sent is not seen any more; what has been wanted since then still is."""
        if entry.wanted is entry.sent:
            entry.wanted = None
        entry.sent, entry.number = None, 0
        self._work(entry)

    def _forget_ended(self) -> None:
        entries = self._categories.items()
        self._categories = {key: one for key, one in entries if one.asked or one.wanted or one.sent}


def _call(method: str, signature: str | None = None, *body: object) -> Message:
    return new_method_call(_SERVER, method, signature, body)
