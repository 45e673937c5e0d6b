import dns.message

from sockslocal.resolver.statistics import MAX_NAMES, Statistics
from sockslocal.resolver.wire import Query, parse_query


def query(name: str, rdtype: str = "A") -> Query:
    """A question."""
    return parse_query(dns.message.make_query(name, rdtype).to_wire())


def test_failures_are_ranked_by_name() -> None:
    """Type and case do not matter."""
    statistics = Statistics()
    for name, rdtype in (("b.example", "A"), ("a.example", "A"), ("A.example", "AAAA")):
        statistics.fail(query(name, rdtype))
    assert statistics.failed == 3
    assert statistics.top_failures(10) == [(query("a.example").name, 2), (query("b.example").name, 1)]
    assert statistics.top_failures(1) == [(query("a.example").name, 2)]


def test_names_are_bounded() -> None:
    """A new one takes the place of the least frequent, so that the frequent ones stay."""
    statistics = Statistics()
    for _ in range(3):
        statistics.fail(query("often.example"))
    for number in range(2 * MAX_NAMES):
        statistics.fail(query(f"host{number}.example"))
    ranked = statistics.top_failures(10 * MAX_NAMES)
    assert len(ranked) == MAX_NAMES
    assert query("often.example").name in dict(ranked)
    assert statistics.failed == 3 + 2 * MAX_NAMES
