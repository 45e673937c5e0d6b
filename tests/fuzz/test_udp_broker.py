"""Invariant: whatever a server does, no flow is given another's datagrams, and no bound is broken.

Flows in use are never evicted for others, what is dropped is counted, nothing is told after the end, and when
all is over nothing goes on. Names lead to where other flows go too, and elsewhere at the next moment.
"""

import random
from collections.abc import Callable
from typing import Any
from unittest import mock

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fakes.udp_world import FakeOpening, FakeTransport, Sent, World
from sockslocal.address import Endpoint, ip_of
from sockslocal.config.model import Limits
from sockslocal.errors import ServerError
from sockslocal.net.association import Association
from sockslocal.net.broker import LIFETIME_S, LINGER_S, SWEEP_S
from sockslocal.net.datagrams import Batch
from sockslocal.net.flows import ACTIVE_S
from sockslocal.net.liveness import LATE_S
from sockslocal.net.rungs import Rung
from sockslocal.net.slots import QUARANTINE_S
from sockslocal.net.udp_flow import Flow
from sockslocal.socks5.datagram import encode_header

ADDRESSES = [Endpoint(f"192.0.2.{host}", port) for host in (1, 2) for port in (7, 53)]
NAMES = [Endpoint("one.test", 7), Endpoint("two.test", 7)]
CLIENT = Endpoint("127.0.0.1", 40_000)
"""What some servers name in place of the remote."""

LIMITS = Limits(associations=3, flows_per_association=3, flows=6, waiting=4)
IDLE_S = 45.0

steps = st.sampled_from([0.1, 0.3, 0.6, 1.0, 2.5, LINGER_S, ACTIVE_S, QUARANTINE_S])


def places_of(name: Endpoint) -> list[Endpoint]:
    """Where `name` may lead to."""
    return [Endpoint(f"192.0.2.{number}", name.port) for number in (1, 2, 3)]


class Program:
    """Who a flow belongs to: it sends what says whose it is, and looks at what it is given."""

    def __init__(self, number: int) -> None:
        self.name = b"program %d," % number
        self.flow: Flow | None = None
        self.over = False
        self.used_at = 0.0
        self.attempts = 0
        self.accepted: set[bytes] = set()
        self.heard: list[bytes] = []
        self.drops = 0

    def payload(self) -> bytes:
        """A new one."""
        self.attempts += 1
        return b"%s attempt %d" % (self.name, self.attempts)

    def opened(self) -> None:
        assert not self.over

    def sent(self, octets: int) -> None:
        assert octets >= 0

    def received(self, batch: Batch, indices: range, skip: int) -> None:
        assert not self.over
        for index in indices:
            payload = bytes(batch.payload(index)[skip:])
            assert payload.startswith((self.name, b"stray")), f"{payload!r} is not for {self.name!r}"
            self.heard.append(payload)

    def dropped(self, count: int) -> None:
        assert count > 0
        self.drops += count

    def lost(self, error: ServerError | None) -> None:
        assert not self.over
        self.over = True


