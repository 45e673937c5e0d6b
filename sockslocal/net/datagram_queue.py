"""Datagrams that wait for their way to open; bounded, and the oldest make room for the newest."""

from collections import deque
from typing import Generic, TypeVar

MAX_WAITING_OCTETS = 65_536
"""Octets that wait; one datagram may wait however long it is."""

T = TypeVar("T")


class DatagramQueue(Generic[T]):
    """First in, first out; each with its owner."""

    __slots__ = ("_limit", "_octets", "_waiting")

    def __init__(self, limit: int) -> None:
        """At most `limit` datagrams wait."""
        self._limit = limit
        self._waiting: deque[tuple[T, bytes]] = deque()
        self._octets = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, owner: T, datagram: bytes) -> list[T]:
        """Have `datagram` wait; gives the owners of those that were dropped for it."""
        waiting = self._waiting
        waiting.append((owner, datagram))
        self._octets += len(datagram)
        dropped = []
        while len(waiting) > self._limit or (self._octets > MAX_WAITING_OCTETS and len(waiting) > 1):
            other, oldest = waiting.popleft()
            self._octets -= len(oldest)
            dropped.append(other)
        return dropped

    def take(self) -> deque[tuple[T, bytes]]:
        """All of them, which wait no more."""
        waiting, self._waiting, self._octets = self._waiting, deque(), 0
        return waiting

    def discard(self, owner: T) -> int:
        """Drop those of `owner`; gives how many they were."""
        before = len(self._waiting)
        self._waiting = deque((other, datagram) for other, datagram in self._waiting if other is not owner)
        self._octets = sum(len(datagram) for _, datagram in self._waiting)
        return before - len(self._waiting)
