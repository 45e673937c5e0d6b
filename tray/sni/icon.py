"""pystray's Icon as a StatusNotifierItem."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol

from PIL import Image

from sockslocal_tray import base

Urgency = Literal["low", "normal", "critical"]


class Drawing(Protocol):
    """An icon that is drawn for the size it is asked for."""

    def at(self, size: int) -> Image.Image:
        """The icon as a square of `size` pixels."""


class Icon(base.Icon):  # type: ignore[misc]  # pystray has no types
    """A tray icon. All of it may be used from any thread.

    `run` serves the bus in the calling thread until `stop`; it raises BusLostError where there is no session
    bus, or when it goes away. It waits for a panel and comes back to one that was restarted. Callbacks (of menu
    items, clicks and notifications) are called in that thread, so they must return at once.

    `icon` is a PIL image or a `Drawing`. A left click is the menu's default item.

    Rows of a menu are taken for the same ones, so that an open menu stays open while their texts and checks
    change, where their actions compare equal: give them callables that do (bound methods, frozen dataclasses
    with `__call__`) rather than lambdas.
    """

    def __init__(
        self,
        name: str,
        icon: Image.Image | Drawing | None = None,
        title: str | None = None,
        menu: Any = None,
        *,
        on_middle_click: Callable[[], object] = lambda: None,
    ) -> None:
        self._on_middle_click = on_middle_click
        super().__init__(name, icon, title, menu)
        raise NotImplementedError

    def notify(
        self,
        message: str,
        title: str | None = None,
        *,
        actions: Sequence[tuple[str, Callable[[], object]]] = (),
        replaces: str = "",
        urgency: Urgency = "normal",
    ) -> None:
        """Pop `message` up, plain text, under `title` (where None, the icon's).

        `actions` are buttons: a label and what is called when it is chosen. A click on the notification
        itself is the first of them. It takes the place of the one that was last shown with the same
        `replaces`.
        """
        raise NotImplementedError

    def remove_notification(self, category: str | None = None) -> None:
        """Take back the notification shown last with `replaces=category`; all of them where None."""
        raise NotImplementedError
