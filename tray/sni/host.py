"""Whether there is a panel that shows StatusNotifierItems."""

from sockslocal_tray.sni import watcher
from sockslocal_tray.sni.bus import Bus
from sockslocal_tray.sni.inbox import Incoming


def appears(within: float = 0.0) -> bool:
    """Whether a panel is there, or comes within so many seconds; raises BusLostError without a session bus.

    At login the tray may well be started before the panel.
    """
    with Bus() as bus:
        return _Waiting(bus).ends_well(within)


class _Waiting:
    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._there = self._over = False
        bus.on_signal = lambda _: self._look()
        watcher.watch_owner(bus, watcher.NAME)
        bus.match(sender=watcher.NAME, member="StatusNotifierHostRegistered")

    def ends_well(self, within: float) -> bool:
        self._on_answer(self._bus.ask(watcher.is_host_registered(), gives="v"))
        self._bus.later(within, self._end)
        self._bus.serve(lambda: self._there or self._over)
        return self._there

    def _look(self) -> None:
        self._bus.call(watcher.is_host_registered(), self._on_answer, gives="v")

    def _on_answer(self, reply: Incoming | None) -> None:
        self._there = reply is not None and reply.body == (("b", True),)

    def _end(self) -> None:
        self._over = True
