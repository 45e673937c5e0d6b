"""From what is seen of the daemon to what the icon shows: how soon, and how often.

The icon follows at once, then every half a second at most; menu and title once a second at most; and nothing
is touched that would look the same. So an icon never flickers, however fast the daemon changes.
"""

from dataclasses import replace
from typing import Any

from sockslocal import health
from sockslocal.health import Patience
from sockslocal.notices import Announcer, Notice
from sockslocal_tray import menu
from sockslocal_tray.actions import Action
from sockslocal_tray.face import Face, Message
from sockslocal_tray.icons import Drawing
from sockslocal_tray.menu import View
from sockslocal_tray.watch import Seen

ICON_PAUSE_S, MENU_PAUSE_S = 0.5, 1.0
"""Between two changes of the icon, and of the menu with the title."""

_SLEPT_S = 5.0
"""By how much the clocks must differ more than before for the machine to have slept."""

_BUTTONS = {"remedy": "Run it", "password": "Enter password…"}


class Painter:
    """Paints a `face`; times are seconds of a steady clock, and `start` is the present one.

    `template` has what of a `View` is not the daemon's.
    """

    def __init__(self, face: Face, template: View, start: float, *, dark: bool) -> None:
        self.template = template
        self._face = face
        self._dark = dark
        self._patience = Patience()
        self._announcer = Announcer(start)
        self._icon = _Paced(ICON_PAUSE_S)
        self._menu = _Paced(MENU_PAUSE_S)
        self._slept: float | None = None

    def look(self, seen: Seen, now: float, slept: float) -> float | None:
        """Show what is `seen`; the time to look again though nothing has changed, or None.

        `slept` is how long the machine has slept since any moment.
        """
        if self._slept is not None and slept - self._slept > _SLEPT_S:
            self._announcer.resumed(now)
        self._slept = slept
        shown = self._patience.seen(health.troubles(*seen), now)
        state = health.state(seen.status, shown)
        view = replace(self.template, status=seen.status, state=state, troubles=shown)
        drawing = Drawing(state, self._dark)
        if self._icon.is_due(drawing, now):
            self._face.show(drawing)
        rows = menu.rows(view)
        if self._menu.is_due(rows, now):
            self._face.lay_out(menu.state_line(view), rows)
        self._announce(view, now)
        times = (self._icon.next_at, self._menu.next_at, self._patience.next_at, self._announcer.next_at)
        return min((at for at in times if at is not None), default=None)

    def _announce(self, view: View, now: float) -> None:
        changes = self._announcer.look(view.state, view.troubles, now)
        for category in changes.close:
            self._face.take_back(category)
        for notice in changes.show:
            self._face.tell(_message(notice))


class _Paced:
    """What is shown, and when it may next be changed."""

    def __init__(self, pause: float) -> None:
        self.next_at: float | None = None
        self._pause = pause
        self._shown: Any = None
        self._changed_at = float("-inf")

    def is_due(self, wanted: object, now: float) -> bool:
        """Whether `wanted`, which is new, is to be shown now; then it counts as shown."""
        self.next_at = None
        if wanted == self._shown:
            return False
        if now < self._changed_at + self._pause:
            self.next_at = self._changed_at + self._pause
            return False
        self._shown, self._changed_at = wanted, now
        return True


def _message(notice: Notice) -> Message:
    text = f"{notice.text}\n{notice.remedy}" if notice.remedy else notice.text
    offer = notice.action
    button = (_BUTTONS[offer.verb], Action(offer.verb, offer.argument)) if offer else None
    return Message(notice.title, text, notice.urgency, notice.category, button)
