"""One association with a server: a way for datagrams, and the flows that share it.

It lives as long as the server keeps it, and tells its owner when nothing comes back on it.
"""

import socket
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Protocol

from sockslocal.address import Endpoint
from sockslocal.errors import ServerError
from sockslocal.net.connecting import SocketAddress
from sockslocal.net.datagram_queue import DatagramQueue
from sockslocal.net.datagrams import MAX_DATAGRAM, Batch
from sockslocal.net.descriptors import CAPACITY_ERRNOS
from sockslocal.net.dialer import Dial, DialError
from sockslocal.net.engine import Engine
from sockslocal.net.liveness import Liveness, Probe
from sockslocal.net.rungs import Rung
from sockslocal.net.server_addresses import ServerAddresses
from sockslocal.net.slots import Slots
from sockslocal.net.udp_flow import Flow
from sockslocal.net.udp_relay_address import relay_address
from sockslocal.net.udp_relay_socket import bound_socket
from sockslocal.net.udp_stream import UdpStream
from sockslocal.net.udp_transport import RelayTransport, Transport
from sockslocal.net.way import Way
from sockslocal.socks5.datagram import encode_header, parse_header
from sockslocal.socks5.errors import DatagramError, RemoteError
from sockslocal.socks5.messages import Command, Request, address_end
from sockslocal.socks5.udp_over_tcp import FRAMINGS

MakeDial = Callable[[Request, Callable[[Dial], None], Callable[[DialError], None]], Dial]

TRIAL_PATIENCE = 0.6
"""The part of the patience that is had with what has never worked."""

BRIEF_S = 2.0
"""A server that closes an association within these seconds, before any datagram came, does so every time."""

_ZEROS = "0.0.0.0"  # noqa: S104  which address the datagrams will come from is not known, and a guess harms
_ADDRESS = 3
"""Where the address field begins in a datagram's header."""


@dataclass(slots=True)
class Terms:
    """What the associations of one server have in common; one for all, which changes as more is learned.

    `patience` is how long, in seconds, an answer may take before silence means something; `probe` is whom to
    ask then. `smallest` and `largest` are the payloads that the server bears: some die of an empty one, and
    cut a long one. `foreign` where its datagrams come from elsewhere than its relay. `override` replaces the
    host that the server names as its relay.
    """

    engine: Engine
    way: Way
    override: ServerAddresses | None
    flows: int
    waiting: int
    patience: float
    probe: Endpoint | None
    smallest: int = 1
    largest: int = MAX_DATAGRAM
    foreign: bool = False


class Owner(Protocol):
    """Who made an association."""

    @property
    def lenient(self) -> bool:
        """Whether the server relays on after it has closed the control connection."""

    def opened(self, association: "Association") -> None:
        """Datagrams can pass, as far as the server says."""

    def proved(self, association: "Association") -> None:
        """A datagram came: it is as the server says."""

    def silent(self, association: "Association", *, probed: bool) -> None:
        """Datagrams went, and nothing came back for as long as is patient; nor to a probe, where `probed`."""

    def answered(self) -> None:
        """A probe was answered."""

    def named(self) -> None:
        """A datagram names the remote of a flow."""

    def learned(self, name: Endpoint, address: Endpoint) -> None:
        """The server answers for `name` by `address`."""

    def unfit(self) -> None:
        """A datagram was dropped that the server might not bear."""

    def misnames(self) -> bool:
        """A datagram names a remote that no flow has; gives whether it is for the only one all the same."""

    def ended(self, association: "Association", error: ServerError | None) -> None:
        """All of it was closed, once."""


