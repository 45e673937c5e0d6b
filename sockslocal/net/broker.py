"""Hands out UDP flows on shared associations with one server, and replaces those that die.

Two flows share an association unless a reply could be meant for both (slots.py). While the server's way of
carrying datagrams is not known, an association is on trial: what it sends is kept and goes again on the next
rung (rungs.py) where nothing comes back.
"""

from collections import OrderedDict
from collections.abc import Callable, Collection
from typing import Protocol

from sockslocal.address import Endpoint
from sockslocal.config.model import Limits
from sockslocal.errors import ServerError
from sockslocal.net.association import Association, Terms
from sockslocal.net.dialer import Dial, DialError
from sockslocal.net.flows import ACTIVE_S, FlowTable
from sockslocal.net.rungs import Rung
from sockslocal.net.udp_flow import Carrier, Flow, Receiver
from sockslocal.net.udp_health import UdpHealth
from sockslocal.socks5.messages import Request

SWEEP_S = 1.0
"""How often idle flows are looked for."""

LINGER_S = 5.0
"""How long an association lives on without flows, or after it has retired: something may come yet."""

LIFETIME_S = 3600.0
"""An association that is older takes no more flows, and those it has move to a new one as they send."""

OPENING_S = 1.0
"""How long another rung may take to open."""

FULL_S = 0.25
"""For how long nobody looks again for room where there was none."""

MAX_ALIASES = 1024
"""Names whose addresses at the server are remembered."""


class Host(Protocol):
    """The server, as far as the broker needs it."""

    def terms(self) -> Terms:
        """What associations made now have in common."""

    def unfit(self) -> None:
        """A datagram was dropped that the server might not bear."""

    def dial(
        self, request: Request, done: Callable[[Dial], None], failed: Callable[[DialError], None]
    ) -> Dial:
        """A dial, not yet started."""


