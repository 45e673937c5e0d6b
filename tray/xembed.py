"""The icon in panels that know only the old way, XEmbed: i3bar, tint2, trayer and the like.

In the place of pystray's own backend, which never asks X for clicks and gives up where the panel comes later.
One window is drawn into, in one thread; what other threads want is noted, and that thread is woken.

System Tray Protocol Specification 0.4, XEmbed Protocol Specification 0.5 (freedesktop.org).
"""

import contextlib
import os
import selectors
import socket
from collections.abc import Callable, Iterator
from typing import Any

from PIL import Image
from Xlib import X, Xutil, display, error
from Xlib.protocol import event

from sockslocal_tray import base
from sockslocal_tray.icons import Drawing

_REQUEST_DOCK = 0
_XEMBED_MAPPED = 1
_SMALLEST = 24  # pixels; panels give more, or less, as they are high
_LEFT, _MIDDLE, _RIGHT = 1, 2, 3


def manager_is_there() -> bool:
    """Whether a panel takes such icons now. Without a display to ask there is none."""
    if not os.environ.get("DISPLAY"):
        return False
    try:
        with contextlib.closing(display.Display()) as screen:
            owner = screen.get_selection_owner(_selection(screen))
            return bool(owner != X.NONE)
    except (error.DisplayError, error.ConnectionClosedError, OSError):
        return False


def _selection(screen: Any) -> int:
    return int(screen.intern_atom(f"_NET_SYSTEM_TRAY_S{screen.get_default_screen()}"))


class Icon(base.Icon):  # type: ignore[misc]  # pystray has no types
    """A tray icon without a menu: a click is the default action, a middle click `on_middle_click`.

    `icon` is a `Drawing`, which is shown as it suits the panel's colour.
    """

    HAS_MENU = False
    HAS_MENU_RADIO = False
    HAS_NOTIFICATION = False

    def __init__(self, *arguments: Any, on_middle_click: Callable[[], object] = lambda: None) -> None:
        super().__init__(*arguments)
        self._on_middle_click = on_middle_click
        self._waker: socket.socket | None = None
        self._shown = self._stopping = False

    def stop(self) -> None:
        """Have `run` return, also where it has yet to start."""
        self._stopping = True
        super().stop()

    def _wake(self) -> None:
        with contextlib.suppress(OSError):  # it has been woken already, or has ended
            if self._waker is not None:
                self._waker.send(b"!")

    _update_title = _update_menu = _wake

    def _show(self) -> None:
        self._shown = True
        self._wake()

    def _hide(self) -> None:
        self._shown = False
        self._wake()

    def _update_icon(self) -> None:
        self._icon_valid = True
        self._wake()

    def _stop(self) -> None:
        self._wake()

    def run(self, setup: Callable[[base.Icon], object] | None = None) -> None:
        """As pystray's; raises ConnectionError where there is no display, or when it goes away."""
        try:
            # before the thread of `setup` is started: it waits for ever where nothing runs
            self._screen = display.Display()
            self._waker, self._woken = socket.socketpair()
            self._waker.setblocking(False)
            self._woken.setblocking(False)
            with contextlib.closing(self._screen), self._waker, self._woken:
                super().run(setup)
        except (error.DisplayError, error.ConnectionClosedError) as lost:
            raise ConnectionError(f"there is no display: {lost}") from None

    def _run(self) -> None:
        self._serve(self._screen, _Dock(self._screen, self.name))

    def _serve(self, screen: Any, dock: "_Dock") -> None:
        self._mark_ready()
        with selectors.DefaultSelector() as ready:
            ready.register(screen.fileno(), selectors.EVENT_READ)
            ready.register(self._woken, selectors.EVENT_READ)
            while not self._stopping:
                dock.show(self._icon if self._shown else None, self._title)
                if not screen.pending_events():  # some may have come along with the answers to questions
                    ready.select()
                with contextlib.suppress(BlockingIOError):
                    self._woken.recv(4096)
                for button in dock.clicks():
                    self._on_click(button)
            dock.show(None, "")

    def _on_click(self, button: int) -> None:
        if button == _MIDDLE:
            self._on_middle_click()
        elif button in (_LEFT, _RIGHT):
            self()

    def __del__(self) -> None:
        """Not as pystray's: what is drawn goes with the connection to X."""


