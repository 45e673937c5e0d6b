"""The files by which systemd-resolved and NetworkManager are told to ask the resolver.

Pure: text in, text out. Both go below /run, which a restart of the machine empties.
"""

import re

from sockslocal.system_dns.resolv_conf import MARKER

FIRST_WITH_PORTS = 246
"""systemd's version from which on resolved.conf(5) takes a port (`DNS=127.0.0.1:5399`)."""

_HEAD = f"{MARKER.decode()} Undone by: sockslocal dns restore\n"
_VERSION = re.compile(r"systemd (\d+)")
_LINK = re.compile(r"Link \d+ \(([^)]*)\):(.*)")


def resolved(port: int) -> bytes:
    """A drop-in of resolved.conf(5): all names go to the resolver, unless a link claims them too.

    An empty value takes back what other files say. TLS with a resolver on this machine would find none.
    """
    server = "127.0.0.1" if port == 53 else f"127.0.0.1:{port}"
    return (
        f"{_HEAD}[Resolve]\nDNS=\nDNS={server}\nFallbackDNS=\nDomains=\nDomains=~.\nDNSOverTLS=no\n"
    ).encode()


def network_manager() -> bytes:
    """A file of NetworkManager.conf(5): one server for all names, instead of those of the connections."""
    return f"{_HEAD}[global-dns-domain-*]\nservers=127.0.0.1\n".encode()


def takes_ports(version: str) -> bool:
    """Whether the systemd that says `version` of itself lets a server have a port."""
    found = _VERSION.match(version)
    return found is not None and int(found[1]) >= FIRST_WITH_PORTS


def rivals(domains: str) -> tuple[str, ...]:
    """The links that claim all names too, by what `resolvectl domain` prints: what they get leaks."""
    found = (_LINK.match(line) for line in domains.splitlines())
    return tuple(link[1] for link in found if link and "~." in link[2].split())


def asks_us(servers: str, port: int) -> bool:
    """Whether resolved's only global server is the resolver, by what `resolvectl dns` prints."""
    for line in servers.splitlines():
        scope, _, listed = line.partition(":")
        if scope.strip() == "Global":
            return listed.split() == ["127.0.0.1" if port == 53 else f"127.0.0.1:{port}"]
    return False
