"""What each way of having the system ask the resolver can do.

Backend
├── FileBackend          file_backend.py: puts files there, and has a service read them
│   ├── Resolved         resolved.py
│   ├── NetworkManager   network_manager.py
│   └── Plain            plain.py: resolv.conf itself
├── Scutil               macos.py
└── Nrpt                 windows.py
"""

from typing import NamedTuple, Protocol

from sockslocal.system_dns.journal import Change, Journal, Method


class Survey(NamedTuple):
    """What a switching will change, and who was asked before; `warnings` are for the person."""

    servers: tuple[str, ...]
    search: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()
    warnings: tuple[str, ...] = ()
    redirect: bool = False
    """Whether port 53 has to lead to the resolver's."""


class RefusedError(Exception):
    """What keeps the system from being switched, in a clause, and what mends it. Nothing has changed."""

    def __init__(self, reason: str, remedy: str = "sockslocal dns status") -> None:
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy


class Backend(Protocol):
    """One way; all may raise OSError, which CommandError is."""

    @property
    def method(self) -> Method: ...

    def is_there(self) -> bool:
        """Whether this is what the system's names are looked up by."""
        ...

    def check_port(self, port: int, /) -> None:
        """Whether a resolver at that port can be asked; all can ask one at port 53. Raises RefusedError."""
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
