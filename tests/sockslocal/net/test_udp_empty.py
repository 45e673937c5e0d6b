from collections.abc import Callable, Iterator

import pytest

from fakes.engine import Told
from fakes.udp_world import PROBED, PROBED_HEADER, FakeTransport, World
from sockslocal.address import Endpoint
from sockslocal.net.rungs import Rung
from sockslocal.net.udp_empty import EmptyTest


@pytest.fixture
def world() -> Iterator[World]:
    """In which nothing is waited for at the end."""
    with World() as made:
        yield made
        assert made.is_quiet
        assert (made.alive, made.pending) == ([], [])


class Made:
    """A test that has begun, and what it found."""

    def __init__(self, world: World, rung: Rung = Rung.GIVEN) -> None:
        self.found = Told()
        self.test = EmptyTest(world.terms(), rung, PROBED, self.found)
        self.test.start(world.dial)


def sent(transport: FakeTransport) -> list[str]:
    """In words."""
    return ["empty" if not datagram.payload else "probe" for datagram in transport.sent]


@pytest.mark.parametrize("rung", [Rung.GIVEN, Rung.UOT_V1])
def test_a_server_that_bears_it(world: World, rung: Rung) -> None:
    """It answers a probe before and another one after; by the rung that works."""
    made = Made(world, rung)
    assert world.pending[0].rung is rung
    transport = world.granted()
    assert sent(transport) == ["probe"]
    transport.answer_probe()
    assert sent(transport) == ["probe", "empty", "probe"]
    assert transport.sent[1].header == PROBED_HEADER
    transport.answer_probe()
    assert made.found.calls == [True]


def test_a_server_that_misnames(world: World) -> None:
    """Its answers are known by what they are."""
    made = Made(world)
    transport = world.granted()
    for _ in range(2):
        transport.answer_probe(Endpoint("127.0.0.1", 40_000))
    assert made.found.calls == [True]


def test_an_answer_that_comes_twice_is_one(world: World) -> None:
    """It is not the answer to the second probe."""
    made = Made(world)
    transport = world.granted()
    first = transport.probes[0]
    transport.answer_probe()
    transport.bring(PROBED_HEADER + first[:2] + b"\x81\x80" + first[4:])
    assert made.found.calls == []
    transport.answer_probe()
    assert made.found.calls == [True]


def dies(world: World, transport: FakeTransport) -> None:
    """It says nothing more."""
    world.advance(2.0)


def is_refused(world: World, transport: FakeTransport) -> None:
    """Nobody is there any more, its system says."""
    transport.side.refused(PROBED)


def is_closed(world: World, transport: FakeTransport) -> None:
    """Its control connection ends."""
    transport.side.control_ended()


@pytest.mark.parametrize("ends", [dies, is_refused, is_closed])
@pytest.mark.parametrize("before", [False, True])
def test_a_relay_that_ends(
    world: World, ends: Callable[[World, FakeTransport], None], *, before: bool
) -> None:
    """If it was after the empty datagram, that was too much for it; else nothing was found out."""
    made = Made(world)
    transport = world.granted()
    if not before:
        transport.answer_probe()
    ends(world, transport)
    assert made.found.calls == [None if before else False]


def test_no_association_for_it(world: World) -> None:
    """Nothing was found out."""
    made = Made(world)
    world.pending[0].fail()
    assert made.found.calls == [None]


@pytest.mark.parametrize("when", ["asked", "opened", "sent"])
def test_when_closed_it_tells_nothing(world: World, when: str) -> None:
    """Not even that what was sent was too much."""
    made = Made(world)
    if when != "asked":
        transport = world.granted()
        if when == "sent":
            transport.answer_probe()
    made.test.close()
    made.test.close()
    assert made.found.calls == []


def test_what_else_comes_is_passed_over(world: World) -> None:
    """Datagrams of others, also those that no flow here could be meant by."""
    made = Made(world)
    transport = world.granted()
    transport.bring(b"\0\0\0\1\xc0\0\2\1\0\7payload", b"\0\0\0\3\1x\0\7payload", b"no header")
    assert (made.found.calls, sent(transport)) == ([], ["probe"])
    made.test.close()
