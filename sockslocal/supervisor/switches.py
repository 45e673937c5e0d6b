"""What the user switched off, kept across restarts."""

import logging
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from sockslocal.files import read_bounded, unwritable_remedy, write_atomically
from sockslocal.problems import Problem, problem

MAX_BYTES = 1 << 18

RETRY_S = 30.0
"""Between two attempts to write what could not be written."""

_log = logging.getLogger(__name__)


class _Kept(msgspec.Struct):
    """As it stands in the file."""

    tunnel: bool = True
    off: set[str] = set()


class Switches:
    """One for the whole tunnel and one for each forward; `dns` is the resolver's. All are on at first."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._tried = 0.0
        self._kept = _read(path)
        self.problem: Problem | None = None
        """Why the file does not say what is switched; the switches work all the same."""

    @property
    def tunnel(self) -> bool:
        return self._kept.tunnel

    def is_on(self, name: str) -> bool:
        """Whether `name` would be on with the tunnel on."""
        return name not in self._kept.off

    def set_tunnel(self, *, on: bool) -> None:
        self._kept.tunnel = on
        self._write()

    def set(self, name: str, *, on: bool) -> None:
        if on:
            self._kept.off.discard(name)
        else:
            self._kept.off.add(name)
        self._write()

    def retry(self, after_s: float = RETRY_S) -> None:
        """Write what could not be written, where that was tried so many seconds ago."""
        if self.problem is not None and self._clock() - self._tried >= after_s:
            self._write()

    def _write(self) -> None:
        self._tried = self._clock()
        before, self.problem = self.problem, None
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_atomically(self._path, msgspec.json.encode(self._kept))
        except OSError as error:
            remedy = unwritable_remedy(error, self._path)
            self.problem = problem("switches-unkept", path=self._path, reason=error.strerror, remedy=remedy)
            if self.problem != before:
                _log.warning("! %s", self.problem.text)


def _read(path: Path) -> _Kept:
    try:
        return msgspec.json.decode(read_bounded(path, MAX_BYTES), type=_Kept)
    except FileNotFoundError:
        return _Kept()
    except (OSError, msgspec.MsgspecError, RecursionError) as error:
        _log.warning("! %s cannot be read, everything is on: %s", path, error)
        return _Kept()
