"""One association with a server: a way for datagrams, and the flows that share it.

It lives as long as the server keeps it, and tells its owner when nothing comes back on it.
"""

from collections.abc import Sequence
from typing import Protocol

from sockslocal.address import Endpoint
from sockslocal.errors import ServerError
from sockslocal.net.datagram_queue import DatagramQueue
from sockslocal.net.datagrams import Batch
from sockslocal.net.liveness import Liveness
from sockslocal.net.rungs import Rung
from sockslocal.net.slots import Slots
from sockslocal.net.udp_delivery import Delivery, Knowing
from sockslocal.net.udp_flow import Flow
from sockslocal.net.udp_opening import MakeDial, Opening
from sockslocal.net.udp_terms import Terms
from sockslocal.net.udp_transport import Transport
from sockslocal.socks5.errors import RemoteError

TRIAL_PATIENCE = 0.6
"""The part of the patience that is had with what has never worked."""

BRIEF_S = 2.0
"""A server that closes an association within these seconds, before any datagram came, does so every time."""


class Owner(Knowing, Protocol):
    """Who made an association."""

    @property
    def lenient(self) -> bool:
        """Whether the server relays on after it has closed the control connection."""

    def opened(self, association: "Association") -> None:
        """Datagrams can pass, as far as the server says."""

    def proved(self, association: "Association") -> None:
        """The first datagram came: it is as the server says."""

    def silent(self, association: "Association", *, probed: bool) -> None:
        """Datagrams went, and nothing came back for as long as is patient; nor to a probe, where `probed`.

        Or it did not open in time. What its liveness is to do now is the owner's to say.
        """

    def brief(self) -> None:
        """One that worked is about to end, as the server did not keep it for long."""

    def unfit(self) -> None:
        """A datagram was dropped that the server might not bear."""

    def ended(self, association: "Association", error: ServerError | None) -> None:
        """All of it was closed, once; without an error another one may do."""


