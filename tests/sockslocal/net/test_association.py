from collections.abc import Iterator

import pytest

from fakes.associations import OTHER, PROBED, REMOTE, WAITING, Make, echoed, making, relay_of
from fakes.engine import POLLERS, FakeClock, turns, until
from fakes.socks5_server import Act, FakeServer, Script, Stage, StreamFormat
from fakes.targets import udp_echo
from sockslocal.address import Endpoint
from sockslocal.net.association import TRIAL_PATIENCE
from sockslocal.net.datagrams import PlainBatch, best_batch
from sockslocal.net.engine import Engine
from sockslocal.net.rungs import Rung
from sockslocal.socks5.datagram import encode_header


@pytest.fixture
def make(engine: Engine, server: FakeServer) -> Iterator[Make]:
    """Makes associations with the server, which are closed at the end."""
    with making(engine, server) as make:
        yield make


@pytest.mark.parametrize("poller", POLLERS, ids=["best", "loop"])
@pytest.mark.parametrize("batch", [best_batch, PlainBatch], ids=["best", "plain"])
async def test_datagrams_pass_both_ways(make: Make, server: FakeServer, udp_target: Endpoint) -> None:
    """Whole, with the target's header there and without it back; all is told to whom it concerns."""
    made = make()
    flow, receiver = made.carry(udp_target)
    await made.open()
    for payload in (b"ping", bytes(1400), bytes(60_000)):
        await echoed(flow, receiver, payload)
    assert made.owner.told == ["opened", "named", "proved"]
    assert (receiver.openings, receiver.octets_sent, receiver.drops) == (1, 61_404, 0)
    assert [target for target, _ in relay_of(server).received] == [udp_target] * 3
    made.close()
    assert await made.end() is None
    await until(lambda: server.sessions[0].finished, "the server saw the end")


@pytest.mark.parametrize("rung", [Rung.UOT_V2, Rung.GOST])
async def test_datagrams_pass_by_a_stream(
    make: Make, server: FakeServer, udp_target: Endpoint, rung: Rung
) -> None:
    """As by a relay."""
    server.script = Script(formats=frozenset({StreamFormat.UOT_V2, StreamFormat.GOST}))
    made = make(rung)
    flow, receiver = made.carry(udp_target)
    await made.open()
    await echoed(flow, receiver)
    assert made.owner.told == ["opened", "named", "proved"]


async def test_flows_share_it(make: Make, server: FakeServer) -> None:
    """Each hears its own remote."""
    made = make()
    with udp_echo() as one, udp_echo() as two:
        pairs = [made.carry(Endpoint(*address)) for address in (one, two)]
        assert made.association.carried == [flow for flow, _ in pairs]
        await made.open()
        for number, (flow, receiver) in enumerate(pairs):
            await echoed(flow, receiver, bytes([number]))
    assert len(server.sessions) == 1


async def test_it_takes_no_flow_to_the_same_remote(make: Make) -> None:
    """Nor any, once it has retired; an exclusive one takes only such, and one."""
    made, own = make(), make(exclusive=True)
    flow, _ = made.carry(REMOTE)
    exclusive, _ = own.carry(REMOTE)
    assert not made.association.takes(flow)
    assert not made.association.takes(exclusive)
    assert not own.association.takes(flow)
    flow.remote = exclusive.remote = OTHER
    assert made.association.takes(flow)
    assert not own.association.takes(exclusive)
    made.association.retire()
    assert not made.association.takes(flow)


async def test_it_opens_without_a_flow_too(make: Make, udp_target: Endpoint) -> None:
    """One that comes later is carried at once, and hears that it can be."""
    made = make()
    await made.open()
    flow, receiver = made.carry(udp_target)
    assert receiver.openings == 1
    await echoed(flow, receiver)


@pytest.mark.parametrize("batch", [best_batch, PlainBatch], ids=["best", "plain"])
async def test_a_batch_is_sent_behind_the_header(engine: Engine, make: Make, udp_target: Endpoint) -> None:
    """Before the association is there, and after: in the same order, each datagram by itself."""
    payloads = [bytes([number]) * number for number in range(1, 10)]
    made = make()
    flow, receiver = made.carry(udp_target)
    for _ in range(2):
        count = engine.batch.hold(payloads)
        assert flow.send(engine.batch, range(count)) == len(payloads)
        if not made.association.is_open:
            await made.open()
    await until(lambda: len(receiver.payloads) == 2 * len(payloads), "all echoes")
    assert receiver.payloads == payloads * 2
    assert receiver.octets_sent == 2 * sum(map(len, payloads))


