from typing import get_args

import pytest

from sockslocal.config.model import ServerUdp
from sockslocal.net.profile import RelayRule
from sockslocal.net.rungs import RELAYED, STREAMED, Failure, Ladder, Rung, remembered, rungs_for
from sockslocal.socks5.udp_over_tcp import FRAMINGS
from sockslocal.status import UdpRung


def climbed(ladder: Ladder, how: Failure) -> list[Rung]:
    """The rungs that are tried while each fails."""
    tried = []
    while ladder.current is not None:
        tried.append(ladder.current)
        ladder.fail(ladder.current, how)
    return tried


def test_every_rung_is_a_relays_or_a_framing() -> None:
    """The ones named by the codec in its order, which is that of the ladder."""
    assert tuple(Rung) == RELAYED + STREAMED
    assert [rung.framing for rung in RELAYED] == [None] * 3
    assert [rung.framing for rung in STREAMED] == list(FRAMINGS)


def test_what_is_shown() -> None:
    """The three ways of UDP ASSOCIATE are one to the user; each other has its name."""
    assert [rung.shown for rung in Rung] == ["associate"] * 3 + ["uot-v2", "uot-v1", "hev", "gost"]
    assert {rung.shown for rung in Rung} == set(get_args(UdpRung)) - {"none", "unknown"}


@pytest.mark.parametrize("rung", Rung)
def test_a_rung_is_remembered_as_it_was_noted(rung: Rung) -> None:
    """By what the profile says of it."""
    assert remembered(rung.shown, rung.relay_rule) is rung
    assert (rung.relay_rule in get_args(RelayRule)) == (rung in RELAYED)


@pytest.mark.parametrize("rung", [None, "none", "unknown", "associate"])
def test_nothing_is_remembered(rung: UdpRung | None) -> None:
    """Where nothing passed, or it is not known how."""
    assert remembered(rung, None) is None


@pytest.mark.parametrize(
    ("udp", "rungs", "inside"),
    [
        ("auto", RELAYED + STREAMED, STREAMED),
        ("associate", RELAYED, ()),
        ("uot", (Rung.UOT_V2, Rung.UOT_V1), (Rung.UOT_V2, Rung.UOT_V1)),
        ("hev", (Rung.HEV,), (Rung.HEV,)),
        ("gost", (Rung.GOST,), (Rung.GOST,)),
        ("off", (), ()),
    ],
)
def test_what_the_user_chose(udp: ServerUdp, rungs: tuple[Rung, ...], inside: tuple[Rung, ...]) -> None:
    """And of that only what stays inside TLS, where there is TLS."""
    assert rungs_for(udp, tls=False) == rungs
    assert rungs_for(udp, tls=True) == inside


def test_silence_is_climbed_step_by_step() -> None:
    """Each way may be the one in which something comes back; after the last there is none."""
    ladder = Ladder(tuple(Rung))
    assert not ladder.proved
    assert climbed(ladder, "silent") == list(Rung)
    assert not ladder.fail(Rung.GOST, "silent")


def test_a_refusal_is_one_however_it_is_asked() -> None:
    """The three ways of UDP ASSOCIATE are the same request to a server that has none; the formats differ."""
    assert climbed(Ladder(tuple(Rung)), "refused") == [Rung.GIVEN, *STREAMED]


def test_a_refusal_after_silence() -> None:
    """The ways that are left of UDP ASSOCIATE are passed over."""
    ladder = Ladder(tuple(Rung))
    assert ladder.fail(Rung.GIVEN, "silent")
    assert ladder.fail(Rung.SERVER, "refused")
    assert ladder.current is Rung.UOT_V2


def test_without_rungs() -> None:
    """There is nothing to try, now or later."""
    ladder = Ladder(())
    assert ladder.current is None
    assert not ladder.fail(Rung.GIVEN, "silent")
    ladder.restart()
    assert ladder.current is None


def test_what_worked_the_last_time_comes_first() -> None:
    """The others follow in their order, also after all have failed."""
    ladder = Ladder(tuple(Rung), Rung.UOT_V1)
    order = [Rung.UOT_V1, *RELAYED, Rung.UOT_V2, Rung.HEV, Rung.GOST]
    assert climbed(ladder, "silent") == order
    ladder.restart()
    assert climbed(ladder, "silent") == order


def test_what_is_not_to_be_used_is_not_remembered() -> None:
    """The user has chosen other ways since."""
    assert climbed(Ladder((Rung.HEV,), Rung.GIVEN), "silent") == [Rung.HEV]


def test_a_proof_is_news_once() -> None:
    """From then on failures of the rung move nothing: it is the association that failed."""
    ladder = Ladder(tuple(Rung))
    assert ladder.prove(Rung.GIVEN)
    assert ladder.proved
    assert not ladder.prove(Rung.GIVEN)
    assert ladder.fail(Rung.GIVEN, "silent")
    assert ladder.current is Rung.GIVEN


def test_a_late_proof_counts() -> None:
    """Also of a rung that was given up; what others do then is of no interest."""
    ladder = Ladder(tuple(Rung))
    ladder.fail(Rung.GIVEN, "silent")
    for rung in (Rung.GIVEN, Rung.SERVER):
        assert ladder.prove(rung)
        assert ladder.current is rung


def test_a_late_failure_does_not_count_twice() -> None:
    """Several associations may fail on a rung that was given up with the first."""
    ladder = Ladder(tuple(Rung))
    ladder.fail(Rung.GIVEN, "silent")
    assert ladder.fail(Rung.GIVEN, "refused")
    assert ladder.current is Rung.SERVER


def test_starting_anew() -> None:
    """All is tried again, first what worked; nothing is proved any more."""
    ladder = Ladder(tuple(Rung))
    ladder.prove(Rung.PORT)
    ladder.restart()
    assert not ladder.proved
    assert climbed(ladder, "silent") == [Rung.PORT, Rung.GIVEN, Rung.SERVER, *STREAMED]