class Association:
    """At first it waits for its dial; `start` begins it. It is a carrier of flows."""

    def __init__(self, terms: Terms, rung: Rung, owner: Owner, *, exclusive: bool, trial: bool) -> None:
        """On `trial` it keeps what it sends, to be sent again on another rung."""
        self._terms = terms
        self._owner = owner
        self._clock = terms.engine.clock
        self.rung = rung
        self.exclusive = exclusive
        self.trial = trial
        self.retired = False
        """Whether it takes no more flows, and its own are to move when they send."""
        self.heard = False
        """Whether a datagram came back."""
        self.closed_early = False
        """Whether the server closed the control connection before any datagram came."""
        self.ended = False
        self.made_at = self.used_at = self._clock()
        self._patience = terms.patience * (TRIAL_PATIENCE if trial else 1)
        self._doubted_until = 0.0
        self.liveness = Liveness(terms.engine, self._patience, self._send_probe, self._silent)
        self._opened_at: float | None = None
        self._slots: Slots[Flow] = Slots(1 if exclusive else terms.flows)
        self._queue: DatagramQueue[Flow] = DatagramQueue(terms.waiting)
        """What waits for it to open; once it has, what is kept on trial."""
        self._delivery = Delivery(self, owner, self._slots, self.liveness, self._clock)
        self._opening = Opening(terms, rung, self)
        self._transport: Transport | None = None

    @property
    def carried(self) -> list[Flow]:
        """The flows that send on it; those that have moved may yet hear something."""
        return [flow for flow in self._slots if flow.carrier is self]

    @property
    def is_open(self) -> bool:
        return self._opened_at is not None

    @property
    def is_settled(self) -> bool:
        """Whether it is in use, and neither on trial nor about to be replaced."""
        return self.is_open and not self.trial and not self.retired

    def start(self, make_dial: MakeDial) -> None:
        """Ask the server for it."""
        self._opening.start(make_dial)

    def takes(self, flow: Flow) -> bool:
        """Whether it can carry `flow` too."""
        free = not self.retired and flow.exclusive == self.exclusive
        return free and self._slots.takes(flow.remote, self._clock())

    def attach(self, flow: Flow) -> None:
        """Carry `flow`."""
        self._slots.add(flow, flow.remote)
        flow.carrier = self
        if self.is_open:
            flow.receiver.opened()

    def detach(self, flow: Flow) -> None:
        """Carry `flow` no more; what comes for it yet is nobody's."""
        if flow not in self._slots:
            return
        self._slots.remove(flow, self._clock())
        dropped = self._queue.discard(flow)
        if dropped and not self.is_open:  # else they had gone, and were kept for another rung
            flow.receiver.dropped(dropped)
        if self.exclusive:
            self.end(None)

    def send(self, flow: Flow, batch: Batch, indices: range) -> int:
        """Send the payloads of `batch` in the name of `flow`, as `Flow.send` says."""
        transport = self._transport
        if transport is None:
            for index in indices:
                self._wait(flow, bytes(batch.payload(index)))
            return len(indices)
        if self.trial:
            for index in indices:
                self._queue.add(flow, bytes(batch.payload(index)))
        taken = 0
        runs = batch.runs_between(indices, self._terms.smallest, self._terms.largest)
        for run in runs:
            count = transport.send(flow.header, batch, run)
            flow.receiver.sent(batch.octets(run[:count]))
            taken += count
        if taken:
            self.liveness.sent()
        if sum(map(len, runs)) < len(indices):
            self._owner.unfit()
        return taken

    def send_payload(self, flow: Flow, payload: bytes) -> bool:
        """Send one payload in the name of `flow`, as `Flow.send_payload` says."""
        if self._transport is None:
            self._wait(flow, payload)
            return True
        if self.trial:
            self._queue.add(flow, payload)
        return self._send(self._transport, flow, payload)

    def send_bare(self, datagram: bytes) -> None:
        """Send what is a header and a payload already, which no flow sends."""
        if self._transport is not None:
            self._transport.send_one(datagram, b"")

    def settle(self) -> None:
        """The rung is known to carry: nothing is kept any more."""
        self.trial = False
        if self.is_open:
            self._queue.take()

    def retire(self) -> Sequence[tuple[Flow, bytes]]:
        """Take no more flows, and give what waits or was kept; what comes for the flows yet is delivered."""
        self.retired = True
        return self._queue.take()

    def lasts(self, now: float) -> bool:
        """Whether datagrams can pass, and the server has not closed it at once."""
        return self._opened_at is not None and now - self._opened_at >= BRIEF_S

    def end(self, error: ServerError | None) -> None:
        """Close everything; the owner hears of it, and what becomes of the flows is its to say.

        What goes wrong after it has retired is of no interest.
        """
        if self.ended:
            return
        self.ended = True
        moot, self.retired = self.retired, True
        self.liveness.stop()
        self._opening.cancel()
        if self._transport is not None:
            self._transport.close()
            self._transport = None
        self._owner.ended(self, None if moot else error)

    # how it opens

    def failed(self, error: ServerError) -> None:
        self.end(error)

    def opened(self, transport: Transport) -> None:
        """Datagrams can pass, and those that wait do."""
        self._transport = transport
        self._opened_at = self._clock()
        self.liveness.opened()
        waiting = self._queue.take()
        for flow in self.carried:
            flow.receiver.opened()
        for flow, payload in waiting:
            if self.ended or flow not in self._slots or not self.send_payload(flow, payload):
                flow.receiver.dropped(1)
        if not self.ended:
            self._owner.opened(self)
        if self.closed_early and not self.ended:
            self._doubt()

    # how it ends

    def control_ended(self) -> None:
        """The end that RFC 1928 knows; but some servers relay on, and those that close at once may."""
        if self._owner.lenient:
            return
        if self._has_worked():
            self._leave()
        elif self.trial and self._terms.probe is not None:
            self.closed_early = True
            if self.is_open:
                self._doubt()
        else:
            self._fail_for_brevity()

    def _doubt(self) -> None:
        """What comes before the server can have seen that we have closed it too shows nothing."""
        seconds = self._patience / 2
        self._doubted_until = self._clock() + seconds
        self.liveness.ask_again(seconds)

    def stream_ended(self, error: RemoteError | None) -> None:
        if error is not None and not self.heard:
            way = self._terms.way
            self.end(ServerError(error.problem_at(str(way.endpoint), way.name)))
        elif self._has_worked():
            self._leave()
        else:
            self._fail("udp-unsupported", phrase=f"it does not speak {self.rung.value}")

    def refused(self, relay: Endpoint) -> None:
        """Nobody listens there, though the control connection lives."""
        if self.heard:
            self._leave()
        elif self.closed_early:
            self._fail_for_brevity()
        else:
            self._fail("udp-relay-invalid", relay=relay)

    def _has_worked(self) -> bool:
        return self.heard or self.lasts(self._clock())

    def _leave(self) -> None:
        """The server has ended what worked."""
        if not self.retired and not self.lasts(self._clock()):
            self._owner.brief()
        self.end(None)

    def _fail_for_brevity(self) -> None:
        self._fail("udp-unsupported", phrase="it closes each association at once")

    def _fail(self, code: str, **details: object) -> None:
        self.end(ServerError(self._terms.way.problem(code, **details)))

    def _silent(self, probed: bool) -> None:  # noqa: FBT001  as the liveness tells
        self._owner.silent(self, probed=probed)

    # what passes

    def deliver(self, batch: Batch, count: int) -> None:
        self._delivery.deliver(batch, count)

    def came(self) -> bool:
        if self.heard:
            return True
        if self._clock() < self._doubted_until:
            return False
        self.heard = True
        self._owner.proved(self)
        return True

    def _send(self, transport: Transport, flow: Flow, payload: bytes) -> bool:
        if not self._terms.smallest <= len(payload) <= self._terms.largest:
            self._owner.unfit()
            return False
        taken = transport.send_one(flow.header, payload)
        if taken:
            flow.receiver.sent(len(payload))
            self.liveness.sent()
        return taken

    def _send_probe(self, header: bytes, message: bytes) -> None:
        if self._transport is not None:
            self._transport.send_one(header, message)

    def _wait(self, flow: Flow, payload: bytes) -> None:
        for other in self._queue.add(flow, payload):
            other.receiver.dropped(1)
