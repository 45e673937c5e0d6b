"""Linux: `recvmmsg` and `sendmmsg`, a whole batch for one system call.

The structures are declared, not counted: 32-bit and Arm lay them out differently. What is written for
each datagram goes through memoryviews over them, at a tenth of the cost of ctypes' attributes.
"""

# ruff: noqa: E402, S101  the assertion tells mypy on which platform this file is read

import sys

assert sys.platform == "linux"

import array
import ctypes
import errno
import mmap
import socket
from collections.abc import Sequence
from typing import Any, Literal

from sockslocal.net.datagrams import HEADROOM, MAX_DATAGRAM, SLOTS, Batch, Peer

_SLOT = HEADROOM + MAX_DATAGRAM + 1
_NAME = 128  # sockaddr_storage


class _Iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("len", ctypes.c_size_t)]


class _Msghdr(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_void_p),
        ("namelen", ctypes.c_uint32),
        ("iov", ctypes.c_void_p),
        ("iovlen", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("controllen", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    ]


class _Mmsghdr(ctypes.Structure):
    _fields_ = [("hdr", _Msghdr), ("len", ctypes.c_uint)]


_libc = ctypes.CDLL(None, use_errno=True)
_recvmmsg = _libc.recvmmsg
_recvmmsg.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p]
_sendmmsg = _libc.sendmmsg
_sendmmsg.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int]

_FULL = frozenset({errno.EAGAIN, errno.ENOBUFS})
"""The socket's buffer or the interface's queue takes no more; the next datagram would fare no better."""

_WORD: Literal["Q", "I"] = "Q" if ctypes.sizeof(ctypes.c_size_t) == 8 else "I"