class _Dock:
    """Our window, and the panel that shows it; of each there may be none."""

    def __init__(self, screen: Any, name: str) -> None:
        self._screen = screen
        self._name = name
        self._window: Any = None
        self._manager: Any = None
        self._drawn: tuple[Any, int, int] | None = None
        self._title = ""
        screen.set_error_handler(_ignore)  # what is gone is gone: panels end when they like
        self._root = screen.screen().root
        self._root.change_attributes(event_mask=X.StructureNotifyMask)  # MANAGER messages
        self._selection = _selection(screen)

    def show(self, icon: Drawing | None, title: str) -> None:
        """Have the panel, if there is one, show `icon` under `title`."""
        if icon is None:
            self._leave()
            return
        if self._manager is None:
            self._find_manager()
        if self._manager is not None and self._window is None:
            self._dock()
        if self._window is not None:
            self._draw(icon)
            if title != self._title:
                self._window.set_wm_name(title)
                self._title = title
        self._screen.flush()

    def clicks(self) -> Iterator[int]:
        """The buttons that were pressed, while what else has happened is taken note of."""
        while self._screen.pending_events():
            happened = self._screen.next_event()
            if happened.type == X.ButtonPress:
                yield happened.detail
            elif happened.type == X.DestroyNotify:
                self._destroyed(happened.window)
            elif happened.type in (X.Expose, X.ConfigureNotify):
                self._drawn = None

    def _destroyed(self, window: Any) -> None:
        if window == self._manager:
            self._manager = None
            self._leave()
        elif window == self._window:
            self._window = None

    def _leave(self) -> None:
        if self._window is not None:
            self._window.destroy()
            self._window = None
        self._screen.flush()

    def _find_manager(self) -> None:
        """The owner of the selection, which is there still once we are to be told of its end."""
        owner = self._screen.get_selection_owner(self._selection)
        if owner == X.NONE:
            return
        owner.change_attributes(event_mask=X.StructureNotifyMask)
        if self._screen.get_selection_owner(self._selection) == owner:
            self._manager = owner

    def _dock(self) -> None:
        screen = self._screen.screen()
        self._window = self._root.create_window(
            *(-1, -1, _SMALLEST, _SMALLEST, 0, screen.root_depth),
            background_pixmap=X.ParentRelative,
            event_mask=X.ButtonPressMask | X.ExposureMask | X.StructureNotifyMask,
        )
        self._window.set_wm_class(self._name, self._name)
        self._window.set_wm_normal_hints(flags=Xutil.PMinSize, min_width=_SMALLEST, min_height=_SMALLEST)
        info = self._screen.intern_atom("_XEMBED_INFO")
        self._window.change_property(info, info, 32, [0, _XEMBED_MAPPED])
        self._drawn, self._title = None, ""
        request = event.ClientMessage(
            window=self._manager,
            client_type=self._screen.intern_atom("_NET_SYSTEM_TRAY_OPCODE"),
            data=(32, [X.CurrentTime, _REQUEST_DOCK, self._window.id, 0, 0]),
        )
        self._manager.send_event(request, event_mask=X.NoEventMask)

    def _draw(self, icon: Drawing) -> None:
        try:
            place = self._window.get_geometry()
        except error.XError:  # it is gone, and the message is on its way
            return
        what = icon, place.width, place.height
        if what == self._drawn:
            return
        self._drawn = what
        size = min(place.width, place.height)
        self._window.clear_area()
        ground = self._ground(place.width, place.height)
        picture = icon._replace(dark=_is_dark(ground)).at(size)
        left, top = (place.width - size) // 2, (place.height - size) // 2
        ground.paste(picture, (left, top), picture)
        vars(ground)["tostring"] = ground.tobytes  # as Xlib calls it
        self._window.put_pil_image(self._window.create_gc(), 0, 0, ground)

    def _ground(self, width: int, height: int) -> Image.Image:
        """The panel as it is beneath the icon; X has no half transparent windows of this depth."""
        try:
            seen = self._window.get_image(0, 0, width, height, X.ZPixmap, 0xFFFFFFFF)
            return Image.frombytes("RGB", (width, height), seen.data, "raw", "BGRX")
        except (error.XError, ValueError):  # not visible, or of another depth
            return Image.new("RGB", (width, height))


def _is_dark(ground: Image.Image) -> bool:
    """As most of its pixels are."""
    return bool(ground.convert("L").resize((1, 1), Image.Resampling.BOX).getpixel((0, 0)) < 128)  # type: ignore[operator]


def _ignore(_error: Any, _request: Any) -> None:
    pass
