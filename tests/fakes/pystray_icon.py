"""One of pystray's icons that shows nothing: a test clicks on it, and waits for what it is to show."""

import threading
from collections.abc import Callable
from typing import Any

from fakes.waiting import wait_until
from sockslocal_tray import base
from sockslocal_tray.backends import Backend
from sockslocal_tray.icons import Drawing


class FakeIcon(base.Icon):  # type: ignore[misc]  # pystray has no types
    """As our StatusNotifierItem, as far as the tray uses it; `changes` counts those of the picture."""

    def __init__(self, *arguments: Any, on_middle_click: Callable[[], object]) -> None:
        super().__init__(*arguments)
        self.middle_click = on_middle_click
        self.notes: list[str] = []
        self.changes: list[Drawing] = []
        self.layouts = 0
        self.lost: ConnectionError | None = None
        self._over = threading.Event()

    def _run(self) -> None:
        self._mark_ready()
        assert self._over.wait(60)
        if self.lost:
            raise self.lost

    def _update_icon(self) -> None:
        self._icon_valid = True
        self.changes.append(self._icon)

    def _update_menu(self) -> None:
        self.layouts += 1

    _show = _hide = _update_title = lambda self: None

    def _stop(self) -> None:
        self._over.set()

    def lose(self) -> None:
        """As when the desktop ends."""
        self.lost = ConnectionError("the session has ended")
        self._over.set()

    def notify(self, message: str, title: str | None = None, **_more: Any) -> None:
        self.notes.append(f"{title}: {message}")

    def remove_notification(self, category: str | None = None) -> None:
        """Nothing is kept."""

    def wait_for(self, state: str, seconds: float = 10.0) -> None:
        """Return as soon as the icon shows `state`."""
        wait_until(lambda: self.state == state, seconds=seconds, what=f"{state}, not {self.state}")

    @property
    def state(self) -> str:
        """What it shows now."""
        return self._icon.state if self._icon else ""

    def click(self, text: str) -> None:
        """Choose the row, once there is one, whose text begins so."""
        wait_until(lambda: self._row(text) is not None, seconds=10, what=f"a row {text!r}")
        self._row(text)(self)

    def _row(self, text: str) -> Any:
        return next((row for row in _flat(self.menu) if row.text.startswith(text)), None)


def _flat(menu: Any) -> list[Any]:
    return [found for row in menu.items for found in (row, *(_flat(row.submenu) if row.submenu else []))]


def backend(made: list[FakeIcon]) -> Backend:
    """The kind; whoever makes one finds it in `made`."""

    def make(*arguments: Any, **more: Any) -> FakeIcon:
        made.append(FakeIcon(*arguments, **more))
        return made[-1]

    return Backend("fake", make, draws=True, offers=True)
