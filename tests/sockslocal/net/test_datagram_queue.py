from sockslocal.net.datagram_queue import MAX_WAITING, MAX_WAITING_OCTETS, DatagramQueue


def test_in_order() -> None:
    """What came first goes first, the empty one too; then nothing waits."""
    queue = DatagramQueue()
    assert len(queue) == 0
    datagrams = [b"one", b"", b"three"]
    assert [queue.add(datagram) for datagram in datagrams] == [0, 0, 0]
    assert len(queue) == 3
    assert list(queue.take()) == datagrams
    assert len(queue) == 0
    assert list(queue.take()) == []


def test_the_oldest_are_dropped() -> None:
    """So many wait and no more."""
    queue = DatagramQueue()
    dropped = [queue.add(bytes([number])) for number in range(MAX_WAITING + 5)]
    assert dropped == [0] * MAX_WAITING + [1] * 5
    assert list(queue.take()) == [bytes([number]) for number in range(5, MAX_WAITING + 5)]


def test_octets_are_bounded_too() -> None:
    """Large datagrams push out older ones sooner, but the newest waits whatever its size."""
    queue = DatagramQueue()
    sizes = (1000, 1000, 1000, MAX_WAITING_OCTETS - 1000, 1, MAX_WAITING_OCTETS + 1, 1)
    assert [queue.add(bytes(size)) for size in sizes] == [0, 0, 0, 2, 1, 2, 1]
    assert [len(datagram) for datagram in queue.take()] == [1]


def test_room_again() -> None:
    """What was taken takes no room any more."""
    queue = DatagramQueue()
    for _ in range(3):
        assert queue.add(bytes(MAX_WAITING_OCTETS - 1)) == 0
        assert queue.add(b"x") == 0
        assert len(queue.take()) == 2
