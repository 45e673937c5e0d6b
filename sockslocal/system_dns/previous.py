"""Who was asked for names before the system asked the resolver.

The daemon looks the names of its own servers up there, or it would wait for itself.
"""

import socket
from pathlib import Path
from typing import NamedTuple

from sockslocal.system_dns.journal import Journal, JournalError
from sockslocal.system_dns.store import Store
from sockslocal.system_dns.system import System

DEADLINE_S = 10.0
"""For a look-up, over all servers."""

_UPLINKS = "run/systemd/resolve/resolv.conf"

Found = list[tuple[socket.AddressFamily, tuple[str, int]]]


class Previous(NamedTuple):
    """The servers, and the domains that complete short names."""

    servers: tuple[str, ...]
    search: tuple[str, ...] = ()


def find(root: Path | None = None) -> Previous | None:
    """None where the system does not ask us, and is to be asked as always."""
    system = System() if root is None else System(root)
    try:
        journal = Store(system.root).read()
    except (OSError, JournalError):
        return None
    if journal is None or _is_over(system, journal):
        return None
    return Previous(tuple(dict.fromkeys((*_uplinks(system), *journal.servers))), journal.search)


def _is_over(system: System, journal: Journal) -> bool:
    """Whether no file leads to us any more: a restart of the machine empties /run, and keeps the journal."""
    from sockslocal.system_dns import changes

    if journal.step != "applied" or not journal.changes:
        return False
    try:
        return not any(changes.is_made(system.root, change) for change in journal.changes)
    except OSError:
        return False


def _uplinks(system: System) -> tuple[str, ...]:
    """What systemd-resolved knows of the network that the machine is in now, which may be another one."""
    from sockslocal.system_dns import resolv_conf

    servers = resolv_conf.parse(system.read(_UPLINKS)).servers
    return tuple(server for server in servers if not server.startswith("127."))


def look_up(
    previous: Previous, host: str, port: int, *, root: Path | None = None, dns_port: int = 53
) -> Found:
    """The addresses of `host`, by /etc/hosts and then by the servers of before. Blocks; raises OSError."""
    system = System() if root is None else System(root)
    addresses = _in_hosts(system.read("etc/hosts"), host) or _asked(previous, host, dns_port)
    return [(socket.AF_INET6 if ":" in found else socket.AF_INET, (found, port)) for found in addresses]


def _in_hosts(hosts: bytes, name: str) -> list[str]:
    """The addresses that hosts(5) has for `name`."""
    found = []
    for line in hosts.splitlines():
        words = line.partition(b"#")[0].decode(errors="replace").lower().split()
        if name.lower() in words[1:]:
            found.append(words[0])
    return found


def _asked(previous: Previous, host: str, dns_port: int) -> list[str]:
    import dns.exception  # 6 MB that only a name which has to be looked up here needs
    import dns.name
    import dns.resolver

    if not previous.servers:
        raise OSError(0, "the DNS servers of before are not known")
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers = list(previous.servers)
    resolver.port = dns_port
    resolver.lifetime = DEADLINE_S
    try:
        resolver.search = [dns.name.from_text(domain) for domain in previous.search]
        return list(resolver.resolve_name(host, search=True).addresses())
    except dns.resolver.NXDOMAIN:
        raise OSError(0, "the DNS servers of before know no such name") from None
    except dns.exception.DNSException as error:
        raise OSError(0, f"the DNS servers of before do not tell: {error}") from None
