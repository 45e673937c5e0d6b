"""What the daemon says of itself, kept up to date by a thread."""

import logging
import threading
from collections.abc import Callable
from typing import NamedTuple

from sockslocal.control.client import Client
from sockslocal.errors import SockslocalError
from sockslocal.paths import Paths
from sockslocal.problems import Problem
from sockslocal.status import Status

_log = logging.getLogger(__name__)

RETRY_S = 0.5
"""Between two looks for a daemon: what starts is seen within a second."""


class Seen(NamedTuple):
    """The daemon's status; without one `absence` is why there is none."""

    status: Status | None
    absence: Problem | None = None


class Watch:
    """Tells `tell` of each new state, in a thread of its own, for as long as the process lives."""

    def __init__(self, paths: Paths, tell: Callable[[Seen], object]) -> None:
        self._client = Client(paths)
        self._tell = tell
        self._last: Seen | None = None
        self._ended = threading.Event()

    def start(self) -> None:
        """Begin to watch."""
        threading.Thread(target=self._run, name="watch", daemon=True).start()

    def stop(self) -> None:
        """Tell nothing more; the thread, which may be waiting for the daemon, ends by and by."""
        self._ended.set()

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                for _, status in self._client.watch():
                    self._say(Seen(status))
            except SockslocalError as error:
                self._say(Seen(None, error.problem))
            except Exception as error:  # noqa: BLE001  a bug there must not end the thread
                _log.exception("! watching the daemon failed")
                self._say(Seen(None, SockslocalError.of("internal", reason=f"{error!r}").problem))
            self._ended.wait(RETRY_S)

    def _say(self, seen: Seen) -> None:
        if seen != self._last and not self._ended.is_set():
            self._last = seen
            self._tell(seen)
