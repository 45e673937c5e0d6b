"""Invariant: whatever flows come and go, none is ever given what was meant for another.

And the table of flows never evicts one in use, and the ladder leaves no rung untried. Names lead to addresses
that may change at any moment, and be those of other names and of other flows.
"""

from dataclasses import dataclass

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from sockslocal.address import Endpoint
from sockslocal.net.flows import ACTIVE_S, FlowTable
from sockslocal.net.rungs import RELAYED, Failure, Ladder, Rung
from sockslocal.net.slots import MAX_ALIASES, MAX_RESERVED, QUARANTINE_S, Slots
from sockslocal.socks5.datagram import encode_header

ADDRESSES = [Endpoint(f"192.0.2.{host}", port) for host in (1, 2, 3) for port in (7, 53)]
NAMES = [Endpoint(f"{name}.test", port) for name in ("one", "two", "three") for port in (7, 53)]
LIMIT = 5

seconds = st.sampled_from([0.1, 1.0, ACTIVE_S, QUARANTINE_S / 2, QUARANTINE_S, 2 * QUARANTINE_S])


def places_of(name: Endpoint) -> list[Endpoint]:
    """Where `name` may lead to: to where others do too, and to more places than are remembered."""
    return [Endpoint(f"192.0.2.{number}", name.port) for number in range(1, MAX_ALIASES + 3)]


@dataclass(eq=False)
class Flow:
    """One that is carried, until it is removed."""

    remote: Endpoint
    carried: bool = True


@dataclass
class Question:
    """What a flow has sent, and where its answer will come from."""

    flow: Flow
    source: Endpoint
    at: float


class SlotsMachine(RuleBasedStateMachine):
    """Flows on one association, the server that answers them, and what is known of its names."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1_000.0
        self.slots: Slots[Flow] = Slots(LIMIT)
        self.flows: list[Flow] = []
        self.questions: list[Question] = []
        self.leads_to = {name: places_of(name)[0] for name in NAMES}

    @rule(remote=st.sampled_from(ADDRESSES + NAMES))
    def come(self, remote: Endpoint) -> None:
        """A flow comes, and is taken or not."""
        if self.slots.takes(remote, self.now):
            flow = Flow(remote)
            self.slots.add(flow, remote)
            self.flows.append(flow)

    @precondition(lambda self: self.flows)
    @rule(data=st.data())
    def go(self, data: st.DataObject) -> None:
        """A flow ends."""
        flow = data.draw(st.sampled_from(self.flows))
        self.flows.remove(flow)
        flow.carried = False
        self.slots.remove(flow, self.now)

    @precondition(lambda self: self.flows)
    @rule(data=st.data(), echoes_names=st.booleans())
    def ask(self, data: st.DataObject, *, echoes_names: bool) -> None:
        """A flow sends, and will be answered."""
        flow = data.draw(st.sampled_from(self.flows))
        source = flow.remote if echoes_names else self.leads_to.get(flow.remote, flow.remote)
        self.questions.append(Question(flow, source, self.now))

    @precondition(lambda self: self.questions)
    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        """An answer comes, to its flow or to nobody; or is lost where it would be too late."""
        question = data.draw(st.sampled_from(self.questions))
        self.questions.remove(question)
        if self.now - question.at >= QUARANTINE_S:
            return
        source = question.source
        flow = self.slots.find(encode_header(source)) or self.slots.learn(source)
        assert flow is (question.flow if question.flow.carried else None)

    @rule(name=st.sampled_from(NAMES), number=st.integers(0, MAX_ALIASES + 1))
    def wander(self, name: Endpoint, number: int) -> None:
        """A name leads elsewhere from now on."""
        self.leads_to[name] = places_of(name)[number]

    @rule(seconds=seconds)
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def each_flow_is_known_by_its_remote(self) -> None:
        """And there are never too many."""
        assert list(self.slots) == self.flows
        assert len(self.flows) <= LIMIT
        assert len(self.slots._reserved) < MAX_RESERVED + LIMIT
        for flow in self.flows:
            assert self.slots.find(encode_header(flow.remote)) is flow


@dataclass(frozen=True, eq=False)
class Idling:
    """A flow as the table knows it."""

    idle_s: float


class FlowTableMachine(RuleBasedStateMachine):
    """Flows in use and idle, beside a model that looks through all of them."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1_000.0
        self.table: FlowTable[Idling] = FlowTable(LIMIT)
        self.used: dict[Idling, float] = {}

    @rule(idle_s=st.sampled_from([1.0, 5.0, 60.0]))
    def come(self, idle_s: float) -> None:
        """A new flow, if there is room; else the longest idle one makes it, but none in use."""
        room = self.table.room(self.now)
        if isinstance(room, Idling):
            assert len(self.used) == LIMIT
            assert self.used[room] == min(self.used.values())
            assert self.now - self.used[room] >= ACTIVE_S
            self.table.discard(room)
            del self.used[room]
        elif not room:
            assert all(self.now - last < ACTIVE_S for last in self.used.values())
            return
        self.use(Idling(idle_s))

    @precondition(lambda self: self.used)
    @rule(data=st.data())
    def use_again(self, data: st.DataObject) -> None:
        self.use(data.draw(st.sampled_from(list(self.used))))

    def use(self, flow: Idling) -> None:
        """It is used now."""
        self.table.touch(flow, self.now)
        self.used[flow] = self.now

    @rule()
    def sweep(self) -> None:
        """The idle ones end."""
        idle = [flow for flow, last in self.used.items() if self.now - last >= flow.idle_s]
        assert set(self.table.idle(self.now)) == set(idle)
        for flow in idle:
            self.table.discard(flow)
            del self.used[flow]

    @rule(seconds=seconds)
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def the_two_agree(self) -> None:
        """On which flows there are, in the order of their last use."""
        assert len(self.table) == len(self.used) <= LIMIT
        assert set(self.table) == set(self.used)
        assert [self.used[flow] for flow in self.table] == sorted(self.used.values())


