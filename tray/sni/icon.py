"""pystray's Icon as a StatusNotifierItem."""

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from PIL import Image

from sockslocal_tray import base
from sockslocal_tray.sni import rows, values
from sockslocal_tray.sni.bus import Bus, BusLostError
from sockslocal_tray.sni.item import Face
from sockslocal_tray.sni.notifications import Action, Notice, Urgency
from sockslocal_tray.sni.rows import Row
from sockslocal_tray.sni.session import Session
from sockslocal_tray.sni.values import Drawing, Pixmap

_log = logging.getLogger(__name__)

Errand = Callable[[Session], object]

_MAX_ERRANDS = 64
"""Notifications that may wait for the thread that serves; the oldest are lost."""


class Icon(base.Icon):  # type: ignore[misc]  # pystray has no types
    """A tray icon. All of it may be used from any thread.

    `run` serves the bus in the calling thread until `stop`; it raises BusLostError where there is no session
    bus, or when it goes away. It waits for a panel and comes back to one that was restarted. Callbacks (of
    menu items, clicks and notifications) are called in that thread, so they must return at once; what they
    raise is logged. An icon that was stopped does not run again.

    `icon` is a PIL image or a `Drawing`. A left click is the menu's default item.

    Rows of a menu are taken for the same ones, so that an open menu stays open while their texts and checks
    change, where their actions compare equal: give them callables that do (bound methods, frozen dataclasses
    with `__call__`) rather than lambdas.
    """

    _icon_valid: bool

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
        self._shown = False
        self._stopped = False
        self._pixmaps: Sequence[Pixmap] = ()
        self._rows: Sequence[Row] = ()
        self._errands: deque[Errand] = deque(maxlen=_MAX_ERRANDS)
        self._bus: Bus | None = None
        super().__init__(name, icon, title, menu)

    # --- pystray's ------------------------------------------------------------------------------------------

    def run(self, setup: Callable[[base.Icon], object] | None = None) -> None:
        """Serve the bus until `stop`; raises BusLostError. `setup` is called in a thread (see pystray)."""
        bus = self._bus = Bus()  # before that thread is started: it waits for ever where nothing runs
        self._start_setup(setup)
        self._serve(bus)

    def run_detached(self, setup: Callable[[base.Icon], object] | None = None) -> None:
        """As `run`, in a thread; raises BusLostError where there is no session bus."""
        bus = self._bus = Bus()
        self._start_setup(setup)
        threading.Thread(target=self._serve_detached, args=(bus,), name="tray icon").start()

    def stop(self) -> None:
        """Have `run` return, also where it has yet to start."""
        self._stopped = True
        self._wake()
        super().stop()

    def notify(
        self,
        message: str,
        title: str | None = None,
        *,
        actions: Sequence[Action] = (),
        replaces: str = "",
        urgency: Urgency = "normal",
    ) -> None:
        """Pop `message` up, plain text, under `title` (where None, the icon's).

        `actions` are buttons: a label and what is called when it is chosen. A click on the notification
        itself is the first of them. It takes the place of the one that was last shown with the same
        `replaces`.
        """
        image = _tried(lambda: values.image_data(self.icon), None) if self.icon else None
        buttons = [(label, partial(self._do, action)) for label, action in actions]
        notice = Notice(self.title if title is None else title, message, urgency, buttons, image)
        category = replaces or object()
        self._later(lambda session: session.notifications.show(category, notice))

    def remove_notification(self, category: str | None = None) -> None:
        """Take back the notification shown last with `replaces=category`; all of them where None."""
        if category is None:
            self._later(lambda session: session.notifications.close_all())
        else:
            self._later(lambda session: session.notifications.close(category))

    def _later(self, errand: Errand) -> None:
        self._errands.append(errand)
        self._wake()

    # --- what pystray calls: the thread that serves is told to look at what is wanted now -------------------

    def _wake(self) -> None:
        if self._bus:
            self._bus.wake()

    _update_icon = _update_title = _update_menu = _stop = _wake

    def _show(self) -> None:
        self._shown = True
        self._wake()

    def _hide(self) -> None:
        self._shown = False
        self._wake()

    # --- in the thread that serves --------------------------------------------------------------------------

    def _serve_detached(self, bus: Bus) -> None:
        try:
            self._serve(bus)
        except BusLostError as error:
            _log.warning("! the tray icon is gone: %s", error)

    def _serve(self, bus: Bus) -> None:
        try:
            with bus:
                self._mark_ready()  # before anything can fail: the thread of `setup` waits for it without end
                session = self._session(bus)
                bus.on_wake = lambda: self._look(session)
                self._look(session)
                bus.serve(until=lambda: self._stopped)
        finally:
            self._running = False

    def _session(self, bus: Bus) -> Session:
        return Session(
            bus,
            self._name,
            on_click=lambda: self._do(self),
            on_middle_click=lambda: self._do(self._on_middle_click),
            on_row=lambda click: self._do(lambda: click(self)),
        )

    def _look(self, session: Session) -> None:
        """Show what is wanted now."""
        if self._icon and not self._icon_valid:
            self._icon_valid = True  # before it is drawn, for it may be changed meanwhile
            self._pixmaps = _tried(lambda: values.pixmaps(self._icon), self._pixmaps)
        self._rows = _tried(lambda: rows.rows(self._menu), self._rows)
        face = Face("Active" if self._shown else "Passive", self._title, self._pixmaps)
        session.show(face, self._rows)
        while self._errands:
            self._errands.popleft()(session)

    def _do(self, action: Callable[[], object]) -> None:
        """What a click asks for; as pystray does it, the menu is looked at afterwards."""
        _tried(action, None)
        self.update_menu()


T = TypeVar("T")


def _tried(code: Callable[[], T], otherwise: T) -> T:
    """What the application's `code` returns; `otherwise` where it fails."""
    try:
        return code()
    except Exception:  # noqa: BLE001  a bug there must not take the icon away
        _log.exception("! what belongs to the tray icon failed")
        return otherwise