class BrokerMachine(RuleBasedStateMachine):
    """Programs, the broker, and a server that works as it was made, and fails as it likes."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = [mock.patch.object(random, "uniform", lambda low, _high: low)]
        for patch in self.stack:
            patch.start()
        self.programs: list[Program] = []
        self.dead: set[FakeTransport] = set()
        self.leads_to = {name: places_of(name)[0] for name in NAMES}

    @initialize(
        works=st.sampled_from([Rung.GIVEN, Rung.GIVEN, Rung.SERVER, Rung.UOT_V2, Rung.GOST, None]),
        refuses=st.booleans(),
        misnames=st.booleans(),
        probe=st.booleans(),
        proved=st.booleans(),
    )
    def begin(self, *, works: Rung | None, refuses: bool, misnames: bool, probe: bool, proved: bool) -> None:
        """A server on which datagrams pass by one rung; on the others it refuses, or is silent."""
        options: dict[str, Any] = {} if probe else {"probe": None}
        self.world = World(limits=LIMITS, **options)
        self.world.__enter__()
        self.works, self.refuses, self.misnames = works, refuses, misnames
        if proved and works is not None:
            self.world.health.prove(works)

    def teardown(self) -> None:
        """All is ended, and nothing is left."""
        if hasattr(self, "world"):
            for program in self.alive:
                self.end(program)
            self.world.advance(LINGER_S + 2 * SWEEP_S)
            assert self.world.is_quiet
            assert (self.world.broker.associations, self.world.broker.flows) == (0, 0)
            assert (self.world.alive, self.world.pending) == ([], [])
            self.everything_is_accounted_for()
            self.world.__exit__()
        for patch in self.stack:
            patch.stop()

    def everything_is_accounted_for(self) -> None:
        """What was accepted has gone out, or was counted as dropped."""
        went = {sent.payload for transport in self.world.transports for sent in transport.sent}
        for program in self.programs:
            assert len(program.accepted - went) <= program.drops

    @property
    def alive(self) -> list[Program]:
        return [program for program in self.programs if not program.over]

    def sparing(self, program: Program, act: Callable[[], None]) -> None:
        """What `program` does costs no other one its flow that is in use."""
        now = self.world.clock.now
        others = [other for other in self.alive if other is not program and now - other.used_at < ACTIVE_S]
        act()
        assert not [other.name for other in others if other.over]

    # programs

    @rule(remote=st.sampled_from(ADDRESSES + NAMES), exclusive=st.booleans())
    def come(self, remote: Endpoint, *, exclusive: bool) -> None:
        """A program comes, and has its flow or not."""
        program = Program(len(self.programs))

        def open_flow() -> None:
            try:
                flow = self.world.broker.open(remote, program, IDLE_S, exclusive=exclusive)
            except ServerError:
                return
            program.flow, program.used_at = flow, self.world.clock.now
            self.programs.append(program)

        self.sparing(program, open_flow)

    @precondition(lambda self: self.alive)
    @rule(data=st.data(), count=st.integers(1, 6), batch=st.booleans())
    def send(self, data: st.DataObject, count: int, *, batch: bool) -> None:
        """A program sends some datagrams."""
        program = data.draw(st.sampled_from(self.alive))
        flow = program.flow
        assert flow is not None
        payloads = [program.payload() for _ in range(count)]

        def send_all() -> None:
            flow.touch()
            program.used_at = self.world.clock.now
            if batch:
                held = self.world.engine.batch.hold(payloads)
                if flow.send(self.world.engine.batch, range(held)) == count:
                    program.accepted |= set(payloads)
            else:
                program.accepted |= {payload for payload in payloads if flow.send_payload(payload)}

        self.sparing(program, send_all)

    @precondition(lambda self: self.talking)
    @rule(data=st.data())
    def talk(self, data: st.DataObject) -> None:
        """A program sends, and is answered at once."""
        program = data.draw(st.sampled_from(self.talking))
        flow, payload = program.flow, program.payload()
        assert flow is not None
        flow.touch()
        program.used_at = self.world.clock.now
        if flow.send_payload(payload):
            program.accepted.add(payload)
            for transport in self.answering:
                if transport.sent[-1].payload == payload:
                    self.bring_answer(transport, transport.sent[-1])

    @property
    def talking(self) -> list[Program]:
        """The programs whose association is open."""
        sides = {transport.side for transport in self.world.alive if transport not in self.dead}
        return [program for program in self.alive if program.flow and program.flow.carrier in sides]

    @precondition(lambda self: len(self.alive) > 2)
    @rule(data=st.data())
    def go(self, data: st.DataObject) -> None:
        """A program ends."""
        self.end(data.draw(st.sampled_from(self.alive)))

    def end(self, program: Program) -> None:
        assert program.flow is not None
        program.over = True
        program.flow.close()
        assert not program.flow.send_payload(b"after the end")

    # the server

    @precondition(lambda self: self.world.pending)
    @rule(data=st.data())
    def decide(self, data: st.DataObject) -> None:
        """The server grants an association, or refuses it."""
        opening: FakeOpening = data.draw(st.sampled_from(self.world.pending))
        if opening.rung is not self.works and self.refuses:
            opening.fail()
        else:
            transport = opening.succeed()
            if opening.rung is not self.works:
                self.dead.add(transport)

    @precondition(lambda self: len(self.world.pending) > 1)
    @rule(data=st.data(), down=st.booleans())
    def fail(self, data: st.DataObject, *, down: bool) -> None:
        """It grants no more, or is down."""
        opening: FakeOpening = data.draw(st.sampled_from(self.world.pending))
        opening.fail(self.world.down() if down else None)

    @property
    def answering(self) -> list[FakeTransport]:
        """The transports on which answers may come yet."""
        now = self.world.clock.now
        working = [transport for transport in self.world.alive if transport not in self.dead]
        return [
            transport
            for transport in working
            if any(now - sent.at < QUARANTINE_S and not sent.is_probe for sent in transport.sent)
        ]

    @precondition(lambda self: self.answering)
    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        """Something that was sent is answered, in whatever order."""
        transport = data.draw(st.sampled_from(self.answering))
        now = self.world.clock.now
        fresh = [sent for sent in transport.sent if now - sent.at < QUARANTINE_S and not sent.is_probe]
        self.bring_answer(transport, data.draw(st.sampled_from(fresh[-8:])))

    def bring_answer(self, transport: FakeTransport, sent: Sent) -> None:
        """The answer to `sent` reaches who has sent it, or nobody; the latter only where that may be."""
        (program,) = [program for program in self.programs if sent.payload.startswith(program.name)]
        due, before = self.is_due(program, transport.side), len(program.heard)
        transport.bring(encode_header(self.source_of(program, sent)) + sent.payload)
        assert len(program.heard) > before or not due

    def source_of(self, program: Program, sent: Sent) -> Endpoint:
        """What the answer to `sent` names."""
        assert program.flow is not None
        remote = program.flow.remote
        return CLIENT if self.misnames else self.leads_to.get(remote, remote)

    def is_due(self, program: Program, side: Association) -> bool:
        """Whether an answer that comes there has to reach `program`."""
        flow = program.flow
        if program.over or flow is None or side not in (flow.carrier, flow.earlier):
            return False
        return side.exclusive or not self.misnames

    @property
    def probed(self) -> list[FakeTransport]:
        """The transports on which the answer to a probe may come yet."""
        working = [transport for transport in self.world.alive if transport not in self.dead]
        return [transport for transport in working if any(map(self.is_fresh_probe, transport.sent))]

    def is_fresh_probe(self, sent: Sent) -> bool:
        return sent.is_probe and self.world.clock.now - sent.at < LATE_S

    @precondition(lambda self: self.probed)
    @rule(data=st.data())
    def answer_probe(self, data: st.DataObject) -> None:
        """A probe is answered, maybe not for the first time."""
        transport = data.draw(st.sampled_from(self.probed))
        heard = [list(program.heard) for program in self.programs]
        transport.answer_probe(*([CLIENT] if self.misnames else []))
        assert heard == [program.heard for program in self.programs]

    @precondition(lambda self: self.world.alive)
    @rule(data=st.data(), octets=st.sampled_from([b"", b"\0\0\0\1", b"\0\0\1\1\xc0\0\2\1\0\7fragment"]))
    def babble(self, data: st.DataObject, octets: bytes) -> None:
        """Something comes that is no datagram."""
        heard = [list(program.heard) for program in self.programs]
        data.draw(st.sampled_from(self.world.alive)).bring(octets)
        assert heard == [program.heard for program in self.programs]

    @precondition(lambda self: self.world.alive)
    @rule(data=st.data(), port=st.sampled_from([7, 9]))
    def stray(self, data: st.DataObject, port: int) -> None:
        """Somebody sends who was never written to; only who is alone may hear it."""
        transport = data.draw(st.sampled_from(self.world.alive))
        flows = list(transport.side._slots)
        heard = {program: len(program.heard) for program in self.programs}
        transport.bring(encode_header(Endpoint("203.0.113.9", port)) + b"stray")
        given = [program for program, count in heard.items() if len(program.heard) > count]
        named = [flow for flow in flows if ip_of(flow.remote.host) is None and flow.remote.port == port]
        assert all(program.flow in flows and (len(flows) == 1 or named) for program in given)
        assert len(given) <= 1

    # what goes wrong

    @precondition(lambda self: self.world.alive)
    @rule(data=st.data(), how=st.sampled_from(["silence", "control", "refused", "full", "room"]))
    def break_down(self, data: st.DataObject, how: str) -> None:
        """An association dies, in silence or not; or its socket is full for a while."""
        transport = data.draw(st.sampled_from(self.world.alive))
        match how:
            case "silence":
                self.dead.add(transport)
            case "control":
                transport.side.control_ended()
            case "refused":
                transport.side.refused(CLIENT)
            case _:
                transport.takes = how == "room"

    @precondition(lambda self: any(program.flow.remote in NAMES for program in self.talking))
    @rule(name=st.sampled_from(NAMES), number=st.integers(0, 2))
    def wander(self, name: Endpoint, number: int) -> None:
        """A name leads elsewhere from now on."""
        self.leads_to[name] = places_of(name)[number]

    @rule(seconds=steps)
    def wait(self, seconds: float) -> None:
        self.world.advance(seconds)

    @precondition(lambda self: any(association.heard for association in self.world.broker._associations))
    @rule()
    def age(self) -> None:
        """All associations are old, which is seen to."""
        for association in self.world.broker._associations:
            association.made_at -= LIFETIME_S
        self.world.advance(SWEEP_S)

    @precondition(lambda self: len(self.talking) > 1)
    @rule()
    def reload(self) -> None:
        """The server is replaced; its flows are lost."""
        self.world.broker.close()
        assert not self.alive
        assert self.world.alive == []
        self.world.reload()

    # what always holds

    @invariant()
    def bounds_hold(self) -> None:
        """Of flows, of associations, of flows on each, and of what waits or is kept."""
        if not hasattr(self, "world"):
            return
        broker = self.world.broker
        assert broker.associations <= LIMITS.associations
        assert len(self.world.alive) + len(self.world.pending) <= LIMITS.associations
        assert broker.flows == len(self.alive) <= LIMITS.flows
        for association in broker._associations:
            assert len(association._slots) <= (1 if association.exclusive else LIMITS.flows_per_association)
            assert len(association._queue) <= LIMITS.waiting
            assert not association.ended

    @invariant()
    def flows_are_where_they_should_be(self) -> None:
        """On an association that lives, or on none until they send; of those that ended nothing is left."""
        if not hasattr(self, "world"):
            return
        flows = {program.flow for program in self.alive}
        for flow in flows:
            assert flow is not None
            assert flow.carrier is None or flow.carrier in self.world.broker._associations
        for association in self.world.broker._associations:
            assert set(association._slots) <= flows

    @invariant()
    def nothing_is_looked_at_for_nothing(self) -> None:
        """What is watched has a deadline, and there is one timer at most."""
        if hasattr(self, "world"):
            assert all(mortal.deadline < float("inf") for mortal in self.world.deadlines.watched)
            brokers = {timer.__self__ for _, timer in self.world._timers}  # type: ignore[attr-defined]
            assert len(brokers) == len(self.world._timers)


TestBroker = BrokerMachine.TestCase
