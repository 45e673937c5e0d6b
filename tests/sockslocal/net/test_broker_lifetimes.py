import itertools
from collections.abc import Callable
from typing import Any

import pytest

from fakes.flows import FakeReceiver
from fakes.udp_world import PROBED, FakeTransport, World
from sockslocal.address import Endpoint
from sockslocal.config.model import Limits
from sockslocal.errors import ServerError
from sockslocal.net.association import BRIEF_S, TRIAL_PATIENCE
from sockslocal.net.broker import LIFETIME_S, LINGER_S
from sockslocal.net.rungs import RELAYED, Rung

ONE, TWO, THREE = (Endpoint(f"192.0.2.{number}", 7) for number in range(1, 4))

PATIENCE_S = 1.0
TRIAL_S = PATIENCE_S * TRIAL_PATIENCE

MakeWorld = Callable[..., World]


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
    for _ in range(60):
        flow.touch()
        flow.send_payload(b"ping")
        proved.advance(1.0)
    assert (receiver.losses, len(proved.openings)) == ([], 1)


def test_silence_where_the_rung_is_known_costs_no_datagrams(proved: World) -> None:
    """Nor a probe that nobody answers any more, which is relied upon no longer: who only sends goes on."""
    proved.health.answers_probes = True
    flow, receiver = proved.open(ONE, idle_s=3600.0)
    transport = proved.granted()
    for _ in range(60):
        flow.touch()
        assert flow.send_payload(b"ping")
        proved.advance(1.0)
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


def replaced(world: World, remote: Endpoint) -> FakeTransport:
    """The transport of a flow to `remote`, which had answered on one that died."""
    world.health.answers_probes = True
    flow, _ = world.open(remote)
    first = world.granted()
    flow.send_payload(b"ping")
    first.answer()
    flow.send_payload(b"ping")
    world.advance(2 * PATIENCE_S)
    assert first.closed
    again, _ = world.open(remote)
    again.send_payload(b"ping")
    return world.granted()


def test_a_way_that_carries_no_more(proved: World) -> None:
    """Who answered, and the probe, are silent on a new association too: the rungs are tried again."""
    replaced(proved, ONE)
    proved.advance(2 * PATIENCE_S)
    assert proved.told == [(None, "udp-silent")]
    proved.advance(2.0)
    proved.open(ONE)
    assert proved.pending[0].side.trial


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
    for _ in range(60):
        again.touch()
        assert again.send_payload(b"ping")
        proved.advance(1.0)
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


@pytest.mark.parametrize("how", ["control", "refused"])
def test_the_end_of_one_that_worked_is_no_error(proved: World, how: str) -> None:
    """Its flows are lost without one; the next has a new association, without a pause."""
    flow, receiver = proved.open(ONE)
    transport = proved.granted()
    flow.send_payload(b"ping")
    transport.answer()
    proved.advance(BRIEF_S)
    transport.side.control_ended() if how == "control" else transport.side.refused(ONE)
    assert receiver.losses == [None]
    proved.open(ONE)
    assert len(proved.pending) == 1


def test_a_server_that_closes_at_once_is_not_stormed(make_world: MakeWorld) -> None:
    """It is asked ever less often, although each time it makes an association first."""
    world = make_world(probe=None, rungs=RELAYED)
    pauses = []
    for _ in range(4):
        _, receiver = world.open(ONE)
        world.granted().side.control_ended()
        assert receiver.lost_by == "udp-unsupported"
        pauses.append(world.pause())
    assert pauses == [1.0, 2.0, 4.0, 8.0]


def test_a_flow_is_not_left_on_what_was_refused(proved: World) -> None:
    """The server relayed, and refuses now: who was silent meanwhile has an association when it sends."""
    _, first = proved.open(ONE)
    flow, second = proved.open(ONE)
    proved.pending[0].fail()
    assert first.lost_by == "udp-unsupported"
    proved.advance(1.0)
    proved.pending[0].fail()
    assert (flow.carrier, second.losses) == (None, [])
    assert flow.send_payload(b"ping")
    assert proved.granted().payloads == [b"ping"]


def test_a_server_that_answers_once_and_closes_is_not_stormed(proved: World) -> None:
    """However often a program sends: what it sends meanwhile is dropped, and UDP is not called broken."""
    told = set()
    for _ in range(100):
        try:
            flow, _ = proved.open(ONE)
        except ServerError as error:
            told.add(error.problem.code)
        else:
            flow.send_payload(b"ping")
            transport = proved.granted()
            transport.answer()
            transport.side.control_ended()
        proved.advance(0.1)
    assert told == {"udp-association-ended"}
    assert len(proved.openings) <= 15
    assert (proved.told, proved.health.trouble) == ([], None)


def test_an_association_that_lasts_ends_the_caution(make_world: MakeWorld) -> None:
    """Also where nothing comes back on it; but not one that was there before the trouble."""
    world = make_world(probe=None)
    world.open(ONE, idle_s=3600.0)
    world.granted()
    world.advance(3.0)
    world.open(ONE)
    world.pending[0].fail(world.down())
    world.advance(3.0)
    assert world.health.trouble is not None
    world.open(ONE, idle_s=3600.0)
    world.granted()
    world.advance(1.5)
    assert world.health.trouble is not None
    world.advance(1.6)
    assert world.health.trouble is None