class LadderMachine(RuleBasedStateMachine):
    """A server that fails and works as it likes, beside what was tried since the last time at the bottom."""

    @initialize(
        rungs=st.lists(st.sampled_from(Rung), unique=True, min_size=1),
        first=st.none() | st.sampled_from(Rung),
    )
    def begin(self, rungs: list[Rung], first: Rung | None) -> None:
        """With some of the rungs."""
        self.rungs = set(rungs)
        self.ladder = Ladder(sorted(rungs, key=list(Rung).index), first)
        self.failed: set[Rung] = set()
        self.proved: Rung | None = None

    @rule(how=st.sampled_from(["refused", "silent"]), late=st.none() | st.sampled_from(Rung))
    def fail(self, how: Failure, late: Rung | None) -> None:
        """An association fails, on the current rung or on one that was given up."""
        rung = late or self.ladder.current
        if rung is None:
            return
        if rung is self.ladder.current and self.proved is None:
            self.failed |= set(RELAYED) if how == "refused" and rung in RELAYED else {rung}
        assert self.ladder.fail(rung, how) == (self.ladder.current is not None)

    @rule(data=st.data())
    def work(self, data: st.DataObject) -> None:
        """A datagram comes back, maybe late."""
        rung = data.draw(st.sampled_from(sorted(self.rungs, key=list(Rung).index)))
        assert self.ladder.prove(rung) == (self.proved is not rung)
        self.proved = rung

    @rule()
    def restart(self) -> None:
        """After a pause."""
        self.ladder.restart()
        assert self.proved in (None, self.ladder.current)
        self.proved, self.failed = None, set()

    @invariant()
    def no_rung_is_left_out(self) -> None:
        """What works is used; else what has not failed, and there is none only when all have."""
        assert self.ladder.proved == (self.proved is not None)
        if self.proved:
            assert self.ladder.current is self.proved
        else:
            left = self.rungs - self.failed
            assert (self.ladder.current in left) if left else (self.ladder.current is None)


TestSlots = SlotsMachine.TestCase
TestFlowTable = FlowTableMachine.TestCase
TestLadder = LadderMachine.TestCase
