"""The UDP of one server: who carries its flows, what is known of it, and what is shown."""

from collections.abc import Callable
from typing import Protocol

from sockslocal import status
from sockslocal.address import Endpoint
from sockslocal.config.model import Limits, ServerConfig
from sockslocal.errors import ServerError
from sockslocal.net.broker import Broker
from sockslocal.net.datagrams import MAX_DATAGRAM
from sockslocal.net.dialer import Dial, DialError
from sockslocal.net.engine import Engine
from sockslocal.net.profile import Profile
from sockslocal.net.rungs import Ladder, Rung, remembered, rungs_for
from sockslocal.net.server_addresses import ServerAddresses
from sockslocal.net.udp_empty import EmptyTest
from sockslocal.net.udp_flow import Flow, Receiver
from sockslocal.net.udp_health import UdpHealth
from sockslocal.net.udp_relay_address import names_one_machine
from sockslocal.net.udp_terms import Terms
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
    profile: Profile

    def learn(self, **facts: object) -> None:
        """Note in the profile what was found out."""


class UdpService:
    """`changed` is called when what is shown changes."""

    def __init__(self, engine: Engine, server: Served, limits: Limits, changed: Callable[[], None]) -> None:
        self.rung: status.UdpRung = "unknown"
        self.problem: Problem | None = None
        """Why no datagrams pass, where that is known."""
        self._engine = engine
        self._server = server
        self._way = way = server.way
        self._changed = changed
        self._empty_test: EmptyTest | None = None
        config = server.config
        host = config.udp_address
        self._terms = Terms(
            engine=engine,
            way=way,
            override=ServerAddresses(Endpoint(host, 1), engine.clock) if host else None,
            flows=limits.flows_per_association,
            waiting=limits.waiting,
            patience=PATIENCE_S,
            probe=config.udp_probe,
        )
        self._adopt(server.profile)
        self._rungs = rungs_for(config.udp, tls=config.tls is not None)
        self._forbidden = not self._rungs
        if self._forbidden:
            code = "udp-off" if config.udp == "off" else "udp-outside-tls"
            self.rung, self.problem = "none", way.problem(code)
        profile = server.profile
        ladder = Ladder(self._rungs, remembered(profile.rung, profile.relay_rule))
        self._health = UdpHealth(ladder, self._note, way.problem, engine.clock)
        self._health.names_remotes = profile.names_remote
        self._health.lenient = bool(profile.closes_control)
        self._health.answers_probes = bool(profile.probe_answers)
        self.broker = Broker(self, self._health, limits)

    def open(self, remote: Endpoint, receiver: Receiver, idle_s: float, *, exclusive: bool = False) -> Flow:
        """A flow to `remote`. Raises ServerError while there can be none."""
        if self._forbidden and self.problem is not None:
            raise ServerError(self.problem)
        if not remote.port or not names_one_machine(remote.host):
            raise ServerError(self._way.problem("udp-remote-invalid", remote=remote))
        return self.broker.open(remote, receiver, idle_s, exclusive=exclusive)

    def forgive(self) -> None:
        """What kept associations from being made may be of the past."""
        self._health.forgive()

    def check(self) -> None:
        """The server is there: find out which of its associations have lived on."""
        self.broker.check()

    def close(self) -> None:
        """End all flows."""
        self.broker.close()
        if self._empty_test is not None:
            self._empty_test.close()

    def terms(self) -> Terms:
        """What associations have in common, as it is now."""
        self._terms.patience = PATIENCE_S + 2 * (self._server.latency_ms or 0.0) / 1000
        return self._terms

    def unfit(self) -> None:
        """A datagram was dropped: if that may be for its emptiness, find out whether it has to be."""
        probe, rung = self._terms.probe, self._health.ladder.current
        known = self._server.profile.bears_empty is not None or self._empty_test is not None
        answers = self._health.ladder.proved and self._health.answers_probes
        if not known and probe is not None and rung is not None and answers:
            self._empty_test = EmptyTest(self.terms(), rung, probe, self._note_empty)
            self._empty_test.start(self.dial)

    def unanswered(self) -> None:
        """Probes go unanswered now, which is not to be relied upon after a restart either."""
        if self._server.profile.probe_answers:
            self._server.learn(probe_answers=False)

    def dial(
        self, request: Request, done: Callable[[Dial], None], failed: Callable[[DialError], None]
    ) -> Dial:
        """A dial for an association, not yet started."""
        return Dial(self._engine, self._way, request, done, failed)

    def go_by(self, examined: Profile) -> None:
        """Go by what an examination has found, by its rung too where no datagram has passed yet."""
        self._adopt(self._server.profile)
        self._health.lenient |= bool(examined.closes_control)
        self._health.answers_probes |= bool(examined.probe_answers)
        found = remembered(examined.rung, examined.relay_rule)
        if found in self._rungs and not self._health.ladder.proved:
            self._health.ladder = Ladder(self._rungs, found)
            self._health.works()
            self._note(found, None)

    def _note_empty(self, bears: bool | None) -> None:  # noqa: FBT001  as the test tells
        self._empty_test = None
        if bears is not None:
            self._server.learn(bears_empty=bears)
            self._adopt(self._server.profile)

    def _adopt(self, profile: Profile) -> None:
        """Keep to what the server is known to bear."""
        self._terms.smallest = 0 if profile.bears_empty else 1
        self._terms.largest = profile.largest_datagram or MAX_DATAGRAM
        self._terms.foreign = profile.foreign_source in {"port", "address"}

    def _note(self, rung: Rung | None, error: ServerError | None) -> None:
        shown: status.UdpRung = rung.shown if rung else "none"
        self._server.learn(rung=shown, relay_rule=rung.relay_rule if rung else None)
        problem = error.problem if error else None
        if (shown, problem) != (self.rung, self.problem):
            self.rung, self.problem = shown, problem
            self._changed()
