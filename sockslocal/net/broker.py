"""Hands out UDP flows, and decides on which associations they travel."""

import random
from collections.abc import Callable

from sockslocal.address import Endpoint
from sockslocal.errors import ServerError
from sockslocal.net.addresses import ServerAddresses
from sockslocal.net.associations import ASSOCIATE, Association, Flow, Receiver
from sockslocal.net.dialer import Dial, DialError
from sockslocal.net.engine import Engine
from sockslocal.net.flows import FlowTable
from sockslocal.net.way import Way
from sockslocal.socks5.messages import Request

MAX_ASSOCIATIONS = 1024
"""At one server; each costs it a TCP connection and us two descriptors."""

FIRST_RETRY_S, LAST_RETRY_S = 1.0, 60.0
"""After an association failed, the next one is made no sooner; doubling while they fail."""

SWEEP_S = 1.0
"""How often idle flows are looked for."""

MakeDial = Callable[[Request, Callable[[Dial], None], Callable[[DialError], None]], Dial]
Noted = Callable[[ServerError | None], None]


class Broker:
    """The flows through one server; `noted` hears how making associations goes (None: well)."""

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
        self._retry_s = 0.0
        self._retry_at = 0.0
        self._sweeping = False
        self.refused = 0
        """Flows that had no room, or came while no association could be made."""

    @property
    def associations(self) -> int:
        return len(self._associations)

    @property
    def flows(self) -> int:
        return len(self._flows)

    def open(self, remote: Endpoint, receiver: Receiver, idle_s: float) -> Flow | None:
        """A flow to `remote`, or None while there can be none: then its datagrams are to be dropped."""
        now = self._engine.clock()
        if now < self._retry_at or not self._make_room(now):
            self.refused += 1
            return None
        association = Association(self._engine, self._way, self._override, self)
        self._associations.add(association)
        flow = association.attach(remote, receiver, idle_s)
        self._flows.touch(flow, now)
        association.start(self._make_dial(ASSOCIATE, association.dialled, association.failed))
        self._sweep_later()
        return flow

    def used(self, flow: Flow) -> None:
        if flow in self._flows:
            self._flows.touch(flow, self._engine.clock())

    def close(self) -> None:
        """End all flows."""
        for association in list(self._associations):
            association.end(None)

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
        self._retry_s = self._retry_at = 0.0
        self._noted(None)

    def ended(self, association: Association, flow: Flow | None, error: ServerError | None) -> None:
        self._associations.discard(association)
        if flow is not None:
            self._flows.discard(flow)
        if error is not None:
            self._retry_s = min(max(FIRST_RETRY_S, 2 * self._retry_s), LAST_RETRY_S)
            self._retry_at = self._engine.clock() + self._retry_s * random.uniform(0.8, 1.2)  # noqa: S311
            self._noted(error)

    def _sweep_later(self) -> None:
        if not self._sweeping:
            self._sweeping = True
            self._engine.poller.later(SWEEP_S, self._sweep)

    def _sweep(self) -> None:
        self._sweeping = False
        for flow in self._flows.idle(self._engine.clock()):
            self._end(flow)
        if len(self._flows):
            self._sweep_later()
