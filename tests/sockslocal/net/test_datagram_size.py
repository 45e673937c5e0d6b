from collections.abc import Callable

import pytest

from sockslocal.net.datagram_size import LARGEST, SizeSearch


def found_by(way: Callable[[int], int | None], passed: int = 17) -> tuple[int, list[int]]:
    """What the search finds where a payload comes back with `way(octets)` octets, and what it tried."""
    search, tried = SizeSearch(passed), list[int]()
    while (size := search.size()) is not None:
        tried.append(size)
        assert len(tried) < 40, tried
        back = way(size)
        if back is None:
            search.lost()
        else:
            search.came_back(back)
    return search.passed, tried


def test_one_datagram_does_where_all_pass() -> None:
    """The largest there can be is tried first."""
    assert found_by(lambda size: size) == (LARGEST, [LARGEST])


@pytest.mark.parametrize("limit", [18, 512, 1490, 2038, 16_326, LARGEST - 1])
def test_where_datagrams_are_cut_the_limit_is_exact(limit: int) -> None:
    """The cut itself tells it: it is tried, and one octet more."""
    passed, tried = found_by(lambda size: min(size, limit))
    assert passed == limit
    assert tried in ([LARGEST, limit, limit + 1], [LARGEST, limit])


@pytest.mark.parametrize("limit", [17, 18, 100, 512, 1490, 2800, 32_768, LARGEST - 1])
def test_where_datagrams_are_lost_the_limit_is_near(limit: int) -> None:
    """What is found has passed; few are tried, for each loss is waited for."""
    passed, tried = found_by(lambda size: size if size <= limit else None)
    assert limit - limit // 32 <= passed <= limit
    assert len(tried) <= 14


def test_a_cut_that_tells_nothing() -> None:
    """Some servers cut more than they have to: what comes back of a large one is no limit."""
    passed, _ = found_by(lambda size: size if size <= 5_000 else 10)
    assert 4_900 <= passed <= 5_000


def test_a_cut_to_less_than_passes() -> None:
    """What came back is where the search goes on, upwards too."""
    passed, _ = found_by(lambda size: size if size <= 5_000 else 300)
    assert 4_900 <= passed <= 5_000


def test_what_passed_before_is_not_tried_again() -> None:
    """The search has nothing to do where nothing larger can be."""
    assert SizeSearch(LARGEST).size() is None
