"""What the configuration file says, checked and complete: defaults are filled in, no secret is in it.

All records compare by value, so that a reload finds what changed.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from sockslocal.address import Endpoint, ListenAddress

PasswordKind = Literal["keyring", "file", "command", "systemd", "prompt"]
ServerUdp = Literal["auto", "associate", "uot", "hev", "gost", "off"]
"""How datagrams pass: by whatever works, by UDP ASSOCIATE (RFC 1928), by one of three kinds of UDP over TCP
(sing's, hev-socks5-server's, gost's), or not at all.
"""

Share = Literal["auto", "never"]
"""Whether the local programs of a UDP forward share associations, or each has one of its own."""

UpstreamScheme = Literal["udp", "tcp", "tls", "https"]
"""Plain DNS (RFC 1035, RFC 7766), DNS over TLS (RFC 7858), DNS over HTTPS (RFC 8484)."""

Blocked = Literal["nxdomain", "null"]

DEFAULT_CONNECT_TIMEOUT = 10.0
"""Seconds to look up a server's name and to connect by TCP, together."""

DEFAULT_UDP_PROBE = Endpoint("9.9.9.9", 53)
"""A public DNS server (Quad9)."""

DEFAULT_CACHE = 16_000_000
"""Octets: some 15,000 answers."""

DEFAULT_STALE = 86_400.0
"""Seconds: RFC 8767 §5 suggests one to three days."""

DEFAULT_IDLE = 60.0
"""Seconds without a datagram after which a UDP flow ends (3proxy's and hev's default)."""


@dataclass(frozen=True, slots=True)
class PasswordSource:
    """Where the password is; `argument` is the path, the command line or the credential's name."""

    kind: PasswordKind = "keyring"
    argument: str = ""

    @property
    def place(self) -> str:
        """Where the password is, in words. Of a command only its name: people put secrets into arguments."""
        if self.kind == "file":
            return self.argument
        if self.kind == "command":
            name = self.argument.partition(" ")[0]
            return f'the command "{name}"'
        if self.kind == "systemd":
            return f'the systemd credential "{self.argument}"'
        return "the keyring" if self.kind == "keyring" else "memory"

    def remedy(self, server: str) -> str:
        """How the user has `server` get another password."""
        if self.kind == "keyring":
            return f"sockslocal login {server}"
        if self.kind == "prompt":
            return "sockslocal restart"
        return f"see that {self.place} gives the right password, then: sockslocal restart"


@dataclass(frozen=True, slots=True)
class TlsConfig:
    """TLS round the connections to a server, whose certificate has to be for `name`.

    It is vouched for by the authorities in the file `ca`, or by those that the system trusts.
    """

    name: str
    ca: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """A SOCKS5 server; without `username` no authentication is offered.

    `udp_address` replaces the host that the server names as its UDP relay. `udp_probe` is the DNS server that
    is asked through it whether datagrams come back, and how much of a handshake it takes at once; None: none
    is. `connect_timeout`, in seconds, is for the look-up and the TCP connection together; greeting, login and
    reply have 5, 5 and 10 s.
    """

    name: str
    address: Endpoint
    username: str | None = None
    password_from: PasswordSource = PasswordSource()
    udp: ServerUdp = "auto"
    udp_address: str | None = None
    udp_probe: Endpoint | None = DEFAULT_UDP_PROBE
    tls: TlsConfig | None = None
    connect_timeout: float = DEFAULT_CONNECT_TIMEOUT


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpForwardConfig:
    """Connections to `listen[i]` are carried to `to[i]` by the first of `servers` that is up.

    `only_me` refuses connections that other users of this machine make.
    """

    name: str
    listen: tuple[ListenAddress, ...]
    to: tuple[Endpoint, ...]
    servers: tuple[str, ...]
    enabled: bool = True
    only_me: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class UdpForwardConfig:
    """Datagrams to `listen[i]` are carried to `to[i]`; a flow without any for `idle` seconds ends."""

    name: str
    listen: tuple[Endpoint, ...]
    to: tuple[Endpoint, ...]
    servers: tuple[str, ...]
    enabled: bool = True
    idle: float = DEFAULT_IDLE
    share: Share = "auto"


@dataclass(frozen=True, slots=True)
class Upstream:
    """A DNS server behind the tunnel; a name in `endpoint` is resolved by the far side.

    `tls` is there for `tls` and `https`, and `path` for `https`.
    """

    scheme: UpstreamScheme
    endpoint: Endpoint
    tls: TlsConfig | None = None
    path: str = ""

    def __str__(self) -> str:
        wanted = self.tls.name if self.tls else self.endpoint.host
        name = f"#{wanted}" if wanted != self.endpoint.host else ""
        return f"{self.scheme}://{self.endpoint}{self.path}{name}"


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask these instead, through the server as well."""

    upstreams: tuple[Upstream, ...]


@dataclass(frozen=True, slots=True)
class Direct:
    """Ask this server of the network that the machine is in, past the tunnel; its host is an IP address."""

    server: Endpoint


@dataclass(frozen=True, slots=True)
class Block:
    """Ask nobody: there is no such name."""


@dataclass(frozen=True, slots=True)
class Allow:
    """Ask those that are asked for most names, and never mind block lists."""


@dataclass(frozen=True, slots=True)
class Fixed:
    """Ask nobody: these IP addresses are the answer."""

    addresses: tuple[str, ...]


RuleAction = Ask | Direct | Block | Allow | Fixed


@dataclass(frozen=True, slots=True)
class DnsRule:
    """What is done with `suffix`, in lower-case A-labels, and with all names beneath it."""

    suffix: str
    action: RuleAction


@dataclass(frozen=True, slots=True, kw_only=True)
class DnsPolicy:
    """Which names are not asked as the others are, and what of the answers is not passed on.

    What is `blocked` does not exist, or has the address 0.0.0.0 or ::.
    """

    rules: tuple[DnsRule, ...] = ()
    hosts: tuple[Path, ...] = ()
    block_lists: tuple[Path, ...] = ()
    blocked: Blocked = "nxdomain"
    rebind_protection: bool = False
    filter_aaaa: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DnsConfig:
    """The resolver: it listens on UDP and TCP, and asks `upstreams` by the first of `servers` that is up.

    Answers take at most `cache` octets of memory. Up to `stale` seconds after their end they still serve
    where no upstream answers (RFC 8767). With `prefetch` what is popular is asked for again before its end,
    and with `keep` the cache is on disk across restarts.
    """

    listen: tuple[Endpoint, ...]
    upstreams: tuple[Upstream, ...]
    servers: tuple[str, ...]
    enabled: bool = True
    policy: DnsPolicy = DnsPolicy()
    cache: int = DEFAULT_CACHE
    stale: float = DEFAULT_STALE
    prefetch: bool = True
    keep: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What UDP may take: `associations` at each server, flows on each of them, and `flows` in all.

    `waiting` datagrams wait while an association is made; then the oldest are dropped.
    """

    associations: int = 64
    flows_per_association: int = 256
    flows: int = 4096
    waiting: int = 256


@dataclass(frozen=True, slots=True)
class Config:
    """One whole file; the first of `servers` is the default one. An empty file is a valid one."""

    path: Path
    servers: dict[str, ServerConfig] = field(default_factory=dict)
    tcp: dict[str, TcpForwardConfig] = field(default_factory=dict)
    udp: dict[str, UdpForwardConfig] = field(default_factory=dict)
    dns: DnsConfig | None = None
    limits: Limits = Limits()
