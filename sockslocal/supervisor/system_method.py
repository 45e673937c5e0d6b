"""By what the system asks the resolver, for every status that is shown."""

from collections.abc import Collection
from pathlib import Path

from sockslocal.system_dns.state import method_at
from sockslocal.system_dns.store import path_of
from sockslocal.system_dns.system import System

_Stamp = tuple[int, ...]


class SystemMethod:
    """What the journal says of `ports`; it is read again only when there is another one.

    Who watches the status has it made each second, within the loop that relays.
    """

    def __init__(self, ports: Collection[int], system: System) -> None:
        self._ports = ports
        self._system = system
        self._path = path_of(system.root)
        self._stamp: _Stamp | None = None
        self._method = ""

    @property
    def now(self) -> str:
        """Empty where the system does not ask it."""
        stamp = _stamp(self._path)
        if stamp != self._stamp:
            self._stamp = stamp
            self._method = method_at(self._ports, self._system)
        return self._method


def _stamp(path: Path) -> _Stamp | None:
    """Differs when the file was replaced or written to; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