class Association:
    """At first it waits for its dial; `start` begins it. It is a carrier of flows."""

    def __init__(self, terms: Terms, rung: Rung, owner: Owner, *, exclusive: bool, trial: bool) -> None:
        """On `trial` it keeps what it sends, to be sent again on another rung."""
        self._terms = terms
        self._owner = owner
        self.rung = rung
        self.exclusive = exclusive
        self.trial = trial
        self.retired = False
        """Whether it takes no more flows, and its own are to move when they send."""
        self.heard = False
        """Whether a datagram came back."""
        self.closed_early = False
        """Whether the server closed the control connection before any datagram came."""
        self.made_at = self.used_at = terms.engine.clock()
        patience = terms.patience * (TRIAL_PATIENCE if trial else 1)
        self.liveness = Liveness(terms.engine, patience, self._send_probe, self._silent)
        self._opened_at: float | None = None
        self._named = False
        self._slots: Slots[Flow] = Slots(1 if exclusive else terms.flows)
        self._queue: DatagramQueue[Flow] = DatagramQueue(terms.waiting)
        self._bound_sock: socket.socket | None = None
        self._dial: Dial | None = None
        self._transport: Transport | None = None
        self._bound = Endpoint("", 0)
        self._server = ""
        self._ended = False

    @property
    def flows(self) -> list[Flow]:
        return self._slots.flows

    @property
    def is_open(self) -> bool:
        return self._opened_at is not None

    def _request(self) -> Request:
        """What its dial is to ask for. Raises OSError where that takes a socket, and there is none."""
        if self.rung.framing:
            return FRAMINGS[self.rung.framing].request
        port = 0
        if self.rung is Rung.PORT:
            self._bound_sock = bound_socket()
            port = self._bound_sock.getsockname()[1]
        return Request(Command.UDP_ASSOCIATE, Endpoint(_ZEROS, port))

    def start(self, make_dial: MakeDial) -> None:
        """Ask the server for it."""
        try:
            request = self._request()
        except OSError:
            limit = self._terms.engine.budget.limit
            self.end(ServerError.of("descriptors-exhausted", limit=limit))
            return
        self._dial = make_dial(request, self.dialled, self.failed)
        self._dial.start()

    def takes(self, flow: Flow, known: Collection[Endpoint]) -> bool:
        """Whether it can carry `flow` too; `known` are the addresses by which its remote has answered."""
        free = not self.retired and flow.exclusive == self.exclusive
        return free and self._slots.takes(flow.remote, known, self._terms.engine.clock())

    def attach(self, flow: Flow, known: Collection[Endpoint]) -> None:
        """Carry `flow`."""
        self._slots.add(flow, flow.remote, known)
        flow.carrier = self
        if self.is_open:
            flow.receiver.opened()

    def detach(self, flow: Flow) -> None:
        """Carry `flow` no more; what comes for it yet is nobody's."""
        self._slots.remove(flow, self._terms.engine.clock())
        dropped = self._queue.discard(flow)
        if dropped and not self.is_open:  # else they had gone, and were kept for another rung
            flow.receiver.dropped(dropped)
        if self.exclusive:
            self.end(None)

    def send(self, flow: Flow, batch: Batch, indices: range) -> int:
        """Send the payloads of `batch` in the name of `flow`, as `Flow.send` says."""
        transport = self._transport
        if self._opened_at is None or transport is None:
            return sum(self._wait(flow, bytes(batch.payload(index))) for index in indices)
        if self.trial:
            for index in indices:
                self._queue.add(flow, bytes(batch.payload(index)))
        self.liveness.sent()
        taken = 0
        runs = batch.runs_between(indices, self._terms.smallest, self._terms.largest)
        for run in runs:
            count = transport.send(flow.header, batch, run)
            flow.receiver.sent(batch.octets(run[:count]))
            taken += count
        if sum(map(len, runs)) < len(indices):
            self._owner.unfit()
        return taken

    def send_payload(self, flow: Flow, payload: bytes) -> bool:
        """Send one payload in the name of `flow`, as `Flow.send_payload` says."""
        if self._opened_at is None:
            return self._wait(flow, payload) > 0
        if self.trial:
            self._queue.add(flow, payload)
        return self._send(flow, payload)

    def send_bare(self, datagram: bytes) -> None:
        """Send what is a header and a payload already, which no flow sends."""
        if self._transport is not None:
            self._transport.send_one(datagram, b"")

    def settle(self) -> None:
        """The rung is known to carry: nothing is kept any more."""
        self.trial = False
        if self.is_open:
            self._queue.take()

    def retire(self) -> deque[tuple[Flow, bytes]]:
        """Take no more flows, and give what a trial has kept; what comes for the flows yet is delivered."""
        self.retired = True
        return self._queue.take()

    def lasts(self, now: float) -> bool:
        """Whether datagrams can pass, and the server has not closed it at once."""
        return self._opened_at is not None and now - self._opened_at >= BRIEF_S

    def end(self, error: ServerError | None) -> None:
        """Close everything; the owner hears of it, and what becomes of the flows is its to say."""
        if self._ended:
            return
        self._ended = self.retired = True
        self.liveness.stop()
        if self._terms.override is not None:
            self._terms.override.drop(self._located)
        for part in (self._dial, self._transport, self._bound_sock):
            if part is not None:
                part.cancel() if isinstance(part, Dial) else part.close()
        self._dial = self._transport = self._bound_sock = None
        self._owner.ended(self, error)

    # how it opens

    def failed(self, error: DialError) -> None:
        """The dial failed."""
        self._dial = None
        self.end(error)

    def dialled(self, dial: Dial) -> None:
        """The server has agreed; what it named as its relay may need looking up."""
        self._dial = None
        if self.rung.framing:
            framing = FRAMINGS[self.rung.framing]
            engine = self._terms.engine
            stream = UdpStream(engine, dial.sock, framing, self._deliver, self._stream_ended)
            self._transport = stream
            self._open()
            stream.start(dial.leftover)
            return
        self._bound, self._server = dial.bound, dial.address[1][0]
        self._relay = RelayTransport(self._terms.engine, dial, self._control_ended)
        self._transport = self._relay
        self._relay.start()
        if self._ended:
            return
        if self._terms.override is not None:
            self._terms.override.find(self._located)
        else:
            self._located(None)

    def _located(self, override: list[SocketAddress] | OSError | None) -> None:
        """Open the way to the relay, at the address that overrides the server's, if any."""
        if self._ended:
            return
        if isinstance(override, OSError):
            self._fail("udp-address-unknown", reason=override.strerror)
            return
        given = relay_address(self._bound, self._server, override[0][1][0] if override else None)
        if given is None:
            self._fail("udp-relay-invalid", relay=self._bound)
            return
        relay = given
        if self.rung is Rung.SERVER:
            relay = Endpoint(self._server, self._bound.port)
            if relay == given:
                self._fail("udp-silent")
                return
        self._open_relay(relay)

    def _open_relay(self, relay: Endpoint) -> None:
        self._bound = relay
        sock, self._bound_sock = self._bound_sock, None
        try:
            self._relay.open(relay, sock, self._deliver, self._refused)
            if self._terms.foreign:
                self._relay.hear_others(self._deliver)
        except OSError as error:
            code = "descriptors-exhausted" if error.errno in CAPACITY_ERRNOS else "udp-relay-invalid"
            self._fail(code, relay=relay, limit=self._terms.engine.budget.limit)
        else:
            self._open()

    def _open(self) -> None:
        """Datagrams can pass, and those that wait do."""
        self._opened_at = self._terms.engine.clock()
        self.liveness.opened()
        for flow in self._slots.flows:
            flow.receiver.opened()
        for flow, payload in self._queue.take():
            if self._ended:
                return
            if not self.send_payload(flow, payload):
                flow.receiver.dropped(1)
        self._owner.opened(self)

    def _wait(self, flow: Flow, payload: bytes) -> int:
        """Have `payload` wait; gives how many more of the flow's wait than before."""
        others = self._queue.add(flow, payload)
        for other in others:
            if other is not flow:
                other.receiver.dropped(1)
        return 1 - others.count(flow)

    # how it ends

    def _fail(self, code: str, **details: object) -> None:
        self.end(ServerError(self._terms.way.problem(code, **details)))

    def _control_ended(self) -> None:
        """The end that RFC 1928 knows; but some servers relay on, and those that close at once may."""
        if self._owner.lenient:
            return
        if self.heard or (self._opened_at is not None and self.lasts(self._terms.engine.clock())):
            self.end(None)
        elif self.trial and self.is_open and self._terms.probe is not None:
            self.closed_early = True
        else:
            self._fail("udp-unsupported", phrase="it closes each association at once")

    def _stream_ended(self, error: RemoteError | None) -> None:
        way = self._terms.way
        if self.heard:
            self.end(None)
        elif error is None:
            self._fail("udp-unsupported", phrase=f"it does not speak {self.rung.value}")
        else:
            self.end(ServerError(error.problem_at(str(way.endpoint), way.name)))

    def _refused(self) -> None:
        """Nobody listens at the relay (ICMP), though the control connection lives."""
        if self.heard:
            self.end(None)
        else:
            self._fail("udp-relay-invalid", relay=self._bound)

    # what passes

    def _send(self, flow: Flow, payload: bytes) -> bool:
        if self._transport is None:
            return False
        if not self._terms.smallest <= len(payload) <= self._terms.largest:
            self._owner.unfit()
            return False
        self.liveness.sent()
        taken = self._transport.send_one(flow.header, payload)
        if taken:
            flow.receiver.sent(len(payload))
        return taken

    def _send_probe(self, probe: Probe) -> None:
        if self._transport is not None:
            self._transport.send_one(encode_header(probe.remote), probe.message)

    def _silent(self, probed: bool) -> None:  # noqa: FBT001  as the liveness tells
        self._owner.silent(self, probed=probed)

    def _deliver(self, batch: Batch, count: int) -> None:
        """Hand each run of datagrams with one header to its flow."""
        start = 0
        while start < count and not self._ended:
            datagram = batch.payload(start)
            flow, skip = self._whose(datagram)
            stop = start + 1
            if not skip:
                self._drop()
            elif self.liveness.is_answer(datagram[skip:]):
                self._note_heard()
                self._owner.answered()
            else:
                header, alone = datagram[:skip], self.liveness.probing
                while not alone and stop < count and batch.payload(stop)[:skip] == header:
                    stop += 1
                self._note_heard()
                self._pass_on(flow, batch, range(start, stop), skip)
            start = stop

    def _pass_on(self, flow: Flow | None, batch: Batch, indices: range, skip: int) -> None:
        if flow is not None:
            self.liveness.heard()
            flow.receiver.received(batch, indices, skip)
        else:
            self._drop(len(indices))

    def _note_heard(self) -> None:
        if not self.heard:
            self.heard = True
            self._owner.proved(self)

    def _drop(self, count: int = 1) -> None:
        """Nobody's datagrams came; they are counted where they do the least harm to the figures."""
        for flow in self._slots.flows[:1]:
            flow.receiver.dropped(count)

    def _whose(self, datagram: memoryview) -> tuple[Flow | None, int]:
        """Whose `datagram` is, and how long its header; 0 where that cannot be read."""
        if len(datagram) > _ADDRESS + 1:
            end = address_end(datagram, _ADDRESS)
            flow = self._slots.find(bytes(datagram[:end])) if end is not None else None
            if flow is not None and end is not None:
                if not self._named:
                    self._named = True
                    self._owner.named()
                return flow, end
        try:
            source, length = parse_header(datagram)
        except DatagramError:
            return None, 0
        return self._meant_by(source), length

    def _meant_by(self, source: Endpoint) -> Flow | None:
        """The flow to which a datagram belongs that names `source` in a way of the server's own."""
        slots = self._slots
        flow = slots.find(encode_header(source)) if source.host else None
        if flow is None and source.host and (flow := slots.learn(source)):
            self._owner.learned(flow.remote, source)
        if flow is None and len(slots) == 1 and (self.exclusive or self._owner.misnames()):
            flow = slots.flows[0]
        return flow
