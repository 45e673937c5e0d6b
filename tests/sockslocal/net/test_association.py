import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from fakes.associations import PROBED, WAITING, Made, echoed
from fakes.engine import POLLERS, FakeClock, turns, until
from fakes.raw_server import exactly, raw_server, send_with_fin, until_end
from fakes.socks5_relay import Relay
from fakes.socks5_server import Act, FakeServer, Script, Stage, StreamFormat, UdpFault, UdpScript
from fakes.targets import udp_echo
from sockslocal.address import Endpoint
from sockslocal.net import association as module
from sockslocal.net.association import BRIEF_S, TRIAL_PATIENCE
from sockslocal.net.datagrams import PlainBatch, best_batch
from sockslocal.net.engine import Engine
from sockslocal.net.rungs import Rung
from sockslocal.socks5.datagram import encode_header

REMOTE, OTHER = Endpoint("127.0.0.1", 7), Endpoint("127.0.0.1", 8)
"""Nobody is there."""

Make = Callable[..., Made]


@pytest.fixture
def make(engine: Engine, server: FakeServer) -> Iterator[Make]:
    """Makes associations with the server, which are closed at the end."""
    with ExitStack() as stack:

        def make(rung: Rung = Rung.GIVEN, *, address: tuple[str, int] = server.address, **more: Any) -> Made:
            made = Made(engine, address, rung, **more)
            stack.callback(made.close)
            return made

        yield make


def relay_of(server: FakeServer) -> Relay:
    """The server's side of the only association."""
    (session,) = server.sessions
    assert session.relay is not None
    return session.relay


# datagrams there and back


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


# what waits


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


# what the server bears


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


# its flows


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


# on trial


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


# silence


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


# the control connection


@pytest.mark.parametrize("poller", POLLERS, ids=["best", "loop"])
@pytest.mark.parametrize("how", ["fin", "rst"])
async def test_the_end_of_the_control_connection_is_the_associations(
    make: Make, server: FakeServer, udp_target: Endpoint, how: str
) -> None:
    """After it was of use, that is no error: a new one may do."""
    made = make()
    flow, receiver = made.carry(udp_target)
    await made.open()
    await echoed(flow, receiver)
    server.end_associations() if how == "fin" else server.stop()
    assert await made.end() is None
    made.association.end(None)
    assert not made.owner.endings[1:]


@pytest.mark.parametrize("poller", POLLERS, ids=["best", "loop"])
@pytest.mark.parametrize("act", [Act.CLOSE, Act.RESET])
@pytest.mark.parametrize(("trial", "probe"), [(False, PROBED), (True, None)])
async def test_one_that_is_closed_at_once_is_an_error(
    make: Make, server: FakeServer, *, act: Act, trial: bool, probe: Endpoint | None
) -> None:
    """Such a server relays no datagrams, as far as can be found out."""
    server.script = Script(at=Stage.RELAY, act=act)
    made = make(trial=trial, probe=probe)
    made.start()
    assert await made.end() == "udp-unsupported"
    assert "closes each association at once" in str(made.owner.endings[0])


@pytest.mark.parametrize("poller", POLLERS, ids=["best", "loop"])
async def test_the_end_may_come_with_the_reply(make: Make) -> None:
    """The FIN that lies behind the reply is seen, though no further edge tells of it."""

    def play(sock: socket.socket) -> None:
        exactly(sock, 3)
        sock.sendall(b"\5\0")
        exactly(sock, 10)
        send_with_fin(sock, b"\5\0\0\1\x7f\0\0\1\0\7")
        until_end(sock)

    with raw_server(play) as address:
        made = make(address=address)
        made.start()
        assert await made.end() == "udp-unsupported"


