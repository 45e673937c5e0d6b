import itertools

import pytest

from fakes.udp_world import PROBED, FakeTransport, World
from sockslocal.address import Endpoint
from sockslocal.net import broker
from sockslocal.net.udp_flow import Flow

ONE, TWO, THREE = (Endpoint(f"192.0.2.{number}", 7) for number in range(1, 4))

PATIENCE_S = 1.0


def send_for_a_minute(world: World, *flows: Flow) -> None:
    """Each of them goes on to send, whether something comes back or not."""
    for _ in range(60):
        for flow in flows:
            flow.touch()
            assert flow.send_payload(b"ping")
        world.advance(1.0)


def test_a_dead_association_is_found_by_a_probe(proved: World) -> None:
    """Where probes are answered; its flows are lost without an error, as new ones will do."""
    proved.health.answers_probes = True
    flow, receiver = proved.open(ONE)
    transport = proved.granted()
    flow.send_payload(b"1")
    transport.answer()
    flow.send_payload(b"2")
    proved.advance(PATIENCE_S)
    assert len(transport.probes) == 1
    proved.advance(PATIENCE_S)
    assert transport.closed
    assert receiver.losses == [None]
    proved.open(ONE)
    assert len(proved.pending) == 1


def test_a_remote_that_has_nothing_to_say_is_let_be(proved: World) -> None:
    """The probe is answered; the next one comes ever later, and none once nothing is sent."""
    flow, receiver = proved.open(ONE, idle_s=3600.0)
    transport = proved.granted()
    asked: list[float] = []
    for _ in range(600):
        flow.touch()
        flow.send_payload(b"ping")
        proved.advance(0.1)
        if len(transport.probes) > len(asked):
            asked.append(proved.clock.now)
            transport.answer_probe()
    pauses = [round(later - earlier) for earlier, later in itertools.pairwise(asked)]
    assert pauses[:4] == [2, 4, 8, 16]
    transport.answer()
    proved.advance(60.0)
    assert (receiver.losses, len(transport.probes)) == ([], len(asked))
    assert not proved.deadlines.watched


def test_silence_without_an_answer_to_probes(proved: World) -> None:
    """It is borne for a while, as nobody knows who is silent; then a new association is tried."""
    flow, receiver = proved.open(ONE, idle_s=3600.0)
    transport = proved.granted()
    flow.send_payload(b"ping")
    transport.answer()
    seconds = 0
    while not receiver.losses:
        flow.send_payload(b"ping")
        proved.advance(1.0)
        seconds += 1
    assert receiver.losses == [None]
    assert 8 < seconds < 20


def test_one_that_never_worked_is_borne_where_probes_are_not_answered(proved: World) -> None:
    """Such as that of a program that only sends: a new one would be no better."""
    flow, receiver = proved.open(ONE, idle_s=3600.0)
    proved.granted()
    send_for_a_minute(proved, flow)
    assert (receiver.losses, len(proved.openings)) == ([], 1)


def test_silence_where_the_rung_is_known_costs_no_datagrams(proved: World) -> None:
    """Nor a probe that nobody answers any more, which is relied upon no longer: who only sends goes on."""
    proved.health.answers_probes = True
    flow, receiver = proved.open(ONE, idle_s=3600.0)
    transport = proved.granted()
    send_for_a_minute(proved, flow)
    assert len(transport.payloads) == 60
    assert (receiver.losses, receiver.drops, proved.told) == ([], 0, [])
    assert (proved.health.answers_probes, proved.unanswereds) == (False, 1)


def test_the_probe_dies_while_others_are_answered(proved: World) -> None:
    """Who only sends beside them goes on too."""
    proved.health.probe_answered()
    proved.advance(1.0)
    (talker, _), (flow, receiver) = proved.open(TWO, idle_s=3600.0), proved.open(TWO, idle_s=3600.0)
    first, second = [opening.succeed() for opening in proved.pending]
    for _ in range(60):
        for sender in (talker, flow):
            sender.touch()
            assert sender.send_payload(b"ping")
        first.answer()
        proved.advance(1.0)
    assert len(second.payloads) == 60
    assert (receiver.losses, receiver.drops, len(proved.openings)) == ([], 0, 2)


def die(world: World, *remotes: Endpoint) -> None:
    """An association on which these had answered is found dead."""
    world.health.answers_probes = True
    flows = [world.open(remote)[0] for remote in remotes]
    transport = world.granted()
    for flow in flows:
        flow.send_payload(b"ping")
        transport.answer()
    flows[0].send_payload(b"ping")
    world.advance(2 * PATIENCE_S)
    assert transport.closed


