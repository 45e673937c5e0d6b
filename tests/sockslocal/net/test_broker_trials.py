from collections.abc import Callable

import pytest

from fakes.flows import FakeReceiver
from fakes.udp_world import World
from sockslocal.address import Endpoint
from sockslocal.config.model import Limits
from sockslocal.errors import ServerError
from sockslocal.net.association import TRIAL_PATIENCE
from sockslocal.net.broker import LINGER_S
from sockslocal.net.rungs import RELAYED, STREAMED, Rung

ONE, TWO, THREE = (Endpoint(f"192.0.2.{number}", 7) for number in range(1, 4))

PATIENCE_S = 1.0
TRIAL_S = PATIENCE_S * TRIAL_PATIENCE

MakeWorld = Callable[..., World]


def test_on_trial_a_probe_is_sent_at_once(world: World) -> None:
    """Its answer proves the rung, and that remotes are named; from then on none is on trial."""
    world.open(ONE)
    transport = world.granted()
    assert len(transport.probes) == 1
    transport.answer_probe()
    assert world.told == [(Rung.GIVEN, None)]
    assert (world.health.answers_probes, world.health.names_remotes) == (True, True)
    world.open(ONE)
    assert world.granted().probes == []


def test_any_answer_proves_it(world: World) -> None:
    """A flow's remote may be quicker than the probe's; the late answer to that teaches, and is nobody's."""
    flow, receiver = world.open(ONE)
    transport = world.granted()
    flow.send_payload(b"ping")
    transport.answer()
    assert world.told == [(Rung.GIVEN, None)]
    transport.answer_probe()
    assert world.health.answers_probes
    world.advance(PATIENCE_S)
    assert (receiver.payloads, receiver.drops) == ([b"ping"], 0)
    assert not transport.closed


def test_without_a_probe_silence_is_borne(make_world: MakeWorld) -> None:
    """There is nobody to ask: who only sends may do so for ever."""
    world = make_world(probe=None)
    flow, receiver = world.open(ONE)
    transport = world.granted()
    for _ in range(20):
        flow.touch()
        flow.send_payload(b"ping")
        world.advance(5.0)
    assert len(transport.payloads) == 20
    assert (receiver.losses, len(world.openings)) == ([], 1)


def test_what_was_sent_in_silence_goes_again_on_the_next_rung(world: World) -> None:
    """In order, for all flows, together with what has waited since."""
    (one, receiver), (two, other) = world.open(ONE), world.open(TWO)
    one.send_payload(b"1")
    silent = world.granted()
    two.send_payload(b"2")
    world.advance(TRIAL_S)
    assert not silent.closed
    one.send_payload(b"3")
    (opening,) = world.pending
    assert opening.rung is Rung.SERVER
    transport = opening.succeed()
    assert (silent.payloads, transport.payloads) == ([b"1", b"2"], [b"1", b"2", b"3"])
    transport.answer()
    assert world.told == [(Rung.SERVER, None)]
    assert (receiver.payloads, other.payloads, receiver.drops + other.drops) == ([b"3"], [], 0)
    world.advance(LINGER_S + 1.0)
    assert silent.closed


def test_what_comes_late_proves_the_rung_all_the_same(world: World) -> None:
    """The server was slow; what was given up for the next rung goes on, and that one ends."""
    (flow, receiver), (other, _) = world.open(ONE), world.open(TWO)
    flow.send_payload(b"1")
    slow = world.granted()
    world.advance(TRIAL_S)
    next_one = world.granted()
    other.send_payload(b"2")
    slow.bring(flow.header + b"1")
    assert receiver.payloads == [b"1"]
    assert world.told == [(Rung.GIVEN, None)]
    flow.send_payload(b"3")
    assert (slow.payloads, next_one.payloads) == ([b"1", b"1", b"2", b"3"], [b"1", b"2"])
    assert world.pending == []
    world.advance(LINGER_S + 1.0)
    assert (slow.closed, next_one.closed) == (False, True)


def test_a_refusal_is_climbed_without_a_pause(world: World) -> None:
    """What waits goes on waiting, and is sent once."""
    flow, receiver = world.open(ONE)
    flow.send_payload(b"ping")
    tried = []
    for opening in iter(lambda: world.pending[0], None):
        tried.append(opening.rung)
        if opening.rung is Rung.HEV:
            break
        opening.fail()
    assert tried == [Rung.GIVEN, Rung.UOT_V2, Rung.UOT_V1, Rung.HEV]
    assert world.granted().payloads == [b"ping"]
    assert (receiver.octets_sent, receiver.drops, receiver.losses) == (4, 0, [])