async def test_one_that_lasted_for_a_while_simply_ends(
    make: Make, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where no datagram ever came back: some are only sent."""
    monkeypatch.setattr(module, "BRIEF_S", 0.0)
    made = make()
    await made.open()
    server.end_associations()
    assert await made.end() is None


@pytest.mark.parametrize(("seconds", "told"), [(BRIEF_S - 0.1, ["brief"]), (BRIEF_S, [])])
async def test_one_that_worked_and_is_ended_soon(
    make: Make, server: FakeServer, udp_target: Endpoint, clock: FakeClock, *, seconds: float, told: list[str]
) -> None:
    """That is no error, but told before its flows may want another one."""
    made = make()
    flow, receiver = made.carry(udp_target)
    await made.open()
    await echoed(flow, receiver)
    made.owner.told.clear()
    clock.advance(seconds)
    server.end_associations()
    assert await made.end() is None
    assert made.owner.told == told


async def test_it_lasts_only_once_it_is_open(make: Make, clock: FakeClock) -> None:
    """Waiting for the server is no proof of anything."""
    made = make()
    assert not made.association.lasts(clock() + 1e9)
    await made.open()
    assert not made.association.lasts(clock() + BRIEF_S - 0.1)
    assert made.association.lasts(clock() + BRIEF_S)


async def test_a_lenient_server_relays_on(make: Make, server: FakeServer, udp_target: Endpoint) -> None:
    """Where it is known for that, the end of the control connection is none."""
    server.script = Script(udp=UdpScript(outlives=True))
    made = make()
    made.owner.lenient = True
    flow, receiver = made.carry(udp_target)
    await made.open()
    server.end_associations()
    await until(lambda: server.sessions[0].finished, "it was closed")
    await echoed(flow, receiver)
    assert not made.association.closed_early


@pytest.mark.parametrize("when", ["with the reply", "later"])
async def test_a_server_may_show_that_it_is_lenient(
    make: Make, server: FakeServer, udp_target: Endpoint, clock: FakeClock, when: str
) -> None:
    """By what comes after it has seen that both ends are closed; what comes before is delivered too."""
    lost = UdpScript(outlives=True, fault=UdpFault.DROP)
    server.script = Script(udp=lost)
    if when == "with the reply":
        server.script = Script(udp=lost, at=Stage.RELAY, act=Act.CLOSE)
    made = make(trial=True, probe=udp_target)
    made.owner.when_opened = lambda: made.association.liveness.ask(udp_target)
    flow, receiver = made.carry(udp_target)
    await made.open()
    if when == "later":
        server.end_associations()
    await until(lambda: made.association.closed_early, "it was closed")
    server.switch(UdpScript(outlives=True))
    await echoed(flow, receiver)
    assert not made.association.heard
    clock.advance(TRIAL_PATIENCE / 2)
    await until(lambda: made.association.heard, "the probe was answered")
    await echoed(flow, receiver)
    assert made.owner.silences == []


@pytest.mark.parametrize("icmp", [False, True])
async def test_a_server_that_closes_at_once_may_relay_for_a_moment(
    make: Make, server: FakeServer, udp_target: Endpoint, clock: FakeClock, *, icmp: bool
) -> None:
    """That shows nothing; the silence after it is told, or that nobody is there any more."""
    server.script = Script(udp=UdpScript(outlives=not icmp), at=Stage.RELAY, act=Act.CLOSE)
    made = make(trial=True, probe=udp_target)
    made.owner.when_opened = lambda: made.association.liveness.ask(udp_target)
    flow, _ = made.carry(udp_target)
    flow.send_payload(b"ping")
    await made.open()
    await until(lambda: server.sessions[0].finished, "both ends are closed")
    server.switch(UdpScript(outlives=not icmp, fault=UdpFault.DROP))
    await turns(20)
    for _ in range(3):
        assert not made.association.heard
        clock.advance(TRIAL_PATIENCE)
        made.terms.engine.deadlines._look()
        await turns()
    if icmp:
        assert await made.end() == "udp-unsupported"
        assert "closes each association at once" in str(made.owner.endings[0])
    else:
        assert made.owner.silences == [True]


@pytest.mark.parametrize("poller", POLLERS, ids=["best", "loop"])
async def test_octets_on_the_control_connection_mean_nothing(
    make: Make, server: FakeServer, udp_target: Endpoint
) -> None:
    """However many: datagrams pass meanwhile, and the end behind them is seen."""
    server.script = Script(at=Stage.RELAY, act=Act.SAY, text=bytes(1_000_000))
    made = make()
    flow, receiver = made.carry(udp_target)
    await made.open()
    for _ in range(5):
        await echoed(flow, receiver)
    server.sessions[0].connection.shutdown(socket.SHUT_WR)
    assert await made.end() is None


# the relay and the stream


async def test_a_relay_that_is_gone_before_any_use_is_an_error(make: Make, server: FakeServer) -> None:
    """Its system says so (ICMP), though the control connection lives."""
    server.script = Script(bound_host="127.0.0.3")
    made = make()
    flow, _ = made.carry(REMOTE)
    await made.open()
    flow.send_payload(b"ping")
    assert await made.end() == "udp-relay-invalid"
    assert "127.0.0.3" in str(made.owner.endings[0])


async def test_a_relay_that_is_gone_after_use_ends_the_association(
    make: Make, server: FakeServer, udp_target: Endpoint
) -> None:
    """Dante's dies of one datagram: a new association is what helps."""
    made = make()
    flow, receiver = made.carry(udp_target)
    await made.open()
    await echoed(flow, receiver)
    server.kill_relays()
    flow.send_payload(b"into the void")
    assert await made.end() is None


async def test_one_datagram_may_have_the_server_close_the_association(
    make: Make, server: FakeServer, udp_target: Endpoint
) -> None:
    """If it is the first one, it is as with a server that closes each at once."""
    server.script = Script(udp=UdpScript(fault=UdpFault.CONTROL_CLOSED))
    made = make()
    flow, _ = made.carry(udp_target)
    await made.open()
    flow.send_payload(b"ping")
    assert await made.end() == "udp-unsupported"


@pytest.mark.parametrize("text", [b"", b"this is no frame of any kind"])
async def test_a_stream_that_is_none(make: Make, server: FakeServer, text: bytes) -> None:
    """The server hangs up, or says something else; the problem tells what is not spoken."""
    act = Act.SAY if text else Act.CLOSE
    server.script = Script(formats=frozenset({StreamFormat.UOT_V1}), at=Stage.RELAY, act=act, text=text)
    made = make(Rung.UOT_V1)
    made.start()
    assert await made.end() == "udp-unsupported"
    assert "uot-v1" in str(made.owner.endings[0])


@pytest.mark.parametrize("of_use", [False, True])
async def test_a_stream_that_was_of_use_or_lasted_simply_ends(
    make: Make, server: FakeServer, udp_target: Endpoint, monkeypatch: pytest.MonkeyPatch, *, of_use: bool
) -> None:
    """As an association by a relay does."""
    server.script = Script(formats=frozenset({StreamFormat.UOT_V1}))
    made = make(Rung.UOT_V1)
    flow, receiver = made.carry(udp_target)
    await made.open()
    if of_use:
        await echoed(flow, receiver)
    else:
        monkeypatch.setattr(module, "BRIEF_S", 0.0)
    server.end_associations()
    assert await made.end() is None


async def test_garbage_on_a_stream_that_was_of_use(
    make: Make, server: FakeServer, udp_target: Endpoint
) -> None:
    """That is no verdict on the server either."""
    server.script = Script(
        formats=frozenset({StreamFormat.UOT_V1}), udp=UdpScript(fault=UdpFault.GARBAGE, after=1)
    )
    made = make(Rung.UOT_V1)
    flow, receiver = made.carry(udp_target)
    await made.open()
    await echoed(flow, receiver)
    flow.send_payload(b"garbage comes back")
    assert await made.end() is None


# the end


@pytest.mark.parametrize("script", [Script(reply=7), Script(method=0xFF)])
async def test_a_server_that_makes_none(make: Make, server: FakeServer, script: Script) -> None:
    """The reason is told; what becomes of what waited is the owner's to say."""
    server.script = script
    made = make()
    flow, receiver = made.carry(REMOTE)
    flow.send_payload(b"ping")
    made.start()
    assert await made.end() in {"udp-unsupported", "server-no-method"}
    assert receiver.drops == 0
    flow.close()
    assert receiver.drops == 1


async def test_what_fails_after_it_has_retired_is_of_no_interest(make: Make, server: FakeServer) -> None:
    """Others have taken its place."""
    server.script = Script(reply=7)
    made = make()
    made.association.retire()
    made.start()
    assert await made.end() is None


async def test_the_end_before_it_is_made(make: Make, server: FakeServer) -> None:
    """The dial is cancelled; nothing can be sent by it any more, nor does anything come."""
    server.script = Script(at=Stage.REPLY, act=Act.STALL)
    made = make()
    flow, receiver = made.carry(REMOTE)
    made.start()
    await until(lambda: server.sessions and server.sessions[0].command, "under way")
    made.close()
    await until(lambda: server.sessions[0].finished, "the server saw the end")
    assert made.association.retired
    assert not flow.send_payload(b"ping")
    assert (made.owner.told, receiver.losses) == ([], [])
