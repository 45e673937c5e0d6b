import pytest

from sockslocal.net.udp_probe import answers, question

ASKED = question(0x1234)


def test_the_question() -> None:
    """NS of the root, recursion desired: as dnspython and RFC 1035 write it."""
    assert ASKED.hex("-", 1) == "12-34-01-00-00-01-00-00-00-00-00-00-00-00-02-00-01"


@pytest.mark.parametrize(
    "payload",
    [
        bytes.fromhex("1234 8180 0001 0000 0000 0000 00 0002 0001"),
        bytes.fromhex("1234 8105 0000 0000 0000 0000"),
        ASKED,
        ASKED[:5],
    ],
    ids=["answered", "refused without the question", "echoed", "echoed and cut"],
)
def test_what_counts_as_an_answer(payload: bytes) -> None:
    """Whatever shows that the question has reached somebody."""
    assert answers(ASKED, payload)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\x12",
        bytes.fromhex("1235 8180 0001 0000 0000 0000 00 0002 0001"),
        bytes.fromhex("1234 0100 0001 0000 0000 0000 00 0006 0001"),
        bytes.fromhex("1234 8180 0001"),
        ASKED + b"\0",
    ],
    ids=["nothing", "half an id", "another id", "another question", "cut", "more than was asked"],
)
def test_what_does_not(payload: bytes) -> None:
    """Whatever could have come by chance, or belongs to another question."""
    assert not answers(ASKED, payload)