def test_one_on_trial_does_not_last_while_it_is_probed(world: World) -> None:
    """A slow server may be silent for longer than another one takes to close."""
    world.terms().patience = 10.0
    world.open(ONE)
    world.pending[0].fail(world.down())
    world.advance(1.0)
    world.open(ONE)
    world.granted()
    world.advance(5.0)
    assert world.health.trouble is not None


def test_a_server_that_grants_no_more(proved: World) -> None:
    """Who finds room on those that are there has it; the others are told, and what is known stays known."""
    flow, _ = proved.open(ONE)
    transport = proved.granted()
    flow.send_payload(b"ping")
    transport.answer()
    _, receiver = proved.open(ONE)
    proved.pending[0].fail()
    assert receiver.lost_by == "udp-unsupported"
    assert proved.refusal(ONE) == "udp-unsupported"
    other, other_receiver = proved.open(TWO)
    other.send_payload(b"pong")
    transport.answer()
    assert other_receiver.payloads == [b"pong"]
    assert proved.told == []
    assert proved.health.ladder.proved


def test_a_server_that_is_down_may_return_at_any_moment(world: World) -> None:
    """Its UDP is not to blame: nothing is noted about it, and it is tried once a second."""
    for _ in range(5):
        _, receiver = world.open(ONE)
        world.pending[0].fail(world.down())
        assert receiver.lost_by == "server-unreachable"
        assert world.refusal(ONE) == "server-unreachable"
        world.advance(1.0)
    assert world.told == []


def test_what_retired_may_fail(world: World) -> None:
    """That is no news, whatever it was; its flows have moved."""
    flow, receiver = world.open(ONE)
    silent = world.granted()
    world.advance(TRIAL_S)
    transport = world.granted()
    transport.answer_probe()
    silent.side.refused(ONE)
    assert silent.closed
    flow.send_payload(b"ping")
    assert transport.payloads == [b"ping"]
    assert (receiver.losses, world.told) == ([], [(Rung.SERVER, None)])


# age


def aged(world: World, *remotes: Endpoint) -> list[tuple[Any, FakeReceiver]]:
    """Flows on an association that worked, and is to be replaced."""
    pairs = [world.open(remote, idle_s=2 * LIFETIME_S) for remote in remotes]
    transport = world.granted()
    for flow, receiver in pairs:
        flow.send_payload(b"at first")
        transport.answer()
        receiver.payloads.clear()
    world.advance(LIFETIME_S + 1.0)
    assert transport.side.retired
    return pairs


def test_an_old_association_is_replaced_before_it_is_dropped(proved: World) -> None:
    """Its flows move as they send; what comes on the old one yet is delivered."""
    (flow, receiver), (other, _) = aged(proved, ONE, TWO)
    (old,) = proved.alive
    flow.send_payload(b"ping")
    old.bring(flow.header + b"late")
    new = proved.granted()
    assert new.payloads == [b"ping"]
    new.answer()
    assert receiver.payloads == [b"late", b"ping"]
    proved.advance(LINGER_S + 1.0)
    assert not old.closed
    other.send_payload(b"pong")
    assert new.payloads == [b"ping", b"pong"]
    proved.advance(LINGER_S + 1.0)
    assert old.closed
    assert not new.closed


def test_who_only_listens_keeps_an_old_association(proved: World) -> None:
    """A server sends to where it was asked from."""
    ((_, receiver),) = aged(proved, ONE)
    (old,) = proved.alive
    proved.advance(10 * LINGER_S)
    old.answer()
    assert receiver.payloads == [b"at first"]


def test_an_old_association_is_kept_where_there_is_no_new_one(proved: World) -> None:
    """The server grants no second one: what waited for it goes by the old one, and all after it."""
    ((flow, receiver),) = aged(proved, ONE)
    (old,) = proved.alive
    assert flow.send_payload(b"1")
    proved.pending[0].fail()
    assert flow.send_payload(b"2")
    assert old.payloads == [b"at first", b"1", b"2"]
    assert (receiver.losses, receiver.drops, proved.pending) == ([], 0, [])
    proved.advance(1.0)
    assert flow.send_payload(b"3")
    new = proved.granted()
    assert new.payloads == [b"3"]


def test_an_old_association_makes_room_for_the_new_one(make_world: MakeWorld) -> None:
    """If there may be no other beside it; all its flows move."""
    world = make_world(limits=Limits(associations=1))
    world.health.prove(Rung.GIVEN)
    (flow, receiver), (other, other_receiver) = aged(world, ONE, TWO)
    flow.send_payload(b"1")
    other.send_payload(b"2")
    assert world.granted().payloads == [b"1", b"2"]
    assert (receiver.losses, other_receiver.losses) == ([], [])
    assert world.broker.associations == 1


def test_a_flow_that_finds_nothing_is_lost(proved: World) -> None:
    """Where its old association has not worked either."""
    flow, receiver = proved.open(ONE, idle_s=2 * LIFETIME_S)
    proved.granted()
    proved.advance(LIFETIME_S + 1.0)
    proved.health.fail(Rung.GIVEN, proved.refused(), alone=True)
    assert not flow.send_payload(b"ping")
    assert receiver.lost_by == "udp-unsupported"


def test_closing_ends_flows_without_a_carrier(make_world: MakeWorld) -> None:
    """Their association has made room, and they had nothing to send since."""
    world = make_world(limits=Limits(associations=1))
    world.health.prove(Rung.GIVEN)
    (flow, _), (other, waiting) = aged(world, ONE, TWO)
    flow.send_payload(b"ping")
    other.touch()
    world.broker.close()
    assert waiting.losses == [None]
