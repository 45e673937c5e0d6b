r"""Windows: a rule of the Name Resolution Policy Table, by its key in the registry. Untested there.

The rule has a GUID of our own, so whoever comes next can take it away, whatever became of the last one.
"""

from sockslocal.system_dns.backend import RefusedError, Survey
from sockslocal.system_dns.journal import Journal, Method, is_server
from sockslocal.system_dns.system import System

GUID = "{6c1f2d0e-5b9a-4f67-9d3b-8a1e0c7754d2}"
KEY = rf"HKLM\SYSTEM\CurrentControlSet\Services\Dnscache\Parameters\DnsPolicyConfig\{GUID}"

_VALUES = (
    ("Name", "REG_MULTI_SZ", "."),
    ("GenericDNSServers", "REG_SZ", "127.0.0.1"),
    ("ConfigOptions", "REG_DWORD", "8"),  # the rule names servers (MS-GPNRPT §2.2.2.13)
    ("Version", "REG_DWORD", "2"),
)
_SERVERS = "(Get-DnsClientServerAddress).ServerAddresses"


class Nrpt:
    """One rule for all names."""

    method: Method = "NRPT"

    def __init__(self, system: System) -> None:
        self._system = system

    def is_there(self) -> bool:
        return True

    def check_port(self, port: int) -> None:
        if port != 53:
            reason = f"Windows can ask port 53 only, and not {port}"
            raise RefusedError(reason, 'put listen = "127.0.0.1:53" into [dns]')

    def survey(self, _port: int) -> Survey:
        listed = self._system.command("powershell", "-NoProfile", "-NonInteractive", "-Command", _SERVERS)
        found = dict.fromkeys(filter(is_server, listed.split()))
        return Survey(tuple(server for server in found if server != "127.0.0.1"))

    def switch(self, _journal: Journal) -> None:
        for name, kind, value in _VALUES:
            self._system.command("reg", "add", KEY, "/v", name, "/t", kind, "/d", value, "/f")
        self._forget_answers()

    def restore(self, _journal: Journal) -> None:
        """The rule is nobody's but ours."""
        self.salvage()

    def salvage(self) -> bool:
        there = self._system.succeeds("reg", "query", KEY)
        if there:
            self._system.command("reg", "delete", KEY, "/f")
        self._forget_answers()
        return there

    def fault(self, _journal: Journal) -> str:
        there = self._system.succeeds("reg", "query", KEY, "/v", "Version")
        return "" if there else "the rule for all names is gone"

    def _forget_answers(self) -> None:
        self._system.command("ipconfig", "/flushdns")
