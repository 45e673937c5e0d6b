"""The UDP of one server: who carries its flows, what is known of it, and what is shown."""

from collections.abc import Callable
from typing import Protocol

from sockslocal import status
from sockslocal.address import Endpoint
from sockslocal.config.model import Limits, ServerConfig
from sockslocal.errors import ServerError
from sockslocal.net.association import Terms
from sockslocal.net.broker import Broker
from sockslocal.net.dialer import Dial, DialError
from sockslocal.net.engine import Engine
from sockslocal.net.rungs import Ladder, Rung, rungs_for
from sockslocal.net.server_addresses import ServerAddresses
from sockslocal.net.udp_flow import Flow, Receiver
from sockslocal.net.udp_health import UdpHealth
from sockslocal.net.udp_relay_address import names_one_machine
from sockslocal.net.way import Way
from sockslocal.problems import Problem
from sockslocal.socks5.messages import Request

PATIENCE_S = 1.0
"""How long an answer may take beside what the server's own answers take."""


class Served(Protocol):
    """The server, as far as it matters here."""

    config: ServerConfig
    way: Way
    latency_ms: float | None


class UdpService:
    """`changed` is called when what is shown changes."""

    def __init__(self, engine: Engine, server: Served, limits: Limits, changed: Callable[[], None]) -> None:
        self.rung: status.UdpRung = "unknown"
        self.problem: Problem | None = None
        """Why no datagrams pass, where that is known."""
        self._engine = engine
        self._server = server
        self._way = way = server.way
        self._limits = limits
        self._changed = changed
        config = server.config
        host = config.udp_address
        self._override = ServerAddresses(Endpoint(host, 1), engine.clock) if host else None
        rungs = rungs_for(config.udp, tls=config.tls is not None)
        self._forbidden = not rungs
        if self._forbidden:
            code = "udp-off" if config.udp == "off" else "udp-outside-tls"
            self.rung, self.problem = "none", way.problem(code)
        health = UdpHealth(Ladder(rungs), self._note, way.problem, engine.clock)
        self.broker = Broker(self, health, limits)

    def open(self, remote: Endpoint, receiver: Receiver, idle_s: float, *, exclusive: bool = False) -> Flow:
        """A flow to `remote`. Raises ServerError while there can be none."""
        if self._forbidden and self.problem is not None:
            raise ServerError(self.problem)
        if not remote.port or not names_one_machine(remote.host):
            raise ServerError(self._way.problem("udp-remote-invalid", remote=remote))
        return self.broker.open(remote, receiver, idle_s, exclusive=exclusive)

    def terms(self) -> Terms:
        """What associations made now have in common."""
        return Terms(
            engine=self._engine,
            way=self._way,
            override=self._override,
            flows=self._limits.flows_per_association,
            waiting=self._limits.waiting,
            patience=PATIENCE_S + 2 * (self._server.latency_ms or 0.0) / 1000,
            probe=self._server.config.udp_probe,
        )

    def dial(
        self, request: Request, done: Callable[[Dial], None], failed: Callable[[DialError], None]
    ) -> Dial:
        """A dial for an association, not yet started."""
        return Dial(self._engine, self._way, request, done, failed)

    def _note(self, rung: Rung | None, error: ServerError | None) -> None:
        shown: status.UdpRung = rung.shown if rung else "none"
        problem = error.problem if error else None
        if (shown, problem) != (self.rung, self.problem):
            self.rung, self.problem = shown, problem
            self._changed()
