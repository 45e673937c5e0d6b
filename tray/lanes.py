"""Threads that do what was chosen, so that a slow deed never freezes the icon."""

import logging
import queue
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

_log = logging.getLogger(__name__)

_MAX_WAITING = 16
"""Deeds that wait behind a slow one; who clicks more is impatient, and gets no more."""

T = TypeVar("T")


class Lane(Generic[T]):
    """Does one thing after the other, in a thread of its own; one that waits already is not added again."""

    def __init__(self, name: str, do: Callable[[T], object]) -> None:
        self._do = do
        self._waiting: queue.Queue[T] = queue.Queue(_MAX_WAITING)
        self._name = name

    def start(self) -> None:
        """Begin."""
        threading.Thread(target=self._run, name=self._name, daemon=True).start()

    def put(self, wanted: T) -> None:
        """Have it done, after all that waits."""
        with self._waiting.mutex:
            known = wanted in self._waiting.queue
        if known:
            return
        try:
            self._waiting.put_nowait(wanted)
        except queue.Full:
            _log.warning("! too much is to be done: %r is not", wanted)

    def _run(self) -> None:
        while True:
            wanted = self._waiting.get()
            try:
                self._do(wanted)
            except Exception:  # noqa: BLE001  a bug there must not end the thread
                _log.exception("! what was chosen from the tray failed: %r", wanted)
