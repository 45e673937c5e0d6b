"""NetworkManager where it writes resolv.conf itself.

It knows port 53 only. A restart of the machine undoes it.
"""

from sockslocal.system_dns import changes, drop_ins, resolv_conf
from sockslocal.system_dns.backend import Survey
from sockslocal.system_dns.file_backend import FileBackend
from sockslocal.system_dns.journal import NETWORK_MANAGER_DROP_IN, RESOLV_CONF, Journal, Method


class NetworkManager(FileBackend):
    """Its file of global DNS, and its reload."""

    method: Method = "NetworkManager"
    _path = NETWORK_MANAGER_DROP_IN

    def is_there(self) -> bool:
        """It runs, and resolv.conf is its work."""
        if resolv_conf.parse(self._system.read(RESOLV_CONF)).owner != "NetworkManager":
            return False
        return self._system.succeeds("systemctl", "is-active", "--quiet", "NetworkManager.service")

    def _survey(self, _port: int) -> Survey:
        found = resolv_conf.parse(self._system.read(RESOLV_CONF))
        change = changes.survey(self._system.root, self._path, drop_ins.network_manager(found))
        return Survey(found.servers, found.search, (change,))

    def _service_fault(self, _journal: Journal) -> str:
        if resolv_conf.parse(self._system.read(RESOLV_CONF)).servers != ("127.0.0.1",):
            return "NetworkManager did not put the resolver into /etc/resolv.conf"
        return ""

    def _activate(self) -> None:
        if self._system.succeeds("systemctl", "is-active", "--quiet", "NetworkManager.service"):
            self._system.command("nmcli", "general", "reload")