def _column(table: ctypes.Array[Any], offset: int, code: Literal["Q", "I"]) -> memoryview:
    """One field of every row of `table`, as a strided view of integers."""
    width = array.array(code).itemsize
    row = ctypes.sizeof(table) // len(table)
    return memoryview(table).cast("B").cast(code)[offset // width :: row // width]


class MmsgBatch(Batch):
    """One lazily committed buffer: memory is touched only as far as datagrams reach."""

    def __init__(self) -> None:
        self._map = mmap.mmap(-1, SLOTS * _SLOT, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self._bytes = memoryview(self._map)
        self._base = ctypes.addressof(ctypes.c_char.from_buffer(self._map))
        self._names = (ctypes.c_char * (_NAME * SLOTS))()
        self._names_view = memoryview(self._names).cast("B")
        self._sizes: list[int] = []
        self._set_up_receiving()
        self._set_up_sending()

    def _set_up_receiving(self) -> None:
        self._in = (_Mmsghdr * SLOTS)()
        self._in_iov = (_Iovec * SLOTS)()
        names, iovs = ctypes.addressof(self._names), ctypes.addressof(self._in_iov)
        for index in range(SLOTS):
            self._in_iov[index] = _Iovec(self._base + index * _SLOT + HEADROOM, MAX_DATAGRAM)
            header = self._in[index].hdr
            header.name = names + index * _NAME
            header.iov, header.iovlen = iovs + index * ctypes.sizeof(_Iovec), 1
        self._in_address = ctypes.addressof(self._in)
        self._in_sizes = _column(self._in, _Mmsghdr.len.offset, "I")
        self._in_namelens = _column(self._in, _Msghdr.namelen.offset, "I")
        self._fresh_namelens = memoryview(array.array("I", [_NAME] * SLOTS))
        self._no_namelens = memoryview(array.array("I", [0] * SLOTS))

    def _set_up_sending(self) -> None:
        self._out = (_Mmsghdr * SLOTS)()
        self._out_iov = (_Iovec * SLOTS)()
        self._out_addresses = (ctypes.c_char * (_NAME * SLOTS))()
        self._out_addresses_view = memoryview(self._out_addresses).cast("B")
        iovs = ctypes.addressof(self._out_iov)
        for index in range(SLOTS):
            header = self._out[index].hdr
            header.iov, header.iovlen = iovs + index * ctypes.sizeof(_Iovec), 1
        self._out_address = ctypes.addressof(self._out)
        self._out_bases = _column(self._out_iov, _Iovec.base.offset, _WORD)
        self._out_lengths = _column(self._out_iov, _Iovec.len.offset, _WORD)
        self._out_names = _column(self._out, _Msghdr.name.offset, _WORD)
        self._out_namelens = _column(self._out, _Msghdr.namelen.offset, "I")

    def receive(self, sock: socket.socket, most: int = SLOTS) -> int:
        self._in_namelens[:] = self._fresh_namelens
        count = self._receive(sock.fileno(), most)
        self._sizes = self._in_sizes[:count].tolist()
        return count

    def _receive(self, fd: int, most: int) -> int:
        self.refused = False
        for _ in range(SLOTS):
            count = int(_recvmmsg(fd, self._in_address, most, socket.MSG_DONTWAIT, None))
            if count >= 0:
                return count
            error = ctypes.get_errno()
            if error == errno.EAGAIN:
                return 0
            # Else it was the ICMP error of an earlier send, which asking took away.
            self.refused |= error == errno.ECONNREFUSED
        return 0

    def hold(self, datagrams: Sequence[bytes]) -> int:
        self._sizes.clear()
        for datagram in datagrams:
            if len(datagram) <= MAX_DATAGRAM:
                start = len(self._sizes) * _SLOT + HEADROOM
                self._bytes[start : start + len(datagram)] = datagram
                self._sizes.append(len(datagram))
        self._in_namelens[:] = self._no_namelens
        return len(self._sizes)

    def peer(self, index: int) -> Peer:
        start = index * _NAME
        return bytes(self._names_view[start : start + self._in_namelens[index]])

    def payload(self, index: int) -> memoryview:
        start = index * _SLOT + HEADROOM
        return self._bytes[start : start + self._sizes[index]]

    def sizes(self, indices: range) -> Sequence[int]:
        return self._sizes[indices.start : indices.stop]

    def send(
        self,
        sock: socket.socket,
        indices: range,
        *,
        skip: int = 0,
        header: bytes = b"",
        peer: Peer | None = None,
    ) -> int:
        self._lay_out(indices, skip, header)
        self._address(indices, peer)
        return self._send(sock.fileno(), indices)

    def send_many(self, sock: socket.socket, messages: Sequence[tuple[Peer, bytes]]) -> int:
        taken = 0
        for start in range(0, len(messages), SLOTS):
            some = messages[start : start + SLOTS]
            for index, (peer, data) in enumerate(some):
                self._lay_out_one(index, peer, data)
            taken += self._send(sock.fileno(), range(len(some)))
        return taken

    def _lay_out_one(self, index: int, peer: Peer, data: bytes) -> None:
        assert isinstance(peer, bytes)  # what `peer` gave
        start, name = index * _SLOT, index * _NAME
        self._bytes[start : start + len(data)] = data
        self._out_addresses_view[name : name + len(peer)] = peer
        self._out_bases[index] = self._base + start
        self._out_lengths[index] = len(data)
        self._out_names[index] = ctypes.addressof(self._out_addresses) + name
        self._out_namelens[index] = len(peer)

    def _lay_out(self, indices: range, skip: int, header: bytes) -> None:
        """Point the outgoing vectors at the payloads, with `header` written into the headroom."""
        octets, bases, lengths, sizes = self._bytes, self._out_bases, self._out_lengths, self._sizes
        head, shift = len(header), HEADROOM + skip - len(header)
        change = head - skip
        for index in indices:
            start = index * _SLOT + shift
            if head:
                octets[start : start + head] = header
            bases[index] = self._base + start
            lengths[index] = sizes[index] + change

    def _address(self, indices: range, peer: Peer | None) -> None:
        if peer is None:
            name, length = 0, 0
        else:
            assert isinstance(peer, bytes)  # what `peer` gave
            self._out_addresses_view[: len(peer)] = peer
            name, length = ctypes.addressof(self._out_addresses), len(peer)
        names, lengths = self._out_names, self._out_namelens
        for index in indices:
            names[index] = name
            lengths[index] = length

    def _send(self, fd: int, indices: range) -> int:
        """Send the run; an error costs the datagram it names, or is an older one's and costs nothing."""
        row, position, taken, retried = ctypes.sizeof(_Mmsghdr), indices.start, 0, False
        while position < indices.stop:
            count = _sendmmsg(
                fd, self._out_address + position * row, indices.stop - position, socket.MSG_DONTWAIT
            )
            if count > 0:
                position, taken, retried = position + count, taken + count, False
            elif ctypes.get_errno() in _FULL:
                break
            elif retried:
                position, retried = position + 1, False
            else:
                retried = True
        return taken
