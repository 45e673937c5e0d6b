import socket
from collections.abc import Iterator

import pytest

from fakes.associations import PROBED, REMOTE, Make, echoed, making
from fakes.engine import POLLERS, FakeClock, turns, until
from fakes.raw_server import grant_and_end, raw_server
from fakes.socks5_server import Act, FakeServer, Script, Stage, StreamFormat, UdpFault, UdpScript
from sockslocal.address import Endpoint
from sockslocal.net import association as module
from sockslocal.net.association import BRIEF_S, TRIAL_PATIENCE
from sockslocal.net.engine import Engine
from sockslocal.net.rungs import Rung


@pytest.fixture
def make(engine: Engine, server: FakeServer) -> Iterator[Make]:
    """Makes associations with the server, which are closed at the end."""
    with making(engine, server) as make:
        yield make


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
    with raw_server(grant_and_end) as address:
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
