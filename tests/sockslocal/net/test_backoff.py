from sockslocal.net.backoff import Backoff


def test_it_doubles_up_to_the_last() -> None:
    """And stays there."""
    backoff = Backoff(1.0, 5.0)
    assert [backoff.next() for _ in range(5)] == [1.0, 2.0, 4.0, 5.0, 5.0]


def test_it_begins_anew() -> None:
    """After what was tried has worked, however often it failed before."""
    backoff = Backoff(2.0, 30.0)
    backoff.reset()
    assert [backoff.next() for _ in range(3)] == [2.0, 4.0, 8.0]
    backoff.reset()
    assert [backoff.next() for _ in range(2)] == [2.0, 4.0]
