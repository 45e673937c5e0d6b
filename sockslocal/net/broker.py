"""Hands out UDP flows on shared associations with one server, and replaces those that die.

Two flows share an association unless a reply could be meant for both (slots.py). While the server's way of
carrying datagrams is not known, an association is on trial: what it sends is kept and goes again on the next
rung (rungs.py) where nothing comes back.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Protocol

from sockslocal.address import Endpoint
from sockslocal.config.model import Limits
from sockslocal.errors import ServerError
from sockslocal.net.association import Association
from sockslocal.net.dialer import Dial, DialError
from sockslocal.net.flows import ACTIVE_S, FlowTable
from sockslocal.net.udp_flow import Carrier, Flow, Receiver
from sockslocal.net.udp_health import UdpHealth
from sockslocal.net.udp_terms import Terms
from sockslocal.socks5.messages import Request

SWEEP_S = 1.0
"""How often idle flows are looked for."""

LINGER_S = 5.0
"""How long an association lives on that no flow sends on: something may come yet, or be sent."""

LIFETIME_S = 3600.0
"""An association that is older takes no more flows, and those it has move to a new one as they send."""

FULL_S = 0.25
"""For how long nobody looks again for room where there was none."""


MAX_TALKERS = 256
TALKED_S = 30.0
"""Remotes that answered until an association died are remembered for so many seconds."""


class Host(Protocol):
    """The server, as far as the broker needs it."""

    def terms(self) -> Terms:
        """What associations made now have in common."""

    def unfit(self) -> None:
        """A datagram was dropped that the server might not bear."""

    def unanswered(self) -> None:
        """Whom probes go to does not answer any more."""

    def dial(
        self, request: Request, done: Callable[[Dial], None], failed: Callable[[DialError], None]
    ) -> Dial:
        """A dial, not yet started."""


class Broker:
    """The flows through one server."""

    def __init__(self, host: Host, health: UdpHealth, limits: Limits) -> None:
        self._host = host
        self._health = health
        terms = host.terms()
        self._way = terms.way
        self._clock = terms.engine.clock
        self._later = terms.engine.poller.later
        self._most = max(1, min(limits.associations, terms.engine.budget.limit // 8))
        self._flows: FlowTable[Flow] = FlowTable(limits.flows)
        self._associations: dict[Association, None] = {}
        self._talkers: OrderedDict[Endpoint, float] = OrderedDict()
        """When those who had answered on an association were lost with it."""
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
            self._lose(room, None)
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
            if not self._still_carries(flow.carrier):
                self._lose(flow, error)
        return flow.carrier

    def discard(self, flow: Flow) -> None:
        self._flows.discard(flow)
        for association in (flow.earlier, flow.carrier):
            if association is not None:
                association.detach(flow)
        flow.carrier = flow.earlier = None
        self._full_until.clear()

    def check(self) -> None:
        """Ask those that can be asked whether they live; of the others nobody knows: their flows move on."""
        for association in list(self._associations):
            if association.is_settled and not association.liveness.probing:
                can_be_asked = association.heard and self._health.answers_probes
                if not (can_be_asked and self._ask(association)):
                    self._retire(association)

    def close(self) -> None:
        """End all flows."""
        for association in list(self._associations):
            association.end(None)
        for flow in self._flows:
            self._lose(flow, None)

    # where flows go

    def _place(self, flow: Flow, now: float) -> None:
        """Have an association carry `flow`. Raises ServerError where there can be none now."""
        flow.exclusive |= self._health.names_remotes is False
        back = flow.earlier
        if back is not None and self._takes_back(back, flow):
            flow.earlier, flow.carrier = flow.carrier, back
            back.used_at = now
            return
        association = self._with_room(flow, now) or self._associate(flow, now)
        if flow.earlier is not None:
            flow.earlier.detach(flow)
        flow.earlier, flow.carrier = flow.carrier, association
        association.used_at = now
        association.attach(flow)

    def _takes_back(self, carrier: Carrier, flow: Flow) -> bool:
        """Whether `flow` may go back to what it was to leave, as that has proved its worth since."""
        if not isinstance(carrier, Association) or carrier.exclusive != flow.exclusive:
            return False
        return carrier.heard and not carrier.retired

    def _with_room(self, flow: Flow, now: float) -> Association | None:
        """An association that takes `flow` too; where there was none just now, nobody looks again."""
        if flow.exclusive or self._full_until.get(flow.remote, 0.0) > now:
            return None
        rung = self._health.ladder.current
        for association in self._associations:
            if (association.heard or association.rung is rung) and association.takes(flow):
                return association
        if len(self._associations) >= self._most:
            self._full_until[flow.remote] = now + FULL_S
        return None

    def _associate(self, flow: Flow, now: float) -> Association:
        """A new association, under way. Raises ServerError where there are too many, or none can be made."""
        health = self._health
        while True:  # one that fails at once leaves fewer rungs, or none for now
            rung = health.rung()
            self._make_room(flow, now)
            terms = self._host.terms()
            trial = not health.ladder.proved
            association = Association(terms, rung, self, exclusive=flow.exclusive, trial=trial)
            self._associations[association] = None
            if health.is_climbing:  # nobody is to wait for a rung as long as for a server
                association.liveness.open_within(terms.patience)
            association.start(self._host.dial)
            if not association.ended:
                return association

    def _make_room(self, flow: Flow, now: float) -> None:
        """End an association that is not in use, if there are too many. Raises ServerError where all are."""
        if len(self._associations) < self._most:
            return
        if self._full_until.get(None, 0.0) > now:
            raise self._exhausted()
        unused = [association for association in self._associations if not association.carried]
        idlest = min(unused or self._associations, key=lambda other: other.used_at)
        idle = now - idlest.used_at >= ACTIVE_S and idlest is not flow.carrier
        if unused or idle:
            idlest.end(None)
        elif isinstance(flow.carrier, Association):
            self._vacate(flow.carrier)
        else:
            self._full_until[None] = now + FULL_S
            raise self._exhausted()

    def _vacate(self, association: Association) -> None:
        """End one that is to be replaced, for want of room beside it; its flows move as they send."""
        for flow in association.carried:
            flow.carrier = None
            association.detach(flow)
        association.end(None)

    def _still_carries(self, carrier: Carrier | None) -> bool:
        """Whether a flow that finds no other carrier may go on with its old one."""
        return isinstance(carrier, Association) and carrier.heard and not carrier.ended

    def _exhausted(self) -> ServerError:
        return ServerError(self._way.problem("udp-flows-exhausted"))

    def _lose(self, flow: Flow, error: ServerError | None) -> None:
        """`flow` has nowhere to go, or is not to go on."""
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
        association.retired = False  # what was given up on trial
        for other in list(self._associations):
            if other.rung is not association.rung:
                self._retire(other)
            elif other.closed_early and not self._health.lenient:
                other.end(None)
            else:
                other.settle()

    def answered(self) -> None:
        self._health.probe_answered()

    def silent(self, association: Association, *, probed: bool) -> None:
        health = self._health
        if not association.is_open or (association.trial and probed):
            self._give_up(association)
        elif not probed and self._ask(association):
            return
        elif self._is_dead(association, probed=probed):
            self._remember_talkers(association)
            association.end(None)
        elif probed and health.answers_probes and self._has_talkers(association):
            self._give_up(association)
        else:
            if probed and health.answers_probes:  # nothing has come here, but the rung is known to carry
                health.answers_probes = False
                self._host.unanswered()
            association.liveness.rest()

    def _is_dead(self, association: Association, *, probed: bool) -> bool:
        """Whether the silence is that of the association alone, and not of the remotes and the probe's."""
        if association.heard:
            return self._health.answers_probes or association.liveness.is_tired
        return probed and self._health.was_answered_since(association.made_at)

    def _remember_talkers(self, association: Association) -> None:
        """Who answered on what is dead now: are they silent on the next one too, it is not theirs."""
        for flow in association.carried:
            if flow.answered:
                self._talkers[flow.remote] = self._clock()
                self._talkers.move_to_end(flow.remote)
        while len(self._talkers) > MAX_TALKERS:
            self._talkers.popitem(last=False)

    def _has_talkers(self, association: Association) -> bool:
        """Whether somebody was sent to on it who answered on the one before."""
        since = self._clock() - TALKED_S
        return any(self._talkers.get(flow.remote, since) > since for flow in association.carried)

    def brief(self) -> None:
        self._health.was_brief()

    def unfit(self) -> None:
        self._host.unfit()

    def named(self) -> None:
        self._health.names_remotes = True

    def misnames(self) -> bool:
        health = self._health
        if health.names_remotes is None:
            health.names_remotes = False
            for association in list(self._associations):
                if len(association.carried) > 1:
                    self._retire(association)
        return health.names_remotes is False

    def ended(self, association: Association, error: ServerError | None) -> None:
        del self._associations[association]
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
        """Nothing came back. What comes late proves the rung all the same."""
        if association.closed_early:
            why = self._way.problem("udp-unsupported", phrase="it closes each association at once")
        else:
            why = self._way.problem("udp-silent")
        self._climb(association, ServerError(why))

    def _climb(self, association: Association, error: ServerError) -> None:
        """Go on on another rung, if there is one left."""
        alone = not self._others_work(association)
        error_to_tell = self._health.fail(association.rung, error, alone=alone)
        if error_to_tell is None:
            self._retire(association)
        else:
            self._fall_back(association)
            self._lose_all(association, error_to_tell)
            self._send_again(association.retire(), counted=association.is_open)
            association.end(None)

    def _others_work(self, association: Association) -> bool:
        return any(other.heard for other in self._associations if other is not association)

    def _fall_back(self, association: Association) -> None:
        """Have its flows go on with what carried them before, where that still does."""
        for flow in association.carried:
            if self._still_carries(flow.earlier):
                flow.carrier, flow.earlier = flow.earlier, None

    def _lose_all(self, association: Association, error: ServerError | None) -> None:
        for flow in association.carried:
            self._lose(flow, error)

    def _retire(self, association: Association) -> None:
        """Have its flows move to others: from a trial at once, with what it kept; else as they send."""
        association.used_at = self._clock()
        kept = association.retire()
        flows = association.carried
        if association.ended or (association.trial and len(self._associations) >= self._most):
            self._vacate(association)
        if association.trial:
            for flow in flows:
                self.move(flow)
        self._send_again(kept, counted=association.is_open)

    def _send_again(self, kept: Iterable[tuple[Flow, bytes]], *, counted: bool) -> None:
        """Send what an association has not sent, or in vain, and was `counted` then."""
        for flow, payload in kept:
            if not flow.send_payload(payload) and not counted:
                flow.receiver.dropped(1)

    # what time brings

    def _sweep_later(self) -> None:
        if not self._sweeping:
            self._sweeping = True
            self._later(SWEEP_S, self._sweep)

    def _sweep(self) -> None:
        self._sweeping = False
        now = self._clock()
        for flow in self._flows.idle(now):
            self._lose(flow, None)
        for association in list(self._associations):
            if not association.carried and now - association.used_at >= LINGER_S:
                association.end(None)
            elif not association.retired:
                self._look_at(association, now)
        if self._associations or len(self._flows):
            self._sweep_later()

    def _look_at(self, association: Association, now: float) -> None:
        if association.lasts(now) and not association.liveness.probing:
            self._health.lasts(association.made_at)
        if now - association.made_at >= LIFETIME_S:
            self._retire(association)