def test_refusals_may_come_at_once(world: World) -> None:
    """Within the call that opens the flow, or before it: who asked is told by the exception, by it alone."""
    world.when_asked = lambda opening: opening.fail()
    receiver = FakeReceiver()
    with pytest.raises(ServerError) as caught:
        world.broker.open(ONE, receiver, 60.0)
    assert caught.value.problem.code == "udp-unsupported"
    assert [opening.rung for opening in world.openings] == [Rung.GIVEN, *STREAMED]
    assert (receiver.losses, world.broker.flows, world.broker.associations) == ([], 0, 0)
    assert world.told == [(None, "udp-unsupported")]


def test_a_rung_may_work_at_once(world: World) -> None:
    """After others were refused at once."""
    world.when_asked = lambda opening: opening.fail() if opening.rung in RELAYED else opening.succeed()
    flow, receiver = world.open(ONE)
    flow.send_payload(b"ping")
    assert (receiver.openings, world.alive[0].payloads) == (1, [b"ping"])


@pytest.mark.parametrize("at_once", [False, True])
def test_when_all_rungs_have_failed(world: World, *, at_once: bool) -> None:
    """The flows are lost by the reason that the first one gave; for a while none is to be had."""
    pairs = [world.open(remote) for remote in (ONE, TWO, ONE)]
    for flow, _ in pairs:
        flow.send_payload(b"ping")
    if at_once:
        world.when_asked = lambda opening: opening.fail()
    while world.pending:
        world.pending[0].fail()
    assert [receiver.lost_by for _, receiver in pairs] == ["udp-unsupported"] * 3
    assert [receiver.drops for _, receiver in pairs] == [1, 1, 1]
    assert (world.broker.flows, world.broker.associations) == (0, 0)
    asked = len(world.openings)
    assert world.refusal(ONE) == "udp-unsupported"
    assert len(world.openings) == asked
    world.advance(1.0)
    world.when_asked = lambda opening: None
    world.open(ONE)
    assert world.pending[0].rung is Rung.GIVEN


def test_silence_on_all_rungs_takes_less_than_five_seconds(world: World) -> None:
    """And is told as such; the next pauses grow, though the associations lived on for a while."""
    pauses = []
    for _ in range(4):
        flow, receiver = world.open(ONE)
        flow.send_payload(b"ping")
        before = world.clock.now
        while not receiver.losses:
            if world.pending:
                world.pending[0].succeed()
            world.advance(0.1)
        assert receiver.lost_by == "udp-silent"
        assert world.clock.now - before < 5.0
        pauses.append(world.pause())
    assert pauses == [1.0, 2.0, 4.0, 8.0]


def test_an_opening_is_not_waited_for_as_long_as_a_server(world: World) -> None:
    """Where a rung has failed already; should it open yet, it may prove itself."""
    world.open(ONE)
    world.pending[0].fail()
    slow = world.pending[0]
    world.advance(PATIENCE_S + 0.1)
    assert [opening.rung for opening in world.pending] == [Rung.UOT_V2, Rung.UOT_V1]
    slow.succeed().answer_probe()
    assert world.told == [(Rung.UOT_V2, None)]


def test_the_first_opening_has_all_its_time(world: World) -> None:
    """The dialer has deadlines of its own."""
    world.open(ONE)
    world.advance(30.0)
    assert [opening.rung for opening in world.pending] == [Rung.GIVEN]


def test_those_on_trial_move_together(world: World) -> None:
    """Several associations of one remote; what each has kept goes again on its successor."""
    pairs = [world.open(ONE) for _ in range(3)]
    for number, (flow, _) in enumerate(pairs):
        flow.send_payload(b"%d" % number)
    for opening in world.pending:
        opening.succeed()
    world.advance(TRIAL_S)
    transports = {opening.side: opening.succeed() for opening in world.pending}
    for number, (flow, receiver) in enumerate(pairs):
        transport = next(made for side, made in transports.items() if side is flow.carrier)
        assert transport.payloads == [b"%d" % number]
        transport.answer()
        assert receiver.payloads == [b"%d" % number]
    assert world.told == [(Rung.SERVER, None)]


