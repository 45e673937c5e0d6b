"""The icon as the rest of the tray sees it, whichever backend shows it; usable from any thread."""

import contextlib
import logging
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from sockslocal.notices import Urgency
from sockslocal_tray import base
from sockslocal_tray.actions import Action
from sockslocal_tray.backends import Backend
from sockslocal_tray.icons import Drawing
from sockslocal_tray.menu import SEPARATOR, Row

_log = logging.getLogger(__name__)

_NAME = "sockslocal"
_PIXELS = 64  # for backends that scale
_MAX_TIP, _MAX_TITLE, _MAX_MESSAGE = 127, 63, 255  # Windows' limits, less the final zero

Choose = Callable[[Action], object]


class Message(NamedTuple):
    """A notification: it takes the place of the last one of its `category`, where it has one."""

    title: str
    text: str
    urgency: Urgency = "normal"
    category: str = ""
    button: tuple[str, Action] | None = None


class Face(Protocol):
    """What the rest of the tray needs of an icon."""

    def show(self, drawing: Drawing) -> None:
        """Look like this."""

    def lay_out(self, title: str, rows: Sequence[Row]) -> None:
        """Have this title, which panels show beside the pointer, and this menu."""

    def tell(self, message: Message) -> None:
        """Pop this up."""

    def take_back(self, category: str) -> None:
        """Take away what of this category is popped up."""

    def stop(self) -> None:
        """Have `run` return."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """What pystray calls when a row is chosen; equal ones are the same row to it."""

    action: Action
    choose: Choose

    def __call__(self, *_ignored: object) -> None:
        self.choose(self.action)


class Icon:
    """A `Face` made of one of pystray's icons."""

    def __init__(self, backend: Backend, choose: Choose, *, on_middle_click: Callable[[], object]) -> None:
        self._backend = backend
        self._choose = choose
        more: dict[str, Any] = {"on_middle_click": on_middle_click} if backend.draws else {}
        self._icon = backend.Icon(_NAME, None, _NAME, base.Menu(), **more)

    def run(self, ready: Callable[[], object]) -> None:
        """Show the icon until `stop`, in the main thread; `ready` is called in another once all works.

        Raises ConnectionError where the desktop goes away.
        """
        self._icon.run(lambda _icon: ready())

    def stop(self) -> None:
        self._icon.stop()

    def show(self, drawing: Drawing) -> None:
        self._icon.icon = drawing if self._backend.draws else drawing.at(_PIXELS)
        self._icon.visible = True

    def lay_out(self, title: str, rows: Sequence[Row]) -> None:
        self._icon.title = title[:_MAX_TIP]
        self._icon.menu = self._menu(rows)

    def _menu(self, rows: Sequence[Row]) -> Any:
        return base.Menu(*(self._item(row) for row in rows))

    def _item(self, row: Row) -> Any:
        if row == SEPARATOR:
            return base.Menu.SEPARATOR
        action = Chosen(row.action, self._choose) if row.action else None
        return base.MenuItem(
            row.text.replace("&", "&&") if self._backend.ampersands else row.text,
            self._menu(row.children) if row.children else action,
            checked=None if row.check == "none" else lambda _item: row.checked,
            radio=row.check == "radio",
            default=row.default,
            enabled=row.enabled,
        )

    def tell(self, message: Message) -> None:
        if self._backend.offers:
            buttons = [(label, Chosen(action, self._choose)) for label, action in _buttons(message)]
            self._icon.notify(
                message.text,
                message.title,
                actions=buttons,
                replaces=message.category,
                urgency=message.urgency,
            )
        elif self._icon.HAS_NOTIFICATION:
            self._icon.notify(message.text[:_MAX_MESSAGE], message.title[:_MAX_TITLE])
        else:
            _notify_send(message)

    def take_back(self, category: str) -> None:
        if self._backend.offers:
            self._icon.remove_notification(category)


def _buttons(message: Message) -> Sequence[tuple[str, Action]]:
    return [message.button] if message.button else []


def _notify_send(message: Message) -> None:
    """By the program that many desktops have for it."""
    program = shutil.which("notify-send")
    if program is None:
        _log.info("nobody shows this: %s: %s", message.title, message.text)
        return
    urgency = f"--urgency={message.urgency}"
    command = [program, "--app-name=sockslocal", urgency, "--", message.title, message.text]
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=5, check=False)