def replaced(world: World, remote: Endpoint) -> FakeTransport:
    """The transport of a flow to `remote`, which had answered on one that died."""
    die(world, remote)
    flow, _ = world.open(remote)
    flow.send_payload(b"ping")
    return world.granted()


def test_a_way_that_carries_no_more(proved: World) -> None:
    """Who answered, and the probe, are silent on a new association too: the rungs are tried again."""
    replaced(proved, ONE)
    proved.advance(2 * PATIENCE_S)
    assert proved.told == [(None, "udp-silent")]
    proved.advance(2.0)
    proved.open(ONE)
    assert proved.pending[0].side.trial


def test_who_answered_lately_is_remembered(proved: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where more did than are remembered, those are forgotten who last did so before the others."""
    monkeypatch.setattr(broker, "MAX_TALKERS", 2)
    die(proved, ONE, TWO)
    die(proved, ONE, THREE)
    silent, _ = proved.open(ONE)
    silent.send_payload(b"ping")
    proved.granted()
    proved.advance(2 * PATIENCE_S)
    assert proved.told == [(None, "udp-silent")]


def test_the_probe_dies_with_one_association(proved: World) -> None:
    """Who answers on the next one shows that the way carries, whatever the probe does."""
    transport = replaced(proved, ONE)
    transport.answer()
    proved.advance(60.0)
    assert (proved.told, len(proved.openings)) == ([], 2)


def test_who_only_sends_is_no_witness(proved: World) -> None:
    """Another remote, which never answered, is silent on the next association too: that is borne."""
    replaced(proved, ONE).answer()
    flow, receiver = proved.open(TWO, idle_s=3600.0)
    flow.send_payload(b"ping")
    proved.advance(2 * PATIENCE_S)
    assert receiver.losses == [None]
    again, receiver = proved.open(TWO, idle_s=3600.0)
    transport = proved.granted()
    send_for_a_minute(proved, again)
    assert len(transport.payloads) == 60
    assert (receiver.losses, receiver.drops, proved.told) == ([], 0, [])


def test_one_that_alone_is_dead_is_replaced(proved: World) -> None:
    """Another one's probe was answered meanwhile, so its own is no better a witness against the probe."""
    _, (flow, receiver) = proved.open(ONE), proved.open(ONE)
    first, second = [opening.succeed() for opening in proved.pending]
    flow.send_payload(b"ping")
    first.side.liveness.ask(PROBED)
    first.answer_probe()
    proved.advance(2 * PATIENCE_S)
    assert (second.closed, receiver.losses) == (True, [None])
    assert (proved.told, proved.health.answers_probes) == ([], True)


def test_an_association_that_lives_is_kept_when_it_is_checked(proved: World) -> None:
    """It is asked, and answers."""
    proved.health.answers_probes = True
    flow, receiver = proved.open(ONE)
    transport = proved.granted()
    flow.send_payload(b"1")
    transport.answer()
    proved.broker.check()
    assert len(transport.probes) == 1
    proved.broker.check()
    assert len(transport.probes) == 1, "it is being asked"
    transport.answer_probe()
    proved.advance(PATIENCE_S)
    flow.send_payload(b"2")
    assert transport.payloads == [b"1", b"2"]
    assert receiver.losses == []


def test_an_association_that_died_is_ended_when_it_is_checked(proved: World) -> None:
    """Though nothing is sent on it; new flows have another one."""
    proved.health.answers_probes = True
    flow, receiver = proved.open(ONE)
    transport = proved.granted()
    flow.send_payload(b"1")
    transport.answer()
    proved.broker.check()
    proved.advance(PATIENCE_S)
    assert transport.closed
    assert receiver.losses == [None]


@pytest.mark.parametrize("heard", [False, True])
def test_what_cannot_be_asked_is_replaced_when_it_is_checked(proved: World, *, heard: bool) -> None:
    """Its flows go on on another one; what comes on the old one is delivered."""
    proved.health.answers_probes = not heard
    flow, receiver = proved.open(ONE)
    old = proved.granted()
    flow.send_payload(b"1")
    if heard:
        old.answer()
    proved.broker.check()
    assert flow.send_payload(b"2")
    new = proved.granted()
    assert (old.payloads, new.payloads) == ([b"1"], [b"2"])
    old.answer()
    new.answer()
    assert len(receiver.payloads) == 2 + heard
    assert receiver.losses == []


def test_what_is_on_its_way_or_on_trial_is_not_checked(world: World) -> None:
    """That goes on of itself."""
    flow, _ = world.open(ONE)
    flow.send_payload(b"1")
    world.broker.check()
    transport = world.granted()
    asked = len(transport.probes)
    world.broker.check()
    assert (len(transport.probes), len(world.pending)) == (asked, 0)
