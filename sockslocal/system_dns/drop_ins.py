"""The files by which systemd-resolved and NetworkManager are told to ask the resolver.

Pure: text in, text out. Both go below /run, which a restart of the machine empties.
"""

import re

from sockslocal.system_dns.resolv_conf import MARKER, ResolvConf

FIRST_WITH_PORTS = 246
"""systemd's version from which on resolved.conf(5) takes a port (`DNS=127.0.0.1:5399`)."""

_HEAD = f"{MARKER.decode()} Undone by: sockslocal dns restore\n"
_VERSION = re.compile(r"systemd (\d+)")
_MAX_CLAIMS = 20
"""Of one link that a person is told of."""

_OPTION = re.compile(r"[a-z0-9:-]+")
_LINK = re.compile(r"Link \d+ \(([^)]*)\):(.*)")


def resolved(port: int) -> bytes:
    """A drop-in of resolved.conf(5): all names go to the resolver, unless a link claims them too.

    An empty value takes back what other files say. TLS with a resolver on this machine would find none.
    """
    server = "127.0.0.1" if port == 53 else f"127.0.0.1:{port}"
    return (
        f"{_HEAD}[Resolve]\nDNS=\nDNS={server}\nFallbackDNS=\nDomains=\nDomains=~.\nDNSOverTLS=no\n"
    ).encode()


def network_manager(before: ResolvConf) -> bytes:
    """A file of NetworkManager.conf(5): one server for all names, instead of those of the connections.

    What they say of short names would go with their servers: it is as `before`.
    """
    words = b" ".join(before.options).decode(errors="replace").split()
    options = [word for word in words if _OPTION.fullmatch(word) and word != "options"]
    found = {"searches": ",".join(before.search), "options": ",".join(options)}
    lines = "".join(f"{key}={value}\n" for key, value in found.items() if value)
    return f"{_HEAD}[global-dns]\n{lines}[global-dns-domain-*]\nservers=127.0.0.1\n".encode()


def takes_ports(version: str) -> bool:
    """Whether the systemd that says `version` of itself lets a server have a port."""
    found = _VERSION.match(version)
    return found is not None and int(found[1]) >= FIRST_WITH_PORTS


def claims(domains: str) -> tuple[tuple[str, str], ...]:
    """Each link with each domain that it claims, by what `resolvectl domain` prints; `.` is for all names.

    The network names them, so what is below may be little or much: those names go to the link's servers.
    """
    found = (_LINK.match(line) for line in domains.splitlines())
    return tuple(
        (link[1], domain.lstrip("~")) for link in found if link for domain in link[2].split()[:_MAX_CLAIMS]
    )


def asks_us(servers: str, port: int) -> bool:
    """Whether resolved's only global server is the resolver, by what `resolvectl dns` prints."""
    for line in servers.splitlines():
        scope, _, listed = line.partition(":")
        if scope.strip() == "Global":
            return listed.split() == ["127.0.0.1" if port == 53 else f"127.0.0.1:{port}"]
    return False
