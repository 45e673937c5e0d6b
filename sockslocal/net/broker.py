"""Hands out UDP flows, each on an association of its own, and ends those that are idle or too many."""

import random
from collections.abc import Callable

from sockslocal.address import Endpoint
from sockslocal.errors import ServerError
from sockslocal.net.association import ASSOCIATE, Association
from sockslocal.net.backoff import Backoff
from sockslocal.net.dialer import Dial, DialError
from sockslocal.net.engine import Engine
from sockslocal.net.flows import FlowTable
from sockslocal.net.server_addresses import ServerAddresses
from sockslocal.net.udp_flow import Flow, Receiver
from sockslocal.net.way import Way
from sockslocal.problems import Problem
from sockslocal.socks5.messages import Request

MAX_ASSOCIATIONS = 1024
"""At one server; each costs it a TCP connection and us two descriptors."""

FIRST_RETRY_S, LAST_RETRY_S = 1.0, 60.0
"""After an association failed, the next one is made no sooner; doubling while its UDP is to blame."""

SWEEP_S = 1.0
"""How often idle flows are looked for."""

MakeDial = Callable[[Request, Callable[[Dial], None], Callable[[DialError], None]], Dial]
Noted = Callable[[ServerError | None], None]


class Broker:
    """The flows through one server; `noted` hears how its UDP fares (None: well)."""

    def __init__(
        self, engine: Engine, way: Way, make_dial: MakeDial, noted: Noted, override: ServerAddresses | None
    ) -> None:
        self._engine = engine
        self._way = way
        self._make_dial = make_dial
        self._noted = noted
        self._override = override
        self._flows: FlowTable[Flow] = FlowTable(min(MAX_ASSOCIATIONS, engine.budget.limit // 8))
        self._associations: set[Association] = set()
        self._backoff = Backoff(FIRST_RETRY_S, LAST_RETRY_S)
        self._retry_at = 0.0
        self._trouble: Problem | None = None
        """Why the last association failed, until one works."""
        self._sweeping = False

    @property
    def associations(self) -> int:
        return len(self._associations)

    @property
    def flows(self) -> int:
        return len(self._flows)

    def open(self, remote: Endpoint, receiver: Receiver, idle_s: float) -> Flow:
        """A flow to `remote`. Raises ServerError while there can be none: drop its datagrams."""
        now = self._engine.clock()
        if self._trouble is not None and now < self._retry_at:
            raise ServerError(self._trouble)
        if not self._make_room(now):
            raise ServerError(self._way.problem("udp-flows-exhausted"))
        association = self._associate()
        flow = Flow(self, association, remote, receiver, idle_s)
        association.attach(flow)
        self._flows.touch(flow, now)
        self._sweep_later()
        return flow

    def touch(self, flow: Flow) -> None:
        if flow in self._flows:
            self._flows.touch(flow, self._engine.clock())

    def discard(self, flow: Flow) -> None:
        self._flows.discard(flow)
        flow.carrier.detach(flow)

    def close(self) -> None:
        """End all flows."""
        for association in list(self._associations):
            association.end(None)

    def _associate(self) -> Association:
        """An association, under way. Raises ServerError where it failed at once."""
        association = Association(self._engine, self._way, self._override, self)
        self._associations.add(association)
        association.start(self._make_dial(ASSOCIATE, association.dialled, association.failed))
        if self._trouble is not None and association not in self._associations:
            raise ServerError(self._trouble)
        return association

    def _make_room(self, now: float) -> bool:
        room = self._flows.room(now)
        if isinstance(room, Flow):
            self._end(room)
            return True
        return room

    def _end(self, flow: Flow) -> None:
        """End `flow` and tell its receiver."""
        flow.close()
        flow.receiver.lost(None)

    def opened(self) -> None:
        self._noted(None)

    def proved(self) -> None:
        self._trouble = None
        self._backoff.reset()

    def ended(self, association: Association, flow: Flow | None, error: ServerError | None) -> None:
        self._associations.discard(association)
        if flow is not None:
            self._flows.discard(flow)
        if error is not None:
            self._trouble = error.problem
            self._retry_later(patiently=_blames_udp(error))
            if _blames_udp(error):
                self._noted(error)
        if flow is not None:
            flow.receiver.lost(error)

    def _retry_later(self, *, patiently: bool) -> None:
        """Wait longer each time, unless the server is down: it may come back at any moment."""
        now = self._engine.clock()
        if now >= self._retry_at:  # else it began before another one failed
            if not patiently:
                self._backoff.reset()
            self._retry_at = now + self._backoff.next() * random.uniform(1.0, 1.25)  # noqa: S311  spreads load only

    def _sweep_later(self) -> None:
        if not self._sweeping:
            self._sweeping = True
            self._engine.poller.later(SWEEP_S, self._sweep)

    def _sweep(self) -> None:
        self._sweeping = False
        now = self._engine.clock()
        if self._trouble is not None and any(association.lasts(now) for association in self._associations):
            self.proved()
        for flow in self._flows.idle(now):
            self._end(flow)
        if len(self._flows):
            self._sweep_later()


def _blames_udp(error: ServerError) -> bool:
    """Whether the server works and only its UDP does not."""
    if isinstance(error, DialError):
        return error.server_answers
    return error.problem.code.startswith("udp-")
