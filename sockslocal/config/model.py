"""What the configuration file says, checked and complete: defaults are filled in, no secret is in it.

All records compare by value, so that a reload finds what changed.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from sockslocal.address import Endpoint, ListenAddress

PasswordKind = Literal["keyring", "file", "command", "systemd", "prompt"]
ServerUdp = Literal["auto", "associate", "off"]
"""How datagrams pass; `auto` and `associate` are the same so far: UDP ASSOCIATE (RFC 1928) is the one way."""

UpstreamScheme = Literal["udp", "tcp"]

DEFAULT_CONNECT_TIMEOUT = 10.0
"""Seconds to look up a server's name and to connect by TCP, together."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """A SOCKS5 server; without `username` no authentication is offered.

    `udp_address` replaces the host that the server names as its UDP relay. `connect_timeout`, in seconds, is
    for the look-up and the TCP connection together; greeting, login and reply have 5, 5 and 10 s.
    """

    name: str
    address: Endpoint
    username: str | None = None
    password_from: PasswordSource = PasswordSource()
    udp: ServerUdp = "auto"
    udp_address: str | None = None
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


@dataclass(frozen=True, slots=True)
class Upstream:
    """A DNS server behind the tunnel; a name in `endpoint` is resolved by the far side."""

    scheme: UpstreamScheme
    endpoint: Endpoint

    def __str__(self) -> str:
        return f"{self.scheme}://{self.endpoint}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DnsConfig:
    """The resolver: it listens on UDP and TCP, and asks `upstreams` by the first of `servers` that is up."""

    listen: tuple[Endpoint, ...]
    upstreams: tuple[Upstream, ...]
    servers: tuple[str, ...]
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class Config:
    """One whole file; the first of `servers` is the default one. An empty file is a valid one."""

    path: Path
    servers: dict[str, ServerConfig] = field(default_factory=dict)
    tcp: dict[str, TcpForwardConfig] = field(default_factory=dict)
    udp: dict[str, UdpForwardConfig] = field(default_factory=dict)
    dns: DnsConfig | None = None
