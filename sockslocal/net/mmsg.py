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
import struct
from collections.abc import Sequence
from typing import Any, Literal

from sockslocal.net.datagrams import HEADROOM, MAX_DATAGRAM, SLOTS, Batch, Peer
from sockslocal.net.local_address import ROOM, PeerAt, speaking_from

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


_CMSGHDR = struct.Struct("@Nii")
_CMSG_DATA = socket.CMSG_LEN(0)


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


class _Incoming:
    """The headers of a batch that is received; `told` is room for what the kernel says of each datagram."""

    def __init__(self, base: int, *, told: bool) -> None:
        self._table = (_Mmsghdr * SLOTS)()
        self._iov = (_Iovec * SLOTS)()
        self._names = (ctypes.c_char * (_NAME * SLOTS))()
        self._room = (ctypes.c_char * (ROOM * SLOTS))()
        self.told = memoryview(self._room).cast("B") if told else None
        names, iovs = ctypes.addressof(self._names), ctypes.addressof(self._iov)
        for index in range(SLOTS):
            self._iov[index] = _Iovec(base + index * _SLOT + HEADROOM, MAX_DATAGRAM)
            header = self._table[index].hdr
            header.name = names + index * _NAME
            header.iov, header.iovlen = iovs + index * ctypes.sizeof(_Iovec), 1
            if self.told is not None:
                header.control = ctypes.addressof(self._room) + index * ROOM
        self.address = ctypes.addressof(self._table)
        self.sizes = _column(self._table, _Mmsghdr.len.offset, "I")
        self.names = memoryview(self._names).cast("B")
        self.namelens = _column(self._table, _Msghdr.namelen.offset, "I")
        self._fresh_namelens = memoryview(array.array("I", [_NAME] * SLOTS))
        self._no_namelens = memoryview(array.array("I", [0] * SLOTS))
        self._rooms = _column(self._table, _Msghdr.controllen.offset, _WORD)
        self._fresh_rooms = memoryview(array.array(_WORD, [ROOM] * SLOTS))

    def renew(self) -> None:
        """Make ready for another batch: the kernel wrote how much of it was needed."""
        self.namelens[:] = self._fresh_namelens
        if self.told is not None:
            self._rooms[:] = self._fresh_rooms

    def forget(self) -> None:
        """What is in the batch now came from nobody."""
        self.namelens[:] = self._no_namelens

    def local(self, index: int) -> bytes:
        """What to give to the kernel with an answer to datagram `index`; empty for nothing."""
        assert self.told is not None
        return _speaking_from(bytes(self.told[index * ROOM : index * ROOM + self._rooms[index]]))


def _speaking_from(told: bytes) -> bytes:
    """What to give to the kernel with an answer to a datagram that came with `told`; empty for nothing."""
    if len(told) < _CMSG_DATA:
        return b""
    length, level, kind = _CMSGHDR.unpack_from(told)
    data = speaking_from(level, kind, told[_CMSG_DATA:length])
    return told[:_CMSG_DATA] + data if data is not None else b""


class MmsgBatch(Batch):
    """One lazily committed buffer: memory is touched only as far as datagrams reach."""

    def __init__(self) -> None:
        self._map = mmap.mmap(-1, SLOTS * _SLOT, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self._bytes = memoryview(self._map)
        self._base = ctypes.addressof(ctypes.c_char.from_buffer(self._map))
        self._sizes: list[int] = []
        self._plain = self._in = _Incoming(self._base, told=False)
        self._local = _Incoming(self._base, told=True)
        self._set_up_sending()

    def _set_up_sending(self) -> None:
        self._out = (_Mmsghdr * SLOTS)()
        self._out_iov = (_Iovec * SLOTS)()
        self._out_addresses = (ctypes.c_char * (_NAME * SLOTS))()
        self._out_addresses_view = memoryview(self._out_addresses).cast("B")
        self._out_locals = (ctypes.c_char * (ROOM * SLOTS))()
        self._out_locals_view = memoryview(self._out_locals).cast("B")
        self._speaking = False
        iovs = ctypes.addressof(self._out_iov)
        for index in range(SLOTS):
            header = self._out[index].hdr
            header.iov, header.iovlen = iovs + index * ctypes.sizeof(_Iovec), 1
            header.control = ctypes.addressof(self._out_locals) + index * ROOM
        self._out_address = ctypes.addressof(self._out)
        self._out_bases = _column(self._out_iov, _Iovec.base.offset, _WORD)
        self._out_lengths = _column(self._out_iov, _Iovec.len.offset, _WORD)
        self._out_names = _column(self._out, _Msghdr.name.offset, _WORD)
        self._out_namelens = _column(self._out, _Msghdr.namelen.offset, "I")
        self._out_rooms = _column(self._out, _Msghdr.controllen.offset, _WORD)
        self._no_rooms = memoryview(array.array(_WORD, [0] * SLOTS))

    def receive(self, sock: socket.socket, most: int = SLOTS, *, local: bool = False) -> int:
        self._in = table = self._local if local else self._plain
        table.renew()
        count = self._receive(sock.fileno(), most)
        self._sizes = table.sizes[:count].tolist()
        return count

    def _receive(self, fd: int, most: int) -> int:
        self.refused = False
        for _ in range(SLOTS):
            count = int(_recvmmsg(fd, self._in.address, most, socket.MSG_DONTWAIT, None))
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
        self._in = self._plain
        self._in.forget()
        return len(self._sizes)

    def peer(self, index: int) -> Peer:
        table, start = self._in, index * _NAME
        name = bytes(table.names[start : start + table.namelens[index]])
        local = table.local(index) if table.told is not None else b""
        return PeerAt(name, local) if local else name

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
        taken = self._send(sock.fileno(), indices)
        if self._speaking:
            self._speak_as_ever()
        return taken

    def send_many(self, sock: socket.socket, messages: Sequence[tuple[Peer, bytes]]) -> int:
        taken = 0
        for start in range(0, len(messages), SLOTS):
            some = messages[start : start + SLOTS]
            for index, (peer, data) in enumerate(some):
                self._lay_out_one(index, peer, data)
            taken += self._send(sock.fileno(), range(len(some)))
            if self._speaking:
                self._speak_as_ever()
        return taken

    def _lay_out_one(self, index: int, peer: Peer, data: bytes) -> None:
        if not isinstance(peer, bytes):
            peer = self._speak_to(range(index, index + 1), peer)
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
            if not isinstance(peer, bytes):
                peer = self._speak_to(indices, peer)
            self._out_addresses_view[: len(peer)] = peer
            name, length = ctypes.addressof(self._out_addresses), len(peer)
        names, lengths = self._out_names, self._out_namelens
        for index in indices:
            names[index] = name
            lengths[index] = length

    def _speak_to(self, indices: range, peer: Peer) -> bytes:
        """Have these datagrams come from the address of ours that `peer` knows; gives its own."""
        assert isinstance(peer, PeerAt)  # what `peer` gave
        address, local = peer
        for index in indices:
            self._out_locals_view[index * ROOM : index * ROOM + len(local)] = local
            self._out_rooms[index] = len(local)
        self._speaking = True
        return bytes(address)

    def _speak_as_ever(self) -> None:
        """Leave to routing again which address is spoken from."""
        self._out_rooms[:] = self._no_rooms
        self._speaking = False

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
