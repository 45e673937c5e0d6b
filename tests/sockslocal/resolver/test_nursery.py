import gc

import pytest

from sockslocal.resolver.nursery import QUERIES, Nursery


@pytest.fixture
def collections(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The generations that were looked through."""
    done: list[int] = []
    monkeypatch.setattr(gc, "collect", done.append)
    return done


def test_a_few_at_a_time(collections: list[int]) -> None:
    """The youngest are looked through after so many queries, however they come."""
    nursery = Nursery()
    nursery.grew(QUERIES - 1)
    assert collections == []
    nursery.grew(1)
    assert collections == [0]
    nursery.grew(3 * QUERIES)
    assert collections == [0, 0]
    nursery.grew(QUERIES - 1)
    assert collections == [0, 0]
