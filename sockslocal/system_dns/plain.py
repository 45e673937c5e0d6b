"""resolv.conf itself, where nothing is known to look after it: only if the person asked for it.

It knows port 53 only. A restart of the machine does not undo it: `restore` does.
"""

from dataclasses import replace

from sockslocal.system_dns import changes, resolv_conf
from sockslocal.system_dns.backend import Survey
from sockslocal.system_dns.file_backend import FileBackend
from sockslocal.system_dns.journal import RESOLV_CONF, Method, Snapshot


class Plain(FileBackend):
    """The file, or the link that stands in its place."""

    method: Method = "resolv.conf"
    _path = RESOLV_CONF

    def is_there(self) -> bool:
        return True

    def _survey(self, _port: int) -> Survey:
        found = resolv_conf.parse(self._system.read(RESOLV_CONF))
        change = changes.survey(self._system.root, self._path, resolv_conf.render(found))
        warnings = (
            (f"{found.owner} looks after /etc/resolv.conf, and may write it anew",) if found.owner else ()
        )
        return Survey(found.servers, found.search, (change,), warnings)

    def _salvaged(self, now: Snapshot) -> Snapshot:
        return replace(now, content=resolv_conf.salvage(now.content))

    def _activate(self) -> None:
        """Programs read it by themselves."""
