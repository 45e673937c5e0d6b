"""Datagrams that wait for their way to open; bounded, and the oldest make room for the newest."""

from collections import deque

MAX_WAITING, MAX_WAITING_OCTETS = 16, 65_536
"""Datagrams, and octets, that wait; one may wait however long it is."""


class DatagramQueue:
    """First in, first out."""

    __slots__ = ("_octets", "_waiting")

    def __init__(self) -> None:
        self._waiting: deque[bytes] = deque()
        self._octets = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, datagram: bytes) -> int:
        """Have `datagram` wait; gives how many were dropped for it."""
        waiting, before = self._waiting, len(self._waiting)
        waiting.append(datagram)
        self._octets += len(datagram)
        while len(waiting) > MAX_WAITING or (self._octets > MAX_WAITING_OCTETS and len(waiting) > 1):
            self._octets -= len(waiting.popleft())
        return before + 1 - len(waiting)

    def take(self) -> deque[bytes]:
        """All of them, which wait no more."""
        waiting, self._waiting, self._octets = self._waiting, deque(), 0
        return waiting
