from collections.abc import Callable
from typing import Any

import pytest

from fakes.flows import FakeReceiver
from fakes.udp_world import World
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
