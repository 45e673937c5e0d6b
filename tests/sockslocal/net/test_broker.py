from collections.abc import Callable

import pytest

from fakes.flows import FakeReceiver
from fakes.udp_world import World
from sockslocal.address import Endpoint
from sockslocal.config.model import Limits
from sockslocal.errors import ServerError
from sockslocal.net.broker import FULL_S, LINGER_S
from sockslocal.net.flows import ACTIVE_S
from sockslocal.net.slots import QUARANTINE_S

REMOTES = [Endpoint(f"192.0.2.{number}", 7) for number in range(1, 101)]
ONE, TWO, THREE = REMOTES[:3]
NAME, OTHER_NAME = Endpoint("one.test", 7), Endpoint("two.test", 7)

MakeWorld = Callable[..., World]


# sharing


def test_flows_to_several_remotes_share_an_association(proved: World) -> None:
    """Each hears its own; all are counted."""
    pairs = [proved.open(remote) for remote in REMOTES]
    transport = proved.granted()
    for flow, _ in pairs:
        flow.send_payload(str(flow.remote).encode())
        transport.answer()
    assert [receiver.payloads for _, receiver in pairs] == [[str(remote).encode()] for remote in REMOTES]
    assert (proved.broker.flows, proved.broker.associations) == (100, 1)


def test_flows_to_one_remote_do_not(proved: World) -> None:
    """Its answers could not be told apart."""
    pairs = [proved.open(ONE) for _ in range(3)]
    assert proved.broker.associations == 3
    for opening, (flow, receiver) in zip(proved.pending, pairs, strict=True):
        transport = opening.succeed()
        flow.send_payload(b"ping")
        transport.answer()
        assert receiver.payloads == [b"ping"]


def test_an_exclusive_flow_shares_with_none(proved: World) -> None:
    """Neither with those before nor with those after it; it hears all that comes, and its end is the end."""
    proved.open(ONE)
    flow, receiver = proved.open(TWO, exclusive=True)
    proved.open(THREE)
    assert proved.broker.associations == 2
    transport = proved.pending[1].succeed()
    flow.send_payload(b"ping")
    transport.answer(THREE)
    assert receiver.payloads == [b"ping"]
    flow.close()
    assert transport.closed


def test_a_remote_is_free_again_after_a_while(proved: World) -> None:
    """An association that lives on carries another flow to it when no late answer can come any more."""
    proved.open(TWO, idle_s=3600.0)
    flow, _ = proved.open(ONE)
    flow.close()
    again, _ = proved.open(ONE)
    assert proved.broker.associations == 2
    again.close()
    proved.advance(QUARANTINE_S)
    proved.open(ONE)
    assert proved.broker.associations == 1


def test_a_name_that_moves_to_where_another_flow_goes(proved: World) -> None:
    """Each hears its own all the same, also where it was known for long where the name leads."""
    name, receiver = proved.open(NAME)
    before = proved.granted()
    name.send_payload(b"ping")
    before.answer(TWO)
    name.close()
    (name, again), (flow, other) = proved.open(NAME), proved.open(ONE)
    for opening in proved.pending:
        opening.succeed()
    assert name.carrier is not flow.carrier
    for sender in (flow, name):
        sender.send_payload(str(sender.remote).encode())
    for transport in proved.alive:
        if transport.payloads != [b"ping"]:
            transport.answer(ONE)
    assert receiver.payloads == [b"ping"]
    assert (again.payloads, other.payloads) == ([b"one.test:7"], [b"192.0.2.1:7"])


def test_names_have_associations_of_their_own(proved: World) -> None:
    """Where they have one port; at others they share."""
    for number, name in enumerate([NAME, OTHER_NAME, NAME], start=1):
        proved.open(name)
        assert proved.broker.associations == number
    proved.open(NAME._replace(port=8))
    proved.open(ONE._replace(port=9))
    assert proved.broker.associations == 3


# bounds


def test_no_more_associations_than_so_many(make_world: MakeWorld) -> None:
    """Those in use are never ended for a new flow, however many come; of the others the one idle longest."""
    world = make_world(limits=Limits(associations=3))
    pairs = [world.open(ONE, idle_s=3600.0) for _ in range(3)]
    for _ in range(100):
        assert world.refusal(ONE) == "udp-flows-exhausted"
    world.advance(ACTIVE_S)
    pairs[0][0].touch()
    pairs.append(world.open(ONE))
    assert [receiver.losses for _, receiver in pairs] == [[], [None], [], []]
    assert (world.broker.flows, world.broker.associations) == (3, 3)


@pytest.mark.parametrize(("descriptors", "most"), [(64, 8), (7, 1)])
def test_descriptors_bound_them_too(make_world: MakeWorld, descriptors: int, most: int) -> None:
    """A process with few descriptors keeps most of them for connections."""
    world = make_world(descriptors=descriptors)
    for _ in range(most):
        world.open(ONE)
    assert world.refusal(ONE) == "udp-flows-exhausted"


