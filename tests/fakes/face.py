"""An icon that nobody sees: it notes what it is to show."""

from collections.abc import Sequence

from sockslocal_tray.face import Message
from sockslocal_tray.icons import Drawing
from sockslocal_tray.menu import Row


class FakeFace:
    """A `Face`; of each kind the last is what would be shown now."""

    def __init__(self) -> None:
        self.drawings: list[Drawing] = []
        self.titles: list[str] = []
        self.menus: list[Sequence[Row]] = []
        self.messages: list[Message] = []
        self.taken_back: list[str] = []
        self.stopped = False

    def show(self, drawing: Drawing) -> None:
        self.drawings.append(drawing)

    def lay_out(self, title: str, rows: Sequence[Row]) -> None:
        self.titles.append(title)
        self.menus.append(rows)

    def tell(self, message: Message) -> None:
        self.messages.append(message)

    def take_back(self, category: str) -> None:
        self.taken_back.append(category)

    def stop(self) -> None:
        self.stopped = True
