from hypothesis import given
from hypothesis import strategies as st

from sockslocal.net.datagram_queue import MAX_WAITING_OCTETS, DatagramQueue

LIMIT = 16


def test_in_order() -> None:
    """What came first goes first, the empty one too, each with its owner; then nothing waits."""
    queue: DatagramQueue[str] = DatagramQueue(LIMIT)
    assert len(queue) == 0
    datagrams = [("ana", b"one"), ("ben", b""), ("ana", b"three")]
    assert [queue.add(*datagram) for datagram in datagrams] == [[], [], []]
    assert len(queue) == 3
    assert list(queue.take()) == datagrams
    assert len(queue) == 0
    assert list(queue.take()) == []


def test_the_oldest_are_dropped() -> None:
    """So many wait and no more; whose they were is told."""
    queue: DatagramQueue[int] = DatagramQueue(LIMIT)
    dropped = [queue.add(number, bytes([number])) for number in range(LIMIT + 5)]
    assert dropped == [[]] * LIMIT + [[number] for number in range(5)]
    assert list(queue.take()) == [(number, bytes([number])) for number in range(5, LIMIT + 5)]


def test_octets_are_bounded_too() -> None:
    """Large datagrams push out older ones sooner, but the newest waits whatever its size."""
    queue: DatagramQueue[int] = DatagramQueue(LIMIT)
    sizes = (1000, 1000, 1000, MAX_WAITING_OCTETS - 1000, 1, MAX_WAITING_OCTETS + 1, 1)
    dropped = [queue.add(number, bytes(size)) for number, size in enumerate(sizes)]
    assert dropped == [[], [], [], [0, 1], [2], [3, 4], [5]]
    assert list(queue.take()) == [(6, b"\0")]


def test_room_again() -> None:
    """What was taken takes no room any more."""
    queue: DatagramQueue[None] = DatagramQueue(LIMIT)
    for _ in range(3):
        assert queue.add(None, bytes(MAX_WAITING_OCTETS - 1)) == []
        assert queue.add(None, b"x") == []
        assert len(queue.take()) == 2


def test_an_owner_that_waits_no_more() -> None:
    """All of its datagrams are dropped and leave their room; the others keep their order."""
    queue: DatagramQueue[str] = DatagramQueue(LIMIT)
    queue.add("ana", bytes(MAX_WAITING_OCTETS - 2))
    queue.add("ben", b"1")
    queue.add("ana", b"2")
    assert queue.discard("ana") == 2
    assert queue.discard("ana") == 0
    assert queue.add("ben", bytes(MAX_WAITING_OCTETS - 1)) == []
    assert [owner for owner, _ in queue.take()] == ["ben", "ben"]


@given(
    st.integers(1, 5),
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, MAX_WAITING_OCTETS + 1) | st.none())),
)
def test_whatever_comes(limit: int, steps: list[tuple[str, int | None]]) -> None:
    """The newest wait, within both bounds, and each datagram is taken, dropped or discarded once."""
    queue: DatagramQueue[str] = DatagramQueue(limit)
    model: list[tuple[str, int]] = []
    for owner, size in steps:
        if size is None:
            assert queue.discard(owner) == sum(1 for other, _ in model if other == owner)
            model = [waiting for waiting in model if waiting[0] != owner]
            continue
        model.append((owner, size))
        for dropped in queue.add(owner, bytes(size)):
            assert model.pop(0)[0] == dropped
        assert len(queue) == len(model) <= limit
        assert len(model) == 1 or sum(octets for _, octets in model) <= MAX_WAITING_OCTETS
    assert [(owner, len(datagram)) for owner, datagram in queue.take()] == model
