"""What each way of having the system ask the resolver can do.

Backend
├── FileBackend          puts files there, and has a service read them
│   ├── Resolved         resolved.py
│   ├── NetworkManager   network_manager.py
│   └── Plain            plain.py: resolv.conf itself
├── Scutil               macos.py
└── Nrpt                 windows.py
"""

from typing import NamedTuple, Protocol

from sockslocal.system_dns import changes
from sockslocal.system_dns.journal import Change, Journal, Method, Snapshot
from sockslocal.system_dns.resolv_conf import MARKER
from sockslocal.system_dns.system import System


class Survey(NamedTuple):
    """What a switching will change, and who was asked before; `warnings` are for the person."""

    servers: tuple[str, ...]
    search: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()
    warnings: tuple[str, ...] = ()


class Backend(Protocol):
    """One way; all may raise OSError, which CommandError is."""

    @property
    def method(self) -> Method: ...

    def is_there(self) -> bool:
        """Whether this is what the system's names are looked up by."""
        ...

    def takes_port(self, port: int, /) -> bool:
        """Whether a resolver at that port can be asked; all can ask one at port 53."""
        ...

    def survey(self, port: int, /) -> Survey:
        """What is; changes nothing."""
        ...

    def switch(self, journal: Journal, /) -> None:
        """Have the system ask the resolver; once more changes nothing."""
        ...

    def restore(self, journal: Journal, /) -> None:
        """Have all as it was, but for what others have changed since. Once more changes nothing."""
        ...

    def salvage(self) -> bool:
        """Take away what is ours without knowing what was before; gives whether there was anything."""
        ...

    def fault(self, journal: Journal, /) -> str:
        """Why the system does not ask the resolver, by its own word; empty where it does."""
        ...


class FileBackend:
    """A file, and a service that reads it."""

    _path: str

    def __init__(self, system: System) -> None:
        self._system = system

    def switch(self, journal: Journal) -> None:
        for change in journal.changes:
            changes.make(self._system.root, change)
        self._activate()

    def restore(self, journal: Journal) -> None:
        for change in journal.changes:
            changes.undo(self._system.root, change, journal.step)
        self._activate()

    def salvage(self) -> bool:
        now = changes.look(self._system.root / self._path)
        if now.kind != "file" or not now.content.startswith(MARKER):
            return False
        changes.put(self._system.root / self._path, self._salvaged(now))
        self._activate()
        return True

    def _salvaged(self, now: Snapshot) -> Snapshot:  # noqa: ARG002  another one makes something of it
        """What is to be in place of a file of ours, as far as can be known."""
        return Snapshot()

    def _files_fault(self, journal: Journal) -> str:
        for change in journal.changes:
            if not changes.is_made(self._system.root, change):
                return f"/{change.path} was changed by somebody else"
        return ""

    def _activate(self) -> None:
        """Have the files read."""
        raise NotImplementedError