async def test_the_oldest_that_wait_are_dropped(make: Make, udp_target: Endpoint) -> None:
    """So many datagrams and no more, whoever's they are; only what goes counts as sent."""
    made = make()
    (flow, receiver), (other, other_receiver) = made.carry(udp_target), made.carry(OTHER)
    assert other.send_payload(b"the oldest")
    for number in range(WAITING + 5):
        assert flow.send_payload(bytes([number]))
    assert (receiver.octets_sent, receiver.drops, other_receiver.drops) == (0, 5, 1)
    await made.open()
    await until(lambda: len(receiver.payloads) == WAITING, "the echoes")
    assert receiver.payloads == [bytes([number]) for number in range(5, WAITING + 5)]
    assert (receiver.octets_sent, receiver.drops) == (WAITING, 5)


async def test_what_still_waits_for_a_flow_that_ends_is_dropped(make: Make, server: FakeServer) -> None:
    """And counted, once; the other's goes."""
    made = make()
    (flow, receiver), (other, other_receiver) = made.carry(REMOTE), made.carry(OTHER)
    for _ in range(3):
        assert flow.send_payload(b"ping")
    assert other.send_payload(b"pong")
    flow.close()
    flow.close()
    await made.open()
    assert (receiver.octets_sent, receiver.drops) == (0, 3)
    assert (other_receiver.octets_sent, other_receiver.drops) == (4, 0)
    await until(lambda: relay_of(server).received, "it went")
    assert relay_of(server).received == [(OTHER, b"pong")]


@pytest.mark.parametrize("octets", [0, 65_500])
async def test_one_that_waits_and_cannot_go_is_dropped(make: Make, udp_target: Endpoint, octets: int) -> None:
    """Such as one that is too large with its header; those behind it go."""
    made = make()
    flow, receiver = made.carry(udp_target)
    assert flow.send_payload(bytes(octets))
    assert flow.send_payload(b"ping")
    await made.open()
    await until(lambda: receiver.payloads, "the echo")
    assert receiver.payloads == [b"ping"]
    assert (receiver.octets_sent, receiver.drops) == (4, 1)


@pytest.mark.parametrize("whose", ["its own", "another", "all"])
async def test_flows_may_end_as_it_opens(make: Make, server: FakeServer, whose: str) -> None:
    """By who hears that it is open; then nothing is sent in their name any more."""
    made = make()
    (flow, receiver), (other, other_receiver) = made.carry(REMOTE), made.carry(OTHER)
    for each in (flow, other):
        each.send_payload(b"ping")
    ends = {"its own": flow.close, "another": other.close, "all": made.close}[whose]
    receiver.opened = ends  # type: ignore[method-assign]
    made.start()
    await until(lambda: receiver.drops + other_receiver.drops, "dropped")
    await turns()
    sent = {"its own": (0, 4), "another": (4, 0), "all": (0, 0)}[whose]
    assert (receiver.octets_sent, other_receiver.octets_sent) == sent
    assert (receiver.drops, other_receiver.drops) == tuple(int(not octets) for octets in sent)
    assert made.owner.told == ["opened"] * (whose != "all")


@pytest.mark.parametrize("batch", [best_batch, PlainBatch], ids=["best", "plain"])
@pytest.mark.parametrize("trial", [False, True])
async def test_what_the_server_might_not_bear_is_not_sent(
    engine: Engine, make: Make, server: FakeServer, *, trial: bool
) -> None:
    """Too small, or too large; that is told, and the others go."""
    made = make(trial=trial, probe=None)
    flow, receiver = made.carry(REMOTE)
    await made.open()
    made.terms.largest = 100
    count = engine.batch.hold([b"1", b"", b"2", bytes(101), bytes(100)])
    assert flow.send(engine.batch, range(count)) == 3
    assert not flow.send_payload(b"")
    assert not flow.send_payload(bytes(101))
    assert made.owner.told == ["opened"] + 3 * ["unfit"]
    assert receiver.octets_sent == 102
    await until(lambda: len(relay_of(server).received) == 3, "the others went")
    made.terms.smallest = 0
    assert flow.send_payload(b"")


async def test_what_was_not_sent_is_not_waited_for(engine: Engine, make: Make) -> None:
    """Its silence would mean nothing."""
    made = make()
    flow, _ = made.carry(REMOTE)
    await made.open()
    assert not flow.send_payload(b"")
    count = engine.batch.hold([b""])
    assert flow.send(engine.batch, range(count)) == 0
    assert not engine.deadlines._mortals
    assert flow.send_payload(b"ping")
    assert engine.deadlines._mortals


async def test_what_no_flow_sends(make: Make, server: FakeServer) -> None:
    """A header and a payload, whatever the server bears; nothing before it is open."""
    made = make()
    made.association.send_bare(encode_header(REMOTE))
    await made.open()
    made.association.send_bare(encode_header(REMOTE))
    await until(lambda: relay_of(server).received, "it went")
    assert relay_of(server).received == [(REMOTE, b"")]