def test_no_more_flows_than_so_many_on_each(make_world: MakeWorld) -> None:
    """The next have another association, as long as there is one."""
    world = make_world(limits=Limits(associations=2, flows_per_association=2))
    for remote in REMOTES[:4]:
        world.open(remote)
    assert world.broker.associations == 2
    assert world.refusal(REMOTES[4]) == "udp-flows-exhausted"


def test_no_more_flows_than_so_many_in_all(make_world: MakeWorld) -> None:
    """Those in use are never evicted; of the others the one idle longest."""
    world = make_world(limits=Limits(flows=3))
    pairs = [world.open(remote, idle_s=3600.0) for remote in REMOTES[:3]]
    assert world.refusal(REMOTES[3]) == "udp-flows-exhausted"
    world.advance(ACTIVE_S)
    pairs[0][0].touch()
    pairs.append(world.open(REMOTES[3]))
    assert [receiver.losses for _, receiver in pairs] == [[], [None], [], []]


def test_an_association_without_flows_gives_way_at_once(make_world: MakeWorld) -> None:
    """It was used a moment ago, but is of no use any more."""
    world = make_world(limits=Limits(associations=2))
    flow, _ = world.open(ONE)
    world.open(ONE)
    assert world.refusal(ONE) == "udp-flows-exhausted"
    flow.close()
    world.open(ONE)
    assert world.openings[0].over
    assert world.broker.associations == 2


def test_room_that_comes_of_itself_is_found_after_a_moment(make_world: MakeWorld) -> None:
    """In a flood nobody looks for it at each datagram."""
    world = make_world(limits=Limits(associations=1, flows_per_association=2))
    world.open(TWO, idle_s=3600.0)
    flow, _ = world.open(ONE)
    flow.close()
    assert world.refusal(ONE) == "udp-flows-exhausted"
    world.advance(QUARANTINE_S - 0.1)
    world.broker.open(THREE, FakeReceiver(), 60.0).close()
    assert world.refusal(ONE) == "udp-flows-exhausted"
    world.advance(FULL_S + 0.1)
    assert world.broker.flows == 1


# time


def test_idle_flows_end(proved: World) -> None:
    """Each by its own idle time, counted from its last use; their receivers hear of it without an error."""
    short, long, used = (proved.open(ONE, idle_s=idle_s) for idle_s in (5.0, 60.0, 5.0))
    proved.advance(4.0)
    used[0].touch()
    proved.advance(2.0)
    assert [receiver.losses for _, receiver in (short, long, used)] == [[None], [], []]
    proved.advance(5.0)
    assert [receiver.losses for _, receiver in (short, long, used)] == [[None], [], [None]]
    assert proved.broker.flows == 1
    short[0].touch()
    assert not short[0].send_payload(b"ping")
    assert proved.broker.flows == 1


def test_a_process_without_flows_sleeps(world: World) -> None:
    """An association without any lingers for a moment, for late answers and new flows."""
    flow, _ = world.open(ONE)
    transport = world.granted()
    transport.answer_probe()
    flow.close()
    world.advance(LINGER_S - 1.0)
    assert not transport.closed
    world.advance(2.0)
    assert transport.closed
    assert world.is_quiet


def test_what_is_used_does_not_idle(proved: World) -> None:
    """Neither the flow nor its association."""
    flow, receiver = proved.open(ONE, idle_s=5.0)
    transport = proved.granted()
    for _ in range(20):
        proved.advance(2.0)
        flow.touch()
    assert receiver.losses == []
    assert not transport.closed


# callbacks


def test_who_is_told_of_a_loss_may_open_another(proved: World) -> None:
    """As the resolver does; also where it is the idle one that makes room."""
    reopened = []
    first, second = proved.open(ONE, idle_s=5.0), proved.open(ONE, idle_s=5.0)

    def reopen(error: ServerError | None) -> None:
        reopened.append(proved.open(ONE))
        second[0].close()

    first[1].lost = reopen  # type: ignore[method-assign]
    proved.advance(6.0)
    assert len(reopened) == 1
    assert second[1].losses == []
    assert proved.broker.flows == 1


def test_whoever_closes_a_flow_closes_no_other(proved: World) -> None:
    """Twice does no harm, nor to close one that is lost."""
    one, _ = proved.open(ONE)
    two, receiver = proved.open(TWO)
    for _ in range(2):
        one.close()
    assert proved.broker.flows == 1
    proved.broker.close()
    two.close()
    assert receiver.losses == [None]


def test_closing_ends_all(world: World) -> None:
    """Those that are carried, and those that are about to be."""
    _, receiver = world.open(ONE)
    transport = world.granted()
    _, other = world.open(ONE)
    world.broker.close()
    assert (receiver.losses, other.losses) == ([None], [None])
    assert transport.closed
    assert world.pending == []


def test_what_the_server_might_not_bear_is_passed_on(proved: World) -> None:
    """Who knows the server may find out."""
    flow, _ = proved.open(ONE)
    proved.granted()
    assert not flow.send_payload(b"")
    assert proved.unfits == 1
