"""macOS: a key of the dynamic store (scutil(8)), which a restart of the machine forgets. Untested there."""

import re

from sockslocal.system_dns.backend import Survey
from sockslocal.system_dns.journal import Journal, Method, is_server
from sockslocal.system_dns.system import System

KEY = "State:/Network/Service/sockslocal/DNS"

_SERVER = re.compile(r"\s*nameserver\[\d+\] : (\S+)")
_SEARCH = re.compile(r"\s*search domain\[\d+\] : (\S+)")


class Scutil:
    """A DNS service of our own that claims all names."""

    method: Method = "scutil"

    def __init__(self, system: System) -> None:
        self._system = system

    def is_there(self) -> bool:
        return True

    def check_port(self, port: int) -> None:
        """It takes all."""

    def survey(self, _port: int) -> Survey:
        """Who is asked: the first resolver that `scutil --dns` tells of."""
        first = self._system.command("scutil", "--dns").partition("resolver #2")[0]
        found = (match[1] for match in map(_SERVER.match, first.splitlines()) if match)
        search = tuple(match[1] for match in map(_SEARCH.match, first.splitlines()) if match)
        return Survey(tuple(filter(is_server, found)), search)

    def switch(self, journal: Journal) -> None:
        self._system.command(
            "scutil",
            text="d.init\n"
            "d.add ServerAddresses * 127.0.0.1\n"
            f"d.add ServerPort # {journal.port}\n"
            'd.add SupplementalMatchDomains * ""\n'
            f"set {KEY}\n",
        )

    def restore(self, _journal: Journal) -> None:
        """The key is nobody's but ours."""
        self.salvage()

    def salvage(self) -> bool:
        there = "127.0.0.1" in self._system.command("scutil", text=f"show {KEY}\n")
        self._system.command("scutil", text=f"remove {KEY}\n")
        return there

    def fault(self, journal: Journal) -> str:
        shown = self._system.command("scutil", text=f"show {KEY}\n")
        there = "127.0.0.1" in shown and f"ServerPort : {journal.port}" in shown
        return "" if there else "macOS has forgotten the resolver"