async def test_a_flow_of_another_association_changes_nothing(make: Make) -> None:
    """An exclusive one ends with its own flow only."""
    made, other = make(exclusive=True), make(exclusive=True)
    made.carry(REMOTE)
    flow, _ = other.carry(REMOTE)
    made.association.detach(flow)
    assert not made.association.ended
    flow.close()
    assert (made.association.ended, other.association.ended) == (False, True)


async def test_a_flow_that_has_moved_may_hear_something_yet(
    make: Make, server: FakeServer, udp_target: Endpoint
) -> None:
    """As long as it is not detached; it is carried no more, and hears no opening."""
    made, other = make(), make()
    flow, receiver = made.carry(udp_target)
    flow.send_payload(b"ping")
    other.association.attach(flow)
    assert (made.association.carried, other.association.carried) == ([], [flow])
    await made.open()
    assert receiver.openings == 0
    await until(lambda: receiver.payloads, "the echo")
    made.association.detach(flow)
    server.inject(server.sessions[0], encode_header(udp_target) + b"late", from_elsewhere=False)
    await turns()
    assert receiver.payloads == [b"ping"]


async def test_on_trial_what_is_sent_is_kept(engine: Engine, make: Make, server: FakeServer) -> None:
    """The latest of it, in order, what waited too; a flow that ends has sent all the same."""
    made = make(trial=True)
    (flow, receiver), (other, other_receiver) = made.carry(REMOTE), made.carry(OTHER)
    flow.send_payload(b"waited")
    await made.open()
    for number in range(WAITING):
        other.send_payload(bytes([number]))
    count = engine.batch.hold([b"a batch"])
    flow.send(engine.batch, range(count))
    other.close()
    assert list(made.association.retire()) == [(flow, b"a batch")]
    assert made.association.retired
    assert (receiver.drops, other_receiver.drops) == (0, 0)
    assert receiver.octets_sent == len(b"waited" + b"a batch")
    assert list(made.association.retire()) == []


async def test_what_waits_is_given_too_when_it_retires(make: Make, server: FakeServer) -> None:
    """It was never sent, and is not on this one, should it open yet."""
    server.script = Script(at=Stage.REPLY, act=Act.STALL)
    made = make(trial=True)
    flow, _ = made.carry(REMOTE)
    made.start()
    flow.send_payload(b"ping")
    assert list(made.association.retire()) == [(flow, b"ping")]


@pytest.mark.parametrize("before", [False, True])
async def test_when_settled_nothing_is_kept(make: Make, *, before: bool) -> None:
    """Neither of what was sent nor of what will be; but what waits goes on waiting."""
    made = make(trial=True)
    flow, receiver = made.carry(REMOTE)
    flow.send_payload(b"waited")
    if before:
        made.association.settle()
    await made.open()
    if not before:
        made.association.settle()
    flow.send_payload(b"ping")
    assert receiver.octets_sent == len(b"waited" + b"ping")
    assert list(made.association.retire()) == []


async def test_silence_is_told(make: Make, clock: FakeClock, engine: Engine) -> None:
    """After the patience, with what has never worked a shorter one; and when a probe is not answered."""
    for made, seconds in ((make(), 1.0), (make(trial=True), TRIAL_PATIENCE)):
        flow, _ = made.carry(REMOTE)
        await made.open()
        flow.send_payload(b"ping")
        clock.advance(seconds - 0.01)
        engine.deadlines._look()
        assert made.owner.silences == []
        clock.advance(0.01)
        await until(lambda made=made: made.owner.silences, "silence")  # type: ignore[misc]
        made.association.liveness.ask(PROBED)
        clock.advance(seconds)
        await until(lambda made=made: len(made.owner.silences) == 2, "silence")  # type: ignore[misc]
        assert made.owner.silences == [False, True]


async def test_a_probe_goes_and_comes(make: Make, server: FakeServer, udp_target: Endpoint) -> None:
    """No flow hears of it; it shows that the association works."""
    made = make(trial=True)
    _, receiver = made.carry(REMOTE)
    made.association.liveness.ask(udp_target)
    await made.open()
    made.association.liveness.ask(udp_target)
    await until(lambda: "answered" in made.owner.told, "the answer")
    assert made.owner.told == ["opened", "named", "proved", "answered"]
    assert made.association.heard
    assert (receiver.payloads, receiver.drops) == ([], 0)


async def test_an_answer_ends_the_silence(
    make: Make, engine: Engine, clock: FakeClock, udp_target: Endpoint
) -> None:
    """And nothing is looked at any more: a process without traffic sleeps."""
    made = make()
    flow, receiver = made.carry(udp_target)
    await made.open()
    await echoed(flow, receiver)
    clock.advance(60.0)
    await until(lambda: not engine.deadlines._mortals, "nothing is looked at")
    assert made.owner.silences == []
