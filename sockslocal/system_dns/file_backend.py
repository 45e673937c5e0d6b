"""What the ways of Linux share: a file, a service that reads it, and port 53 for what knows no other."""

from sockslocal.system_dns import changes, redirect
from sockslocal.system_dns.backend import Survey
from sockslocal.system_dns.journal import Journal, Method, Snapshot
from sockslocal.system_dns.resolv_conf import MARKER
from sockslocal.system_dns.system import System


class FileBackend:
    """A file, and a service that reads it."""

    method: Method
    _path: str

    def __init__(self, system: System) -> None:
        self._system = system

    def check_port(self, port: int) -> None:
        """What cannot be told the port asks port 53, if that can lead there."""
        if not self._takes_port(port):
            redirect.check(self._system, self.method)

    def survey(self, port: int) -> Survey:
        if self._takes_port(port):
            return self._survey(port)
        return self._survey(53)._replace(redirect=True)

    def switch(self, journal: Journal) -> None:
        if journal.redirect:
            redirect.make(self._system, journal.port)
        for change in journal.changes:
            changes.make(self._system.root, change)
        self._activate()

    def restore(self, journal: Journal) -> None:
        for change in journal.changes:
            changes.undo(self._system.root, change, journal.step)
        if journal.redirect:
            redirect.remove(self._system)
        self._activate()

    def salvage(self) -> bool:
        now = changes.look(self._system.root / self._path)
        if now.kind != "file" or not now.content.startswith(MARKER):
            return False
        changes.put(self._system.root / self._path, self._salvaged(now))
        redirect.remove(self._system)
        self._activate()
        return True

    def fault(self, journal: Journal) -> str:
        for change in journal.changes:
            if not changes.is_made(self._system.root, change):
                return f"/{change.path} was changed by somebody else"
        if journal.redirect and not redirect.leads(self._system):
            return f"port 53 of 127.0.0.1 does not lead to port {journal.port}"
        return self._service_fault(journal)

    def _takes_port(self, port: int) -> bool:
        """Whether it can be told that port."""
        return port == 53

    def _survey(self, port: int) -> Survey:
        """As `survey`, for what it is to be told."""
        raise NotImplementedError

    def _service_fault(self, journal: Journal) -> str:  # noqa: ARG002  another one has a service
        """Why the service does not do what the files say; empty where it does."""
        return ""

    def _salvaged(self, now: Snapshot) -> Snapshot:  # noqa: ARG002  another one makes something of it
        """What is to be in place of a file of ours, as far as can be known."""
        return Snapshot()

    def _activate(self) -> None:
        """Have the files read."""
        raise NotImplementedError
