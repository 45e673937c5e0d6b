from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from fakes.engine import FakeClock
from sockslocal.address import Endpoint
from sockslocal.net.engine import Engine
from sockslocal.net.liveness import LATE_S, LONGEST_REST_S, TIRED_S, Liveness
from sockslocal.socks5.datagram import encode_header

PATIENCE_S = 1.0
PROBED = Endpoint("192.0.2.53", 53)
HEADER, OTHER = encode_header(PROBED), encode_header(Endpoint("192.0.2.1", 7))


@dataclass
class Watch:
    """A liveness, and time that passes as the test says."""

    engine: Engine
    clock: FakeClock
    silences: list[bool] = field(default_factory=list)
    """Of each, whether a probe was sent in vain."""
    probes: list[tuple[bytes, bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.liveness = Liveness(
            self.engine, PATIENCE_S, lambda *probe: self.probes.append(probe), self.silences.append
        )

    @property
    def is_watched(self) -> bool:
        """Whether the engine looks at it; an engine that looks at nothing sleeps."""
        return self.liveness in self.engine.deadlines._mortals

    def wait(self, seconds: float) -> None:
        """Let so many seconds pass in small steps, as the engine would look."""
        for _ in range(round(10 * seconds)):
            self.clock.now = round(self.clock.now + 0.1, 6)
            if self.is_watched and self.liveness.deadline <= self.clock.now:
                self.engine.deadlines.discard(self.liveness)
                self.liveness.expire()

    def seconds_to_silence(self) -> float:
        """How long the next one takes to be noticed."""
        before, count = self.clock.now, len(self.silences)
        while len(self.silences) == count:
            self.wait(0.1)
        return round(self.clock.now - before, 6)

    def answer(self, header: bytes = HEADER, *, known: bool = False) -> bool:
        """A response comes to the last probe."""
        message = self.probes[-1][1]
        response = message[:2] + b"\x81\x80" + message[4:] + b"records"
        return self.liveness.is_answer(header, memoryview(response), known=known)


@pytest.fixture
def watch(engine: Engine, clock: FakeClock) -> Iterator[Watch]:
    """One that nobody has told anything."""
    watch = Watch(engine, clock)
    yield watch
    watch.liveness.stop()


# silence


def test_nothing_was_sent(watch: Watch) -> None:
    """Nothing is looked at, for nothing is to come."""
    watch.liveness.opened()
    assert not watch.is_watched
    watch.wait(60.0)
    assert watch.silences == []


def test_silence_is_told_after_the_patience(watch: Watch) -> None:
    """Since the first that was sent without an answer, however much is sent since."""
    watch.liveness.sent()
    watch.wait(0.9)
    watch.liveness.sent()
    assert watch.silences == []
    watch.wait(0.1)
    assert watch.silences == [False]
    assert not watch.is_watched


def test_whatever_comes_ends_the_silence(watch: Watch) -> None:
    """And when no more is sent, nothing is looked at after a while."""
    watch.liveness.sent()
    watch.wait(0.9)
    watch.liveness.heard()
    watch.wait(0.2)
    assert (watch.silences, watch.is_watched) == ([], False)
    watch.liveness.sent()
    watch.liveness.heard()
    watch.liveness.sent()
    assert watch.seconds_to_silence() == PATIENCE_S


def test_what_was_sent_since_has_its_own_time(watch: Watch) -> None:
    """The look that was meant for an earlier datagram is not one at this."""
    watch.liveness.sent()
    watch.liveness.heard()
    watch.wait(0.5)
    watch.liveness.sent()
    assert watch.seconds_to_silence() == PATIENCE_S


def test_silences_that_mean_nothing_come_ever_later(watch: Watch) -> None:
    """Up to half a minute; when something has come, they are suspicious again."""
    pauses = []
    for _ in range(7):
        watch.liveness.sent()
        pauses.append(watch.seconds_to_silence())
        watch.liveness.rest()
    assert pauses == [1, 2, 4, 8, 16, LONGEST_REST_S, LONGEST_REST_S]
    watch.liveness.heard()
    watch.liveness.sent()
    assert watch.seconds_to_silence() == PATIENCE_S


def test_it_gets_tired(watch: Watch) -> None:
    """By silences that were never broken."""
    for _ in range(3):
        assert not watch.liveness.is_tired
        watch.liveness.rest()
    assert watch.liveness.is_tired
    watch.liveness.heard()
    assert not watch.liveness.is_tired
    assert 2**3 * PATIENCE_S >= TIRED_S


def test_when_stopped_it_looks_no_more(watch: Watch) -> None:
    """Its owner has ended."""
    watch.liveness.sent()
    watch.liveness.stop()
    assert not watch.is_watched


# opening


def test_an_opening_that_takes_too_long(watch: Watch) -> None:
    """Is told as silence."""
    watch.liveness.open_within(2.0)
    watch.wait(1.9)
    assert watch.silences == []
    watch.wait(0.1)
    assert watch.silences == [False]


def test_an_opening_in_time(watch: Watch) -> None:
    """Is no silence; and then nothing is looked at any more."""
    watch.liveness.open_within(2.0)
    watch.wait(1.9)
    watch.liveness.opened()
    assert not watch.is_watched
    watch.wait(60.0)
    assert watch.silences == []


# probes


def test_a_probe_that_is_not_answered(watch: Watch) -> None:
    """It is sent twice, as one may get lost; when the patience is over, that is told."""
    watch.liveness.ask(PROBED)
    assert watch.liveness.probing
    watch.wait(0.9)
    assert watch.probes == [(HEADER, watch.probes[0][1])] * 2
    assert watch.silences == []
    watch.wait(0.1)
    assert (watch.silences, watch.liveness.probing, watch.is_watched) == ([True], False, False)


def test_probes_differ(watch: Watch) -> None:
    """The answer to one is not that to the next."""
    messages = set()
    for _ in range(20):
        watch.liveness.ask(PROBED)
        messages.add(watch.probes[-1][1])
    assert len(messages) > 10


@pytest.mark.parametrize("header", [HEADER, OTHER])
def test_an_answer_to_a_probe(watch: Watch, header: bytes) -> None:
    """Whoever it is said to be from, as long as the probe is out; then all is well."""
    watch.liveness.ask(PROBED)
    assert watch.answer(header, known=True)
    assert not watch.liveness.probing
    watch.wait(60.0)
    assert (watch.silences, len(watch.probes), watch.is_watched) == ([], 1, False)


def test_an_answer_does_not_end_the_silence_of_others(watch: Watch) -> None:
    """A probe without suspicion tells nothing of what was sent to a flow's remote."""
    watch.liveness.sent()
    watch.liveness.ask(PROBED)
    assert watch.answer()
    watch.wait(0.9)
    assert watch.silences == []
    watch.wait(0.1)
    assert watch.silences == [False]


def test_an_answer_to_a_suspicion_lets_the_next_come_later(watch: Watch) -> None:
    """The remote has nothing to say."""
    watch.liveness.sent()
    assert watch.seconds_to_silence() == PATIENCE_S
    watch.liveness.ask(PROBED)
    watch.wait(0.2)
    assert watch.answer()
    watch.liveness.sent()
    assert watch.seconds_to_silence() == 2 * PATIENCE_S


def test_whatever_comes_answers_a_probe(watch: Watch) -> None:
    """What was to be shown is shown; it is not sent again, and its being unanswered means nothing."""
    watch.liveness.sent()
    watch.liveness.ask(PROBED)
    watch.liveness.heard()
    assert not watch.liveness.probing
    watch.wait(60.0)
    assert (watch.silences, len(watch.probes)) == ([], 1)


@pytest.mark.parametrize("known", [False, True])
def test_an_answer_may_come_late_or_twice(watch: Watch, *, known: bool) -> None:
    """It is known by whom it is from; a flow to the same remote is not to hear of it."""
    watch.liveness.ask(PROBED)
    assert watch.answer(known=known)
    assert watch.answer(known=known)
    watch.wait(60.0)
    assert watch.answer(known=known)


def test_a_late_answer_that_names_somebody_else(watch: Watch) -> None:
    """It is known by what it is, for a while, where it names nobody who is known; else it is a flow's."""
    watch.liveness.ask(PROBED)
    watch.liveness.heard()
    assert not watch.answer(OTHER, known=True)
    assert watch.answer(OTHER)
    watch.wait(LATE_S)
    assert not watch.answer(OTHER)


@pytest.mark.parametrize("payload", [b"", b"\0", b"something else entirely"])
def test_what_is_no_answer(watch: Watch, payload: bytes) -> None:
    """It may come from whom the probe went to, for he may be a flow's remote."""
    assert not watch.liveness.is_answer(HEADER, memoryview(payload), known=False)
    watch.liveness.ask(PROBED)
    assert not watch.liveness.is_answer(HEADER, memoryview(payload), known=False)
    assert watch.liveness.probing


def test_an_echo_is_an_answer(watch: Watch) -> None:
    """Whole or cut."""
    watch.liveness.ask(PROBED)
    message = memoryview(watch.probes[-1][1])
    assert watch.liveness.is_answer(HEADER, message, known=False)
    assert watch.liveness.is_answer(HEADER, message[:5], known=False)
    assert not watch.liveness.is_answer(HEADER, memoryview(bytes(message) + b"more"), known=False)


def test_a_probe_that_is_to_be_answered_later(watch: Watch) -> None:
    """What comes before is an answer, but does not count; it is sent twice more."""
    watch.liveness.ask(PROBED)
    watch.liveness.ask_again(0.5)
    assert len(watch.probes) == 1
    assert watch.answer()
    assert watch.liveness.probing
    watch.wait(0.5)
    assert len(watch.probes) == 2
    assert watch.seconds_to_silence() == PATIENCE_S
    assert (watch.silences, len(set(watch.probes)), len(watch.probes)) == ([True], 1, 3)


def test_a_probe_that_was_answered_later(watch: Watch) -> None:
    """As any other."""
    watch.liveness.ask(PROBED)
    watch.liveness.ask_again(0.5)
    watch.wait(0.6)
    assert watch.answer()
    watch.wait(60.0)
    assert (watch.silences, len(watch.probes)) == ([], 2)
