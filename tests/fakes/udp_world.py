"""A broker without sockets and without waiting: its associations open, fail and answer when the test says so.

with World() as world:
    flow, receiver = world.open(remote)
    transport = world.openings[0].succeed()
    flow.send_payload(b"ping")
    transport.answer()
    world.advance(seconds=60)
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Self, cast
from unittest import mock

from fakes.engine import FakeClock, way_to
from fakes.flows import FakeReceiver
from sockslocal.address import Endpoint
from sockslocal.config.model import Limits
from sockslocal.errors import ServerError
from sockslocal.net import association
from sockslocal.net.association import Association
from sockslocal.net.broker import Broker
from sockslocal.net.datagrams import SLOTS, Batch, PlainBatch
from sockslocal.net.deadlines import Mortal
from sockslocal.net.dialer import Dial, DialError
from sockslocal.net.engine import Engine
from sockslocal.net.rungs import Ladder, Rung
from sockslocal.net.udp_flow import Flow
from sockslocal.net.udp_health import UdpHealth
from sockslocal.net.udp_opening import MakeDial
from sockslocal.net.udp_terms import Terms
from sockslocal.socks5.datagram import encode_header
from sockslocal.socks5.messages import Request

PROBED = Endpoint("192.0.2.53", 53)
PROBED_HEADER = encode_header(PROBED)
STEP_S = 0.1
"""Time passes in steps of so many seconds."""


@dataclass(frozen=True)
class Sent:
    """What went out on a transport, at a time of the world."""

    header: bytes
    payload: bytes
    at: float

    @property
    def is_probe(self) -> bool:
        return self.header == PROBED_HEADER


class FakeTransport:
    """Keeps what it is sent."""

    def __init__(self, world: "World", side: Association) -> None:
        self.side = side
        self.sent: list[Sent] = []
        self.takes = True
        self.closed = False
        self._world = world

    @property
    def payloads(self) -> list[bytes]:
        """What went out for flows."""
        return [sent.payload for sent in self.sent if not sent.is_probe]

    @property
    def probes(self) -> list[bytes]:
        return [sent.payload for sent in self.sent if sent.is_probe]

    def send(self, header: bytes, batch: Batch, indices: range) -> int:
        return sum(self.send_one(header, bytes(batch.payload(index))) for index in indices)

    def send_one(self, header: bytes, payload: bytes) -> bool:
        assert not self.closed, "sent after the end"
        if self.takes:
            self.sent.append(Sent(header, payload, self._world.clock()))
        return self.takes

    def close(self) -> None:
        self.closed = True

    def bring(self, *datagrams: bytes) -> None:
        """These come, in batches."""
        batch = self._world.engine.batch
        for start in range(0, len(datagrams), SLOTS):
            if not self.closed:
                self.side.deliver(batch, batch.hold(datagrams[start : start + SLOTS]))

    def answer(self, source: Endpoint | None = None) -> None:
        """The latest datagram of a flow comes back; from `source`, if it does not name its remote."""
        sent = [sent for sent in self.sent if not sent.is_probe][-1]
        self.bring((encode_header(source) if source else sent.header) + sent.payload)

    def answer_probe(self, source: Endpoint = PROBED) -> None:
        """The latest probe is answered."""
        self.bring(encode_header(source) + response_to(self.probes[-1]))


def response_to(probe: bytes) -> bytes:
    """As a DNS server answers."""
    return probe[:2] + b"\x81\x80" + probe[4:]


class FakeOpening:
    """Is what it is made by the test."""

    def __init__(self, terms: Terms, rung: Rung, side: Association) -> None:
        self.rung = rung
        self.side = side
        self.over = False
        self._world: World = terms.engine.world  # type: ignore[attr-defined]  # as the world made it

    def start(self, make_dial: MakeDial) -> None:
        self._world.openings.append(self)
        self._world.when_asked(self)

    def cancel(self) -> None:
        self.over = True

    def succeed(self) -> FakeTransport:
        """The server grants it."""
        assert not self.over, "it was cancelled, or is open"
        self.over = True
        transport = FakeTransport(self._world, self.side)
        self._world.transports.append(transport)
        self.side.opened(transport)
        return transport

    def fail(self, error: ServerError | None = None) -> None:
        """The server grants none, or `error`."""
        assert not self.over, "it was cancelled, or is open"
        self.over = True
        self.side.failed(error or self._world.refused())


class FakeDeadlines:
    """As the true ones, but for who looks; in an order that is always the same."""

    def __init__(self) -> None:
        self.watched: dict[Mortal, None] = {}

    def add(self, mortal: Mortal) -> None:
        self.watched[mortal] = None

    def discard(self, mortal: Mortal) -> None:
        self.watched.pop(mortal, None)

    def look(self, now: float) -> None:
        """As the true ones do."""
        for mortal in [mortal for mortal in self.watched if mortal.deadline <= now]:
            if mortal in self.watched:
                self.discard(mortal)
                mortal.expire()


class World:
    """A server's UDP, seen from its broker, whose host it is."""

    def __init__(
        self,
        *,
        limits: Limits | None = None,
        probe: Endpoint | None = PROBED,
        rungs: Sequence[Rung] = tuple(Rung),
        descriptors: int = 4096,
    ) -> None:
        self.clock = FakeClock()
        self.deadlines = FakeDeadlines()
        self.openings: list[FakeOpening] = []
        self.transports: list[FakeTransport] = []
        self.noted: list[tuple[Rung | None, ServerError | None]] = []
        self.unfits = 0
        self.unanswereds = 0
        self.when_asked: Callable[[FakeOpening], object] = lambda opening: None
        self._timers: list[tuple[float, Callable[[], None]]] = []
        parts = SimpleNamespace(
            world=self,
            clock=self.clock,
            deadlines=self.deadlines,
            batch=PlainBatch(),
            budget=SimpleNamespace(limit=descriptors),
            poller=SimpleNamespace(later=self._later),
        )
        self.engine = cast(Engine, parts)
        self.limits = limits or Limits()
        self.way = way_to(("192.0.2.1", 1080))
        self._terms = Terms(
            engine=self.engine,
            way=self.way,
            override=None,
            flows=self.limits.flows_per_association,
            waiting=self.limits.waiting,
            patience=1.0,
            probe=probe,
        )
        self._patch = mock.patch.object(association, "Opening", FakeOpening)
        self.rungs = rungs
        self.reload()

    def __enter__(self) -> Self:
        self._patch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._patch.stop()

    def reload(self) -> None:
        """A new broker, which knows nothing."""
        self.health = UdpHealth(Ladder(self.rungs), self._note, self.way.problem, self.clock)
        self.broker = Broker(self, self.health, self.limits)

    @property
    def alive(self) -> list[FakeTransport]:
        """The transports that are not closed."""
        return [transport for transport in self.transports if not transport.closed]

    @property
    def pending(self) -> list[FakeOpening]:
        """The openings on which the server has not decided."""
        return [opening for opening in self.openings if not opening.over]

    @property
    def is_quiet(self) -> bool:
        """Whether nothing is waited for: such a process uses no CPU."""
        return not self._timers and not self.deadlines.watched

    def open(
        self, remote: Endpoint, *, idle_s: float = 60.0, exclusive: bool = False
    ) -> tuple[Flow, FakeReceiver]:
        """A flow and its receiver. Raises ServerError."""
        receiver = FakeReceiver()
        return self.broker.open(remote, receiver, idle_s, exclusive=exclusive), receiver

    def refusal(self, remote: Endpoint) -> str | None:
        """The code of the problem for which there is no flow to `remote` now; None where there is one."""
        try:
            flow, _ = self.open(remote)
        except ServerError as error:
            return error.problem.code
        flow.close()
        return None

    def pause(self) -> float:
        """How long no association is to be made."""
        before = self.clock.now
        while True:
            try:
                self.health.rung()
            except ServerError:
                self.advance(0.5)
            else:
                return self.clock.now - before

    def granted(self) -> FakeTransport:
        """The only opening that is pending succeeds."""
        (opening,) = self.pending
        return opening.succeed()

    @property
    def told(self) -> list[tuple[Rung | None, str | None]]:
        """What was noted of the server, by the codes of its problems."""
        return [(rung, error.problem.code if error else None) for rung, error in self.noted]

    def advance(self, seconds: float) -> None:
        """Let time pass, and what is due happen."""
        for _ in range(round(seconds / STEP_S)):
            self.clock.now = round(self.clock.now + STEP_S, 6)
            self.deadlines.look(self.clock.now)
            due = [timer for timer in self._timers if timer[0] <= self.clock.now]
            for timer in due:
                self._timers.remove(timer)
                timer[1]()

    def refused(self) -> ServerError:
        """What the dialer says where the server grants no association."""
        return DialError(self.way.problem("udp-unsupported", phrase="no"), server_answers=True)

    def down(self) -> ServerError:
        """What the dialer says where there is no server."""
        return DialError(self.way.problem("server-unreachable", reason="no"))

    # the host

    def terms(self) -> Terms:
        return self._terms

    def unfit(self) -> None:
        self.unfits += 1

    def unanswered(self) -> None:
        self.unanswereds += 1

    def dial(
        self, request: Request, done: Callable[[Dial], None], failed: Callable[[DialError], None]
    ) -> Dial:
        raise NotImplementedError

    def _note(self, rung: Rung | None, error: ServerError | None) -> None:
        self.noted.append((rung, error))

    def _later(self, seconds: float, callback: Callable[[], None]) -> None:
        self._timers.append((self.clock.now + seconds, callback))
