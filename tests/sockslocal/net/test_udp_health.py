import random
from dataclasses import dataclass, field
from typing import Any

import pytest

from fakes.engine import FakeClock
from sockslocal.errors import ServerError
from sockslocal.net.dialer import DialError
from sockslocal.net.rungs import RELAYED, STREAMED, Ladder, Rung
from sockslocal.net.udp_health import LAST_REST_S, LAST_RETRY_S, TOLERATED, UdpHealth, blames_udp
from sockslocal.problems import Problem, problem


@pytest.fixture(autouse=True)
def _nothing_is_left_to_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random, "uniform", lambda low, _high: low)


def about_it(code: str, **details: object) -> Problem:
    """A problem of the server."""
    return problem(code, address="192.0.2.1:1080", server="office", **details)


SILENT = ServerError(about_it("udp-silent"))
REFUSED = DialError(about_it("udp-unsupported", phrase="no"), server_answers=True)
CLOSED = ServerError(about_it("udp-unsupported", phrase="it closes each association at once"))
DOWN = DialError(about_it("server-unreachable", reason="no"))
OURS = ServerError.of("descriptors-exhausted", limit=64)


@dataclass
class Made:
    """A health, and what it has told."""

    clock: FakeClock
    rungs: tuple[Rung, ...] = tuple(Rung)
    told: list[tuple[Rung | None, str | None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.health = UdpHealth(Ladder(self.rungs), self._note, about_it, self.clock)

    def _note(self, rung: Rung | None, error: ServerError | None) -> None:
        self.told.append((rung, error.problem.code if error else None))

    def fail(self, error: ServerError = REFUSED, **options: Any) -> ServerError | None:
        """An association on the current rung fails."""
        return self.health.fail(self.health.rung(), error, **{"alone": True, **options})

    def fail_all(self, error: ServerError = REFUSED) -> ServerError:
        """Associations fail on each rung in turn; gives what is told of it."""
        for _ in Rung:
            told = self.fail(error)
            if told is not None:
                return told
        raise AssertionError("there is always another rung")

    def pause(self, step: float = 0.5) -> float:
        """How long none is to be made, and then it is."""
        before = self.clock.now
        while True:
            try:
                self.health.rung()
            except ServerError:
                self.clock.advance(step)
            else:
                return self.clock.now - before

    @property
    def why_not(self) -> str:
        """The code of the problem for which none is to be made."""
        with pytest.raises(ServerError) as caught:
            self.health.rung()
        return caught.value.problem.code


@pytest.fixture
def made(clock: FakeClock) -> Made:
    """One that knows nothing."""
    return Made(clock)


def test_at_first(made: Made) -> None:
    """The bottom of the ladder is to be tried; nothing is known, nor told."""
    health = made.health
    assert health.rung() is Rung.GIVEN
    assert (health.lenient, health.answers_probes, health.names_remotes) == (False, False, None)
    assert (health.trouble, health.is_climbing, made.told) == (None, False, [])


def test_without_rungs(clock: FakeClock) -> None:
    """Nothing is ever tried."""
    assert Made(clock, rungs=()).why_not == "udp-off"


def test_it_climbs_to_what_works(made: Made) -> None:
    """Without a pause; each failure has the next rung tried, and of the first proof it is told once."""
    assert made.fail(REFUSED) is None
    assert made.health.is_climbing
    assert made.fail(SILENT) is None
    assert made.health.rung() is Rung.UOT_V1
    assert made.health.prove(Rung.UOT_V1)
    assert not made.health.prove(Rung.UOT_V1)
    assert made.told == [(Rung.UOT_V1, None)]
    assert (made.health.is_climbing, made.health.trouble) == (False, None)


def test_how_it_failed_says_what_is_next(clock: FakeClock) -> None:
    """Who refused UDP ASSOCIATE does so in all its ways; who was silent, or named no use, may not."""
    for error, then in ((REFUSED, Rung.UOT_V2), (CLOSED, Rung.UOT_V2), (SILENT, Rung.SERVER)):
        made = Made(clock)
        assert made.fail(error) is None
        assert made.health.rung() is then
    made = Made(clock)
    assert made.fail(ServerError(about_it("udp-relay-invalid", relay="192.0.2.9:1"))) is None
    assert made.health.rung() is Rung.SERVER


def test_when_all_have_failed(made: Made) -> None:
    """The first failure is told, which says the most; then nothing is tried for a while, and all anew."""
    assert made.fail(REFUSED) is None
    assert made.fail_all(SILENT) is REFUSED
    assert made.told == [(None, "udp-unsupported")]
    assert made.health.trouble == REFUSED.problem
    assert made.why_not == "udp-unsupported"
    assert not made.health.is_climbing
    made.clock.advance(1.0)
    assert made.health.rung() is Rung.GIVEN


def test_the_pauses_grow(made: Made) -> None:
    """From a second to a minute, while the server has no UDP."""
    pauses = []
    for _ in range(8):
        made.fail_all()
        pauses.append(made.pause())
    assert pauses == [1, 2, 4, 8, 16, 32, LAST_RETRY_S, LAST_RETRY_S]


def test_pauses_are_not_the_same_for_everybody(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or all clients would come back together."""
    monkeypatch.setattr(random, "uniform", lambda _low, high: high)
    made.fail_all()
    made.clock.advance(1.2)
    assert made.why_not == "udp-unsupported"
    made.clock.advance(0.1)
    assert made.health.rung() is Rung.GIVEN


def test_those_that_fail_together_count_once(made: Made) -> None:
    """A burst of local programs neither makes the next pause a long one, nor has what worked given up."""
    made.health.prove(Rung.GIVEN)
    for _ in range(10):
        assert made.health.fail(Rung.GIVEN, REFUSED, alone=True) is REFUSED
    assert made.pause() == 1
    assert made.health.rung() is Rung.GIVEN
    made.fail_all()
    assert made.pause() == 2


def test_the_pauses_begin_anew_when_it_works(made: Made) -> None:
    """By a datagram that came back."""
    for _ in range(3):
        made.fail_all()
        made.pause()
    made.health.prove(Rung.GIVEN)
    assert made.health.trouble is None
    made.fail_all()
    assert made.pause() == 1


def test_those_that_work_and_end_at_once_are_not_made_in_a_storm(made: Made) -> None:
    """The pauses grow, but never long, and UDP is not called broken; who ends together counts once."""
    made.health.prove(Rung.GIVEN)
    made.told.clear()
    for _ in range(TOLERATED):
        made.health.was_brief()
        assert made.health.rung() is Rung.GIVEN
    pauses = []
    for _ in range(7):
        made.health.was_brief()
        made.health.was_brief()
        assert made.why_not == "udp-association-ended"
        pauses.append(made.pause(step=0.125))
    assert pauses == [0.125, 0.25, 0.5, 1.0, LAST_REST_S, LAST_REST_S, LAST_REST_S]
    assert (made.told, made.health.trouble, made.health.rung()) == ([], None, Rung.GIVEN)


def test_when_one_lasts_the_short_pauses_begin_anew(made: Made) -> None:
    """If it was made since; those before have shown nothing."""
    for _ in range(TOLERATED + 1):
        made.health.was_brief()
    made.health.lasts(made.clock.now)
    made.pause(step=0.125)
    made.health.was_brief()
    assert made.pause(step=0.125) == 0.25
    made.health.lasts(made.clock.now)
    for _ in range(TOLERATED + 1):
        made.health.was_brief()
    assert made.pause(step=0.125) == 0.125


def test_lasting_is_working(made: Made) -> None:
    """Where the association was made after the trouble; those before do not show that another can be."""
    made.fail_all()
    failed_at = made.clock.now
    made.health.lasts(failed_at - 1.0)
    assert made.health.trouble is not None
    made.health.lasts(failed_at)
    assert made.health.trouble is None
    made.health.lasts(failed_at)


def test_a_proved_rung_that_fails(made: Made) -> None:
    """The server may have changed: it is said, and after a pause all is tried, first what worked."""
    made.health.prove(Rung.UOT_V1)
    assert made.fail(REFUSED) is REFUSED
    assert made.told == [(Rung.UOT_V1, None), (None, "udp-unsupported")]
    assert made.why_not == "udp-unsupported"
    made.clock.advance(1.0)
    assert made.health.rung() is Rung.UOT_V1
    assert made.fail(REFUSED) is None
    assert made.health.rung() is Rung.GIVEN


def test_a_failure_beside_others_that_work(made: Made) -> None:
    """The server grants no more of them: that is waited for, and what is known stays known."""
    made.health.prove(Rung.GIVEN)
    for pause in (1, 2, 4):
        assert made.fail(REFUSED, alone=False) is REFUSED
        assert made.pause() == pause
    assert made.told == [(Rung.GIVEN, None)]
    assert made.health.ladder.proved


def test_a_server_that_is_down(made: Made) -> None:
    """Its UDP is not to blame: nothing is told of that, and it is tried once a second."""
    for _ in range(4):
        assert made.fail(DOWN) is DOWN
        assert made.why_not == "server-unreachable"
        assert made.pause() == 1
    assert (made.told, made.health.rung()) == ([], Rung.GIVEN)


def test_a_server_that_goes_down_while_it_is_tried(made: Made) -> None:
    """When it is back it is tried from the beginning; it may have refused because it was about to go."""
    made.fail(REFUSED)
    assert made.fail(DOWN) is DOWN
    assert not made.health.is_climbing
    made.pause()
    assert made.health.rung() is Rung.GIVEN


def test_a_server_that_goes_down_is_the_same_when_it_is_back(made: Made) -> None:
    """As far as is known."""
    made.health.prove(Rung.UOT_V2)
    assert made.fail(DOWN) is DOWN
    made.pause()
    assert made.health.rung() is Rung.UOT_V2
    assert made.health.ladder.proved


def test_a_late_proof_counts(made: Made) -> None:
    """Also where all had failed by then."""
    made.fail_all(SILENT)
    assert made.health.prove(Rung.GIVEN)
    assert made.health.rung() is Rung.GIVEN
    assert made.told == [(None, "udp-silent"), (Rung.GIVEN, None)]


@pytest.mark.parametrize(
    ("error", "blamed"), [(SILENT, True), (CLOSED, True), (REFUSED, True), (DOWN, False), (OURS, False)]
)
def test_who_is_to_blame(error: ServerError, *, blamed: bool) -> None:
    """The server's UDP, or the server, or nobody but us."""
    assert blames_udp(error) == blamed


def test_the_rungs_are_all_there() -> None:
    """So that the tests above mean what they say."""
    assert tuple(Rung) == RELAYED + STREAMED


def test_what_is_forgiven_is_tried_at_once() -> None:
    """After trouble, and after associations that were ended at once."""
    made = Made(FakeClock())
    made.fail_all(SILENT)
    made.clock.advance(60)
    made.fail_all(SILENT)
    made.health.forgive()
    assert made.health.trouble is None
    assert made.health.rung() is Rung.GIVEN
    for _ in range(TOLERATED + 3):
        made.health.was_brief()
        made.clock.advance(10)
    made.health.was_brief()
    made.health.forgive()
    assert made.health.rung() is Rung.GIVEN
    made.health.was_brief()
    assert made.health.rung() is Rung.GIVEN