def test_without_room_for_a_next_rung_the_last_one_makes_it(make_world: MakeWorld) -> None:
    """Its flows move to the next all the same, and what it kept."""
    world = make_world(limits=Limits(associations=1))
    pairs = [world.open(remote) for remote in (ONE, TWO)]
    for number, (flow, _) in enumerate(pairs):
        flow.send_payload(b"%d" % number)
    silent = world.granted()
    world.advance(TRIAL_S)
    assert silent.closed
    transport = world.granted()
    assert transport.payloads == [b"0", b"1"]
    transport.answer()
    assert [receiver.losses for _, receiver in pairs] == [[], []]
    assert world.broker.associations == 1


def test_when_one_is_proved_the_others_of_its_rung_are(world: World) -> None:
    """They keep nothing any more; one that stays silent to its probe is replaced, and blamed for nothing."""
    (_, _), (_, receiver), (_, lost) = (world.open(ONE) for _ in range(3))
    first, second, third = [opening.succeed() for opening in world.pending]
    first.answer_probe()
    assert [transport.side.trial for transport in (first, second, third)] == [False] * 3
    second.answer_probe()
    world.advance(TRIAL_S)
    assert (second.closed, receiver.losses) == (False, [])
    assert (third.closed, lost.losses) == (True, [None])
    assert world.told == [(Rung.GIVEN, None)]
    assert world.health.trouble is None


def test_a_server_whose_associations_are_closed_early(world: World) -> None:
    """One that relays on is lenient from then on; before, an early end makes others of it suspicious."""
    for _ in range(2):
        world.open(ONE)
    first, second = [opening.succeed() for opening in world.pending]
    second.side.control_ended()
    assert not second.closed
    first.answer_probe()
    assert second.closed
    assert not world.broker.lenient


def test_a_lenient_server(world: World) -> None:
    """Shown by one that goes on after its control connection has ended."""
    world.open(ONE)
    transport = world.granted()
    transport.side.control_ended()
    world.advance(TRIAL_S)
    transport.answer_probe()
    assert world.broker.lenient
    assert not transport.closed


def test_a_server_that_closes_each_association_at_once(world: World) -> None:
    """That is told in place of the silence, and no other way of asking for one is tried."""
    world.open(ONE)
    world.granted().side.control_ended()
    world.advance(2 * TRIAL_S)
    assert world.pending[0].rung is Rung.UOT_V2
    while world.pending:
        world.pending[0].fail()
    assert "closes each association at once" in str(world.noted[-1][1])


# servers that misname


def test_a_server_that_misnames_has_an_association_for_each_flow(world: World) -> None:
    """Those that shared one part, and what they sent goes again, as nobody can tell whose the answers are."""
    pairs = [world.open(remote) for remote in (ONE, TWO)]
    shared = world.granted()
    for number, (flow, _) in enumerate(pairs):
        flow.send_payload(b"%d" % number)
    shared.answer_probe(source=Endpoint("127.0.0.1", 40_000))
    assert world.health.names_remotes is False
    transports = [opening.succeed() for opening in world.pending]
    assert [transport.payloads for transport in transports] == [[b"0"], [b"1"]]
    for transport in transports:
        transport.answer(Endpoint("127.0.0.1", 40_000))
    assert [receiver.payloads for _, receiver in pairs] == [[b"0"], [b"1"]]
    world.open(THREE)
    assert len(world.pending) == 1


def test_the_first_answer_may_show_it(make_world: MakeWorld) -> None:
    """To an only flow, to which it is given."""
    world = make_world(probe=None)
    (one, receiver), _ = world.open(ONE), world.open(ONE)
    transport = world.pending[0].succeed()
    one.send_payload(b"ping")
    transport.answer(THREE)
    assert receiver.payloads == [b"ping"]
    assert world.health.names_remotes is False


def test_a_server_that_names_remotes_after_all(make_world: MakeWorld) -> None:
    """One that somebody else answered to has not misnamed; who names a remote knows how to."""
    world = make_world(probe=None)
    world.open(ONE)
    transport = world.granted()
    transport.bring(b"\0\0\0\1\xc0\0\2\7\0\7stray")
    assert world.health.names_remotes is False
    flow, _ = world.open(TWO)
    flow.send_payload(b"ping")
    world.granted().answer()
    assert world.health.names_remotes
    transport.bring(b"\0\0\0\1\xc0\0\2\7\0\7stray")
    assert world.health.names_remotes
