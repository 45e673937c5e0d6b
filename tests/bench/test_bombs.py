"""The bombs are what the resolver has to take: well-formed, and as large as it takes."""

from bench.bombs import bomb, deep
from fakes.dns_tunnel import query
from sockslocal.resolver.digest import MAX_RECORDS, digest


def test_a_bomb_is_a_good_answer() -> None:
    """Every record of it is one that was asked for."""
    answer = digest(bomb(query(deep("1.2.b")).to_wire()), upstream="u", path="tcp")
    assert answer.counts == (MAX_RECORDS, 0, 0)
