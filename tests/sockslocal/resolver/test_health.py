import pytest

from sockslocal.resolver.health import HEDGE_S, MAX_OVERTAKEN, MAX_REST_S, REMEASURE_S, Health


def test_rest_doubles_up_to_a_minute_and_ends_with_an_answer() -> None:
    """Failures within one rest count once."""
    health = Health()
    now = 0.0
    for rest in (1, 2, 4, 8, 16, 32, MAX_REST_S, MAX_REST_S):
        health.note_failure(now, now, "silence")
        assert health.resting
        now += rest
        health.note_failure(now - 0.1, now - 0.1, "silence")
        assert not health.is_due(now - 0.01)
        assert health.is_due(now)
    health.note_answer(now, now + 0.5)
    assert not health.resting
    assert health.is_due(now)


def test_after_a_rest_one_query_is_the_probe() -> None:
    """The others go elsewhere until its outcome is known."""
    health = Health()
    health.note_failure(0.0, 0.5, "silence")
    assert not health.is_due(1.0)
    assert [health.is_due(2.0) for _ in range(3)] == [True] * 3
    health.note_query(2.0)
    assert not health.is_due(2.0)
    health.note_failure(2.0, 3.0, "silence")
    assert not health.is_due(4.9)
    assert health.is_due(5.1)
    health.note_query(5.1)
    health.note_nothing()
    assert health.is_due(5.1)


def test_a_query_within_the_rest_is_no_probe() -> None:
    """It had to be asked as nobody else answered; when its rest ends it is due all the same."""
    health = Health()
    health.note_failure(0.0, 0.5, "silence")
    health.note_query(1.0)
    assert health.is_due(2.0)


def test_a_rest_that_an_answer_ended_excuses_nothing() -> None:
    """What fails after that answer is a failure of its own, though the old rest would not be over yet."""
    health = Health()
    health.note_failure(0.0, 0.5, "silence")
    health.note_answer(0.6, 0.7)
    health.note_failure(0.8, 0.9, "silence")
    assert health.resting
    assert not health.is_due(1.8)
    assert health.is_due(2.0)


def test_an_answer_in_the_meantime_excuses_a_failure() -> None:
    """It was the question then, not the upstream."""
    health = Health()
    health.note_answer(1.0, 1.1)
    health.note_failure(0.5, 2.5, "silence")
    assert (health.failed, health.resting) == (1, False)


def test_latency_is_smoothed() -> None:
    """One slow answer does not make a slow upstream."""
    health = Health()
    health.note_answer(0.0, 0.1)
    health.note_answer(0.0, 0.9)
    assert health.latency_s == pytest.approx(0.2)


def test_patience_is_twice_the_usual() -> None:
    """And never so short that a common round trip would be too long."""
    health = Health()
    assert health.patience_s == HEDGE_S
    health.note_answer(0.0, 0.01)
    assert health.patience_s == HEDGE_S
    health.note_answer(0.0, 8.0)
    assert health.patience_s == pytest.approx(2 * (0.01 * 7 / 8 + 1.0))


def test_what_was_not_asked_for_long_is_unknown() -> None:
    """As is what never was."""
    health = Health()
    assert health.is_unknown(0.0)
    health.note_query(0.0)
    assert not health.is_unknown(REMEASURE_S - 1)
    assert health.is_unknown(REMEASURE_S)


def test_who_is_overtaken_takes_longer_than_was_known() -> None:
    """It only ever makes it slower: it was cancelled before its time was known."""
    health = Health()
    health.note_overtaken(0.0, 0.8)
    assert health.latency_s == pytest.approx(0.8)
    health.note_overtaken(0.0, 0.4)
    assert health.latency_s == pytest.approx(0.8)
    health.note_overtaken(0.0, 1.6)
    assert health.latency_s == pytest.approx(0.9)


def test_who_is_overtaken_again_and_again_rests() -> None:
    """An answer in between shows that it works."""
    health = Health()
    for _ in range(MAX_OVERTAKEN - 1):
        health.note_overtaken(1.0, 2.0)
    health.note_answer(2.0, 2.1)
    for _ in range(MAX_OVERTAKEN - 1):
        health.note_overtaken(3.0, 4.0)
    assert (health.failed, health.resting) == (0, False)
    health.note_overtaken(3.0, 4.0)
    assert (health.failed, health.resting) == (1, True)


def test_a_probe_that_is_overtaken_has_failed() -> None:
    """The rest goes on, so that others do not wait for it too."""
    health = Health()
    health.note_failure(0.0, 0.5, "silence")
    health.note_query(2.0)
    health.note_overtaken(2.0, 2.4)
    health.note_nothing()
    assert health.failed == 2
    assert not health.is_due(4.3)
    assert health.is_due(4.5)


def test_what_is_forgiven_need_not_rest() -> None:
    """And rests no longer than the first time when it fails again."""
    health = Health()
    for now in (0.0, 10.0, 20.0):
        health.note_failure(now, now, "silence")
    health.forgive()
    assert not health.resting
    assert health.is_due(20.0)
    health.note_failure(20.5, 20.5, "silence")
    assert not health.is_due(21.0)
    assert health.is_due(21.5)
