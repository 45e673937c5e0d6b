from sockslocal.resolver.age import older
from sockslocal.resolver.answer import Answer

ANSWER = Answer(
    rcode=0,
    counts=(2, 0, 0),
    body=b"one\0\0\1\x2ctwo\0\0\0\x3c",
    ttls=((3, 300), (10, 60)),
    lifetime=60,
)


def test_no_age_changes_nothing() -> None:
    """As most answers have none."""
    assert older(ANSWER, 0) is ANSWER


def test_an_age_is_taken_off_every_ttl() -> None:
    """In the octets as well as in what is known of them, and never below 0 (checklist 65)."""
    aged = older(ANSWER, 100)
    assert aged.body == b"one\0\0\0\xc8two\0\0\0\0"
    assert aged.ttls == ((3, 200), (10, 0))
    assert aged.lifetime == 0
    assert older(ANSWER, 10).lifetime == 50
    assert older(ANSWER, 10).aged(20) == b"one\0\0\1\x0etwo\0\0\0\x1e"
    assert aged.counts == ANSWER.counts