class Broker:
    """The flows through one server."""

    def __init__(self, host: Host, health: UdpHealth, limits: Limits) -> None:
        self._host = host
        self._health = health
        self._limits = limits
        terms = host.terms()
        self._way = terms.way
        self._clock = terms.engine.clock
        self._later = terms.engine.poller.later
        descriptors = terms.engine.budget.limit
        self._most = min(limits.associations, descriptors // 8)
        self._flows: FlowTable[Flow] = FlowTable(limits.flows)
        self._associations: dict[Association, None] = {}
        self._aliases: OrderedDict[Endpoint, set[Endpoint]] = OrderedDict()
        self._full_until: dict[Endpoint | None, float] = {}
        """Remotes for which no association has room; None: there are too many associations."""
        self._sweeping = False

    @property
    def associations(self) -> int:
        return len(self._associations)

    @property
    def flows(self) -> int:
        return len(self._flows)

    @property
    def lenient(self) -> bool:
        return self._health.lenient

    def open(self, remote: Endpoint, receiver: Receiver, idle_s: float, *, exclusive: bool = False) -> Flow:
        """A flow to `remote`. Raises ServerError while there can be none: drop its datagrams."""
        now = self._clock()
        room = self._flows.room(now)
        if isinstance(room, Flow):
            self._end(room)
        elif not room:
            raise self._exhausted()
        flow = Flow(self, remote, receiver, idle_s, exclusive=exclusive)
        self._place(flow, now)
        self._flows.touch(flow, now)
        self._sweep_later()
        return flow

    def touch(self, flow: Flow) -> None:
        if flow in self._flows:
            now = self._clock()
            self._flows.touch(flow, now)
            if flow.carrier is not None:
                flow.carrier.used_at = now

    def move(self, flow: Flow) -> Carrier | None:
        if flow not in self._flows:
            return None
        try:
            self._place(flow, self._clock())
        except ServerError as error:
            self._lose(flow, error)
            return None
        return flow.carrier

    def discard(self, flow: Flow) -> None:
        self._flows.discard(flow)
        for association in (flow.earlier, flow.carrier):
            if association is not None:
                association.detach(flow)
        flow.carrier = flow.earlier = None

    def close(self) -> None:
        """End all flows."""
        for association in list(self._associations):
            association.end(None)

    # where flows go

    def _place(self, flow: Flow, now: float) -> None:
        """Have an association carry `flow`. Raises ServerError where there can be none now."""
        rung = self._health.rung()
        flow.exclusive |= self._health.names_remotes is False
        known = self._aliases.get(flow.remote, ())
        association = self._with_room(flow, rung, known, now) or self._associate(flow, rung, now)
        if flow.earlier is not None:
            flow.earlier.detach(flow)
        flow.earlier, flow.carrier = flow.carrier, association
        association.used_at = now
        association.attach(flow, known)

    def _with_room(
        self, flow: Flow, rung: Rung, known: Collection[Endpoint], now: float
    ) -> Association | None:
        """An association that takes `flow` too; where there was none just now, nobody looks again."""
        if flow.exclusive or self._full_until.get(flow.remote, 0.0) > now:
            return None
        for association in self._associations:
            if association.rung is rung and association.takes(flow, known):
                return association
        if len(self._associations) >= self._most:
            self._full_until[flow.remote] = now + FULL_S
        return None

    def _associate(self, flow: Flow, rung: Rung, now: float) -> Association:
        """A new association, under way. Raises ServerError where there are too many, or none can be made."""
        if len(self._associations) >= self._most:
            self._end_idlest(now)
        health = self._health
        association = Association(
            self._host.terms(), rung, self, exclusive=flow.exclusive, trial=not health.ladder.proved
        )
        self._associations[association] = None
        if health.is_climbing:
            association.liveness.open_within(OPENING_S)
        association.start(self._host.dial)
        if association in self._associations:
            return association
        return self._associate(flow, health.rung(), now)

    def _end_idlest(self, now: float) -> None:
        """End the association that is idle longest. Raises ServerError where all are in use."""
        if self._full_until.get(None, 0.0) > now:
            raise self._exhausted()
        idlest = min(self._associations, key=lambda other: other.used_at * bool(other.flows))
        if now - idlest.used_at < ACTIVE_S:
            self._full_until[None] = now + FULL_S
            raise self._exhausted()
        idlest.end(None)

    def _exhausted(self) -> ServerError:
        return ServerError(self._way.problem("udp-flows-exhausted"))

    def _end(self, flow: Flow) -> None:
        """End `flow` and tell its receiver."""
        flow.close()
        flow.receiver.lost(None)

    def _lose(self, flow: Flow, error: ServerError | None) -> None:
        """`flow` has nowhere to go."""
        if flow in self._flows:
            self.discard(flow)
            flow.receiver.lost(error)

    # what associations tell

    def opened(self, association: Association) -> None:
        if association.trial:
            self._ask(association)

    def proved(self, association: Association) -> None:
        self._health.lenient |= association.closed_early
        if not self._health.prove(association.rung):
            return
        for other in list(self._associations):
            if other.rung is association.rung:
                other.settle()
            else:
                self._retire(other)

    def answered(self) -> None:
        self._health.answers_probes = True

    def silent(self, association: Association, *, probed: bool) -> None:
        health = self._health
        if not association.is_open or (association.trial and probed):
            self._give_up(association)
        elif not probed and self._ask(association):
            return
        elif association.heard and (health.answers_probes or association.liveness.is_tired):
            association.end(None)
        else:
            association.liveness.rest()

    def unfit(self) -> None:
        self._host.unfit()

    def learned(self, name: Endpoint, address: Endpoint) -> None:
        self._aliases.setdefault(name, set()).add(address)
        self._aliases.move_to_end(name)
        while len(self._aliases) > MAX_ALIASES:
            self._aliases.popitem(last=False)

    def named(self) -> None:
        if self._health.names_remotes is None:
            self._health.names_remotes = True

    def misnames(self) -> bool:
        health = self._health
        if health.names_remotes is None:
            health.names_remotes = False
            for association in list(self._associations):
                if len(association.flows) > 1:
                    self._retire(association)
        return health.names_remotes is False

    def ended(self, association: Association, error: ServerError | None) -> None:
        self._associations.pop(association, None)
        self._full_until.clear()
        if error is None:
            self._lose_all(association, None)
        else:
            self._climb(association, error)

    def _ask(self, association: Association) -> bool:
        """Send a probe; False where there is nobody to ask."""
        remote = self._host.terms().probe
        if remote is not None:
            association.liveness.ask(remote)
        return remote is not None

    def _give_up(self, association: Association) -> None:
        """Nothing came back on trial. What comes late proves the rung all the same."""
        if association.closed_early:
            why = self._way.problem("udp-unsupported", phrase="it closes each association at once")
        else:
            why = self._way.problem("udp-silent")
        self._climb(association, ServerError(why))

    def _climb(self, association: Association, error: ServerError) -> None:
        """Go on on another rung, if there is one left."""
        error_to_tell = self._health.fail(association.rung, error)
        if error_to_tell is None:
            self._retire(association)
        else:
            self._lose_all(association, error_to_tell)
            association.end(None)

    def _lose_all(self, association: Association, error: ServerError | None) -> None:
        for flow in association.flows:
            if flow.carrier is association:
                self._lose(flow, error)

    def _retire(self, association: Association) -> None:
        """Have its flows move to others: from a trial at once, with what it kept; else as they send."""
        association.used_at = self._clock()
        kept = association.retire()
        if association.trial:
            for flow in association.flows:
                if flow.carrier is association:
                    self.move(flow)
        for flow, payload in kept:
            if flow in self._flows and not flow.send_payload(payload):
                flow.receiver.dropped(1)

    # what time brings

    def _sweep_later(self) -> None:
        if not self._sweeping:
            self._sweeping = True
            self._later(SWEEP_S, self._sweep)

    def _sweep(self) -> None:
        self._sweeping = False
        now = self._clock()
        if self._health.trouble and any(association.lasts(now) for association in self._associations):
            self._health.works()
        for flow in self._flows.idle(now):
            self._end(flow)
        for association in list(self._associations):
            if (association.retired or not association.flows) and now - association.used_at >= LINGER_S:
                association.end(None)
            elif now - association.made_at >= LIFETIME_S and not association.retired:
                self._retire(association)
        if self._associations or len(self._flows):
            self._sweep_later()
