"""systemd-resolved, by a drop-in below /run: any port, and a restart of the machine undoes it."""

from sockslocal.system_dns import changes, drop_ins, resolv_conf
from sockslocal.system_dns.backend import Survey
from sockslocal.system_dns.file_backend import FileBackend
from sockslocal.system_dns.journal import RESOLV_CONF, RESOLVED_DROP_IN, Journal, Method

_UNIT = "systemd-resolved.service"

_UPLINKS = "run/systemd/resolve/resolv.conf"
"""Where it lists the servers that it asks."""

_STUBS = ("127.0.0.53", "127.0.0.54")


class Resolved(FileBackend):
    """Its drop-in, and its restart."""

    method: Method = "systemd-resolved"
    _path = RESOLVED_DROP_IN

    def is_there(self) -> bool:
        """It runs, and programs reach it: by resolv.conf, or by nss-resolve."""
        if not self._system.succeeds("systemctl", "is-active", "--quiet", _UNIT):
            return False
        found = resolv_conf.parse(self._system.read(RESOLV_CONF))
        if any(server in _STUBS for server in found.servers):
            return True
        return b"resolve" in _hosts_sources(self._system.read("etc/nsswitch.conf"))

    def _takes_port(self, port: int) -> bool:
        return port == 53 or drop_ins.takes_ports(self._system.command("systemctl", "--version"))

    def _survey(self, port: int) -> Survey:
        found = resolv_conf.parse(self._system.read(_UPLINKS))
        change = changes.survey(self._system.root, self._path, drop_ins.resolved(port))
        claims = drop_ins.claims(self._system.command("resolvectl", "domain"))
        warnings = tuple(
            f"{link} claims {'all names' if domain == '.' else f'names below {domain}'} too: "
            "what its servers get does not pass here"
            for link, domain in claims
        )
        servers = tuple(server for server in found.servers if server != "127.0.0.1")
        return Survey(servers, found.search, (change,), warnings)

    def _service_fault(self, journal: Journal) -> str:
        port = 53 if journal.redirect else journal.port
        if not drop_ins.asks_us(self._system.command("resolvectl", "dns"), port):
            return "systemd-resolved does not name the resolver as its server"
        return ""

    def _activate(self) -> None:
        """Restart it; systemd would refuse the sixth time in 10 s, and leave the machine without names."""
        self._system.succeeds("systemctl", "reset-failed", _UNIT)
        self._system.command("systemctl", "try-restart", _UNIT)


def _hosts_sources(nsswitch: bytes) -> list[bytes]:
    """What nsswitch.conf(5) has host names looked up by."""
    for line in nsswitch.splitlines():
        database, _, sources = line.partition(b":")
        if database.strip() == b"hosts":
            return sources.split()
    return []
