"""What is, as `status --json`, the control protocol, the tray and the dashboard show it."""

from typing import Literal

import msgspec

from sockslocal.problems import Problem

DaemonState = Literal["running", "stopping"]
ServerState = Literal["up", "connecting", "down", "auth-failed", "needs-unlock", "unknown"]
ForwardState = Literal["listening", "off", "error"]
UdpRung = Literal["associate", "uot-v2", "uot-v1", "hev", "gost", "none", "unknown"]


class Daemon(msgspec.Struct, frozen=True):
    """The process itself; `config` is the file that it uses.

    `stops_within_s` is how long connections may still take to end once it is stopping, None before.
    """

    pid: int
    version: str
    uptime_s: float
    rss_bytes: int
    config: str = ""
    state: DaemonState = "running"
    stops_within_s: float | None = None


class Tunnel(msgspec.Struct, frozen=True):
    """The one switch over all."""

    on: bool


class Server(msgspec.Struct, frozen=True):
    """A SOCKS5 server; `latency_ms` is the last connect and login, None before the first."""

    address: str
    state: ServerState
    latency_ms: float | None = None
    udp: UdpRung = "unknown"
    problem: Problem | None = None


class Connections(msgspec.Struct, frozen=True):
    """TCP connections, or UDP flows, of one forward since the daemon started."""

    open: int = 0
    total: int = 0
    failed: int = 0


class Bytes(msgspec.Struct, frozen=True):
    """Payload octets as seen from the local program."""

    sent: int = 0
    received: int = 0


class Forward(msgspec.Struct, frozen=True):
    """A TCP or UDP forward; `server` names the one in use."""

    kind: Literal["tcp", "udp"]
    listen: str
    to: str
    server: str
    state: ForwardState
    problem: Problem | None = None
    connections: Connections = Connections()
    bytes: Bytes = Bytes()
    dropped: int = 0


class Udp(msgspec.Struct, frozen=True):
    """The association broker."""

    associations: int = 0
    flows: int = 0


class Dns(msgspec.Struct, frozen=True):
    """The resolver; `system` is what has the whole system ask it, such as systemd-resolved, else empty."""

    listen: str
    server: str
    state: ForwardState
    queries: int = 0
    cache_hits: int = 0
    failed: int = 0
    problem: Problem | None = None
    system: str = ""


class Status(msgspec.Struct, frozen=True):
    """The whole picture at one moment."""

    daemon: Daemon
    tunnel: Tunnel
    servers: dict[str, Server]
    forwards: dict[str, Forward]
    udp: Udp
    dns: Dns | None = None
    problems: tuple[Problem, ...] = ()
    version: int = 1
