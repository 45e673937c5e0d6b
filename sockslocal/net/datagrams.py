"""Datagrams in batches: received into one buffer, sent on from where they lie.

A batch is used within one call of a handler and never kept: the process has one, and whoever receives next
overwrites it. In front of every datagram there is headroom, so that a SOCKS header is laid
before a payload, or taken from it, without moving the payload.
"""

import socket
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from sockslocal.net.local_address import ROOM, PeerAt, speaking_from

SLOTS = 64
"""Datagrams received at once, at most."""

MAX_DATAGRAM = 65_535

HEADROOM = 264
"""Octets before each slot: the longest SOCKS5 UDP header is 3 + 1 + 1 + 255 + 2 (RFC 1928 §7)."""

Peer = tuple[Any, ...] | bytes
"""Who sent a datagram; opaque, and good for sending back."""


class Batch(ABC):
    """What one `receive` brought, or one `hold`; index 0 to count - 1."""

    refused = False
    """Whether the last `receive` was told that nobody took an earlier datagram (ICMP port unreachable).

    Only a socket that is connected is told.
    """

    @abstractmethod
    def receive(self, sock: socket.socket, most: int = SLOTS, *, local: bool = False) -> int:
        """Take what waits in the non-blocking `sock`, `most` datagrams; fewer than that when it is empty.

        ICMP errors of earlier sends are skipped: they end nothing. With `local` the socket is one that tells
        which address of ours a datagram came to, and its `peer` is answered from there.
        """

    @abstractmethod
    def hold(self, datagrams: Sequence[bytes]) -> int:
        """Take what came another way than by a socket of datagrams, SLOTS at most; they have no sender.

        Gives how many: those above MAX_DATAGRAM octets are left out, as nobody can send them on.
        """

    @abstractmethod
    def peer(self, index: int) -> Peer:
        """The sender of datagram `index`."""

    @abstractmethod
    def payload(self, index: int) -> memoryview:
        """The octets of datagram `index`; valid until the next `receive` or `hold`."""

    @abstractmethod
    def sizes(self, indices: range) -> Sequence[int]:
        """How long each of the datagrams `indices` (step 1) is."""

    def octets(self, indices: range) -> int:
        """How long the datagrams `indices` are together."""
        return sum(self.sizes(indices))

    def runs_between(self, indices: range, smallest: int, largest: int) -> Sequence[range]:
        """Those of `indices` that are so long, as ranges; most often that is all of them."""
        sizes = self.sizes(indices)
        if not sizes or (min(sizes) >= smallest and max(sizes) <= largest):
            return (indices,)
        fitting = zip(indices, sizes, strict=True)
        return [range(index, index + 1) for index, size in fitting if smallest <= size <= largest]

    @abstractmethod
    def send(
        self,
        sock: socket.socket,
        indices: range,
        *,
        skip: int = 0,
        header: bytes = b"",
        peer: Peer | None = None,
    ) -> int:
        """Send the datagrams `indices` (step 1) on: without their first `skip` octets, behind `header`.

        To `peer`, or to whom `sock` is connected. Gives how many the kernel took; the others are dropped.
        `header` is at most HEADROOM octets longer than `skip`.
        """

    @abstractmethod
    def send_many(self, sock: socket.socket, messages: Sequence[tuple[Peer, bytes]]) -> int:
        """Send each message to its peer; gives how many the kernel took, the others are dropped.

        What was received is overwritten.
        """


def send_one(sock: socket.socket, data: bytes, peer: Peer | None = None) -> bool:
    """Send one datagram; False where it was dropped.

    The first error may be that of an earlier datagram (ICMP), so an error is tried again once.
    """
    for _ in range(2):
        try:
            if peer is None:
                sock.send(data)
            elif sys.platform != "win32" and isinstance(peer, PeerAt):
                sock.sendmsg((data,), (peer.local,), 0, peer.peer)
            else:
                sock.sendto(data, peer)
        except BlockingIOError:
            return False
        except OSError:
            continue
        return True
    return False


class PlainBatch(Batch):
    """The portable engine: a system call a datagram."""

    def __init__(self) -> None:
        self._buffer = bytearray(MAX_DATAGRAM)
        self._received: list[tuple[bytes, Peer]] = []

    def receive(self, sock: socket.socket, most: int = SLOTS, *, local: bool = False) -> int:
        received = self._received
        received.clear()
        errors = 0
        self.refused = False
        while len(received) < most and errors < SLOTS:
            try:
                size, peer = _receive(sock, self._buffer, local=local)
            except BlockingIOError:
                break
            except OSError as error:
                errors += 1
                self.refused |= isinstance(error, ConnectionError)  # Windows calls it a reset
                continue
            received.append((bytes(memoryview(self._buffer)[:size]), peer))
        return len(received)

    def hold(self, datagrams: Sequence[bytes]) -> int:
        self._received = [(datagram, ()) for datagram in datagrams if len(datagram) <= MAX_DATAGRAM]
        return len(self._received)

    def peer(self, index: int) -> Peer:
        return self._received[index][1]

    def payload(self, index: int) -> memoryview:
        return memoryview(self._received[index][0])

    def sizes(self, indices: range) -> Sequence[int]:
        return [len(self._received[index][0]) for index in indices]

    def send(
        self,
        sock: socket.socket,
        indices: range,
        *,
        skip: int = 0,
        header: bytes = b"",
        peer: Peer | None = None,
    ) -> int:
        received = self._received
        return sum(send_one(sock, header + received[index][0][skip:], peer) for index in indices)

    def send_many(self, sock: socket.socket, messages: Sequence[tuple[Peer, bytes]]) -> int:
        return sum(send_one(sock, data, peer) for peer, data in messages)


def _receive(sock: socket.socket, buffer: bytearray, *, local: bool) -> tuple[int, Peer]:
    """One datagram: its length, and who sent it."""
    if sys.platform == "win32" or not local:
        size, peer = sock.recvfrom_into(buffer)
        return size, peer
    size, told, _, peer = sock.recvmsg_into((buffer,), ROOM)
    for level, kind, data in told:
        mine = speaking_from(level, kind, data)
        if mine is not None:
            return size, PeerAt(peer, (level, kind, mine))
    return size, peer


def best_batch() -> Batch:
    """The engine for this platform."""
    if sys.platform == "linux":
        from sockslocal.net.mmsg import MmsgBatch

        return MmsgBatch()
    return PlainBatch()
