"""Datagrams over TCP, four ways, as their specifications have them; integers are big-endian.

    UoT v1   CONNECT to sp.udp-over-tcp.arpa      ATYP ADDR PORT LEN DATA, ATYP 0, 1, 2 for IPv4, IPv6, name
    UoT v2   CONNECT to sp.v2.udp-over-tcp.arpa   once IS_CONNECT ATYP ADDR PORT, ATYP as in RFC 1928; then
                                                  as v1, or LEN DATA to and from that one address
    hev      command 0x05                         LEN HDRLEN ATYP ADDR PORT DATA
    gost     command 0xF3                         LEN 0xFF ATYP ADDR PORT DATA, LEN at least 1

LEN is two octets long, and the length of DATA alone; HDRLEN is 3 more than the length of the address.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Protocol

from fakes.socks5_counts import Counts
from fakes.socks5_link import Link, first_of
from fakes.socks5_passage import Passage
from fakes.socks5_script import StreamFormat, UdpFault, UdpScript
from fakes.socks5_wire import CONNECT, GOST_UDP, HEV_UDP, Address

MAGIC = {"sp.udp-over-tcp.arpa": StreamFormat.UOT_V1, "sp.v2.udp-over-tcp.arpa": StreamFormat.UOT_V2}
"""Targets that are no names but requests."""

MAX_WAITING = 1_000
"""Answers that wait for the client to read; the next is lost."""

_FROM_V1 = {b"\0": b"\1", b"\1": b"\4", b"\2": b"\3"}
_TO_V1 = {rfc: v1 for v1, rfc in _FROM_V1.items()}


def asked_format(command: int, target: Address) -> StreamFormat | None:
    """The way that a request asks for, if it is one."""
    if command == CONNECT:
        return MAGIC.get(target[0])
    if target[1]:  # gost's is another command then
        return None
    return {HEV_UDP: StreamFormat.HEV, GOST_UDP: StreamFormat.GOST}.get(command)


Read = Callable[[int], Awaitable[bytes]]
"""Gives exactly so many octets, or raises EOFError."""


class Frames(Protocol):
    """One way, on one connection; addresses are ATYP, address and port of RFC 1928."""

    async def begin(self, read: Read) -> None:
        """Read what comes before the first frame."""

    async def next(self, read: Read) -> tuple[bytes, bytes]:
        """The next frame's address and payload; raises EOFError where it is cut, ValueError for nonsense."""

    def write(self, address: bytes, payload: bytes) -> bytes:
        """A frame."""


class StreamRelay(Passage):
    """Passes datagrams between one client's connection and any target, as its script lets it."""

    def __init__(
        self,
        link: Link,
        stream_format: StreamFormat,
        script: UdpScript,
        resolve: Callable[[Address], Address],
        counts: Counts,
    ) -> None:
        super().__init__(script, resolve, counts, counts.streams)
        self.frames = FRAMES[stream_format]()
        self._link = link
        self._client: Address = link.sock.getpeername()[:2]
        self._answers: asyncio.Queue[bytes] = asyncio.Queue(MAX_WAITING)

    def client_address(self) -> Address:
        return self._client

    def deliver(self, address: bytes, payload: bytes) -> None:
        if self.fault is UdpFault.GARBAGE:
            self.send_to_client(b"\xee" * 64)
            return
        frame = self.frames.write(address, payload)
        self.send_to_client(frame[:5] if self.fault is UdpFault.TRUNCATED else frame)

    def send_to_client(self, octets: bytes) -> None:
        """Any octets to the client."""
        with contextlib.suppress(asyncio.QueueFull):
            self._answers.put_nowait(octets)

    async def run(self, *, drip: float | None = None) -> None:
        """Until the client closes, or breaks the format, or the script has the connection closed."""
        up, down = asyncio.create_task(self._up()), asyncio.create_task(self._down(drip))
        await first_of(up, down, asyncio.create_task(self.until_lost()))

    async def _up(self) -> None:
        await self.frames.begin(self._link.read)
        while not await self._link.at_end():
            address, payload = await self.frames.next(self._link.read)
            if not self.closed:
                self.arrived()
                self.pass_on(address, payload)

    async def _down(self, drip: float | None) -> None:
        while True:
            octets = await self._answers.get()
            if drip is None:
                await self._link.send(octets)
            else:
                await self._link.drip(octets, drip)
            if self.fault is UdpFault.TRUNCATED:
                return


class _UotV1:
    async def begin(self, read: Read) -> None:
        pass

    async def next(self, read: Read) -> tuple[bytes, bytes]:
        address = await _read_address(read, _FROM_V1)
        return address, await _read_payload(read)

    def write(self, address: bytes, payload: bytes) -> bytes:
        return _TO_V1[address[:1]] + address[1:] + len(payload).to_bytes(2) + payload


class _UotV2:
    """Frames of v1, or without addresses once the client has named the only one."""

    def __init__(self) -> None:
        self._v1 = _UotV1()
        self._only: bytes | None = None

    async def begin(self, read: Read) -> None:
        flag = (await read(1))[0]
        if flag > 1:
            raise ValueError(f"isConnect is {flag}")
        address = await _read_address(read)
        self._only = address if flag else None

    async def next(self, read: Read) -> tuple[bytes, bytes]:
        if self._only is None:
            return await self._v1.next(read)
        return self._only, await _read_payload(read)

    def write(self, address: bytes, payload: bytes) -> bytes:
        if self._only is None:
            return self._v1.write(address, payload)
        return len(payload).to_bytes(2) + payload


class _Hev:
    async def begin(self, read: Read) -> None:
        pass

    async def next(self, read: Read) -> tuple[bytes, bytes]:
        length, header_length = int.from_bytes(await read(2)), (await read(1))[0]
        address = await _read_address(read)
        if header_length != 3 + len(address):
            raise ValueError(f"HDRLEN is {header_length} with an address of {len(address)}")
        return address, await read(length)

    def write(self, address: bytes, payload: bytes) -> bytes:
        return len(payload).to_bytes(2) + bytes([3 + len(address)]) + address + payload


class _Gost:
    async def begin(self, read: Read) -> None:
        pass

    async def next(self, read: Read) -> tuple[bytes, bytes]:
        length, fragment = int.from_bytes(await read(2)), (await read(1))[0]
        if not length or fragment != 0xFF:
            raise ValueError(f"RSV is {length}, FRAG is {fragment}")
        address = await _read_address(read)
        return address, await read(length)

    def write(self, address: bytes, payload: bytes) -> bytes:
        return len(payload).to_bytes(2) + b"\xff" + address + payload if payload else b""


FRAMES: dict[StreamFormat, Callable[[], Frames]] = {
    StreamFormat.UOT_V1: _UotV1,
    StreamFormat.UOT_V2: _UotV2,
    StreamFormat.HEV: _Hev,
    StreamFormat.GOST: _Gost,
}


async def _read_payload(read: Read) -> bytes:
    return await read(int.from_bytes(await read(2)))


async def _read_address(read: Read, types: dict[bytes, bytes] | None = None) -> bytes:
    """ATYP, address and port; `types` says what they are in RFC 1928, where ATYP is another."""
    octet = await read(1)
    kind = (types or {}).get(octet, b"" if types else octet)
    if kind == b"\3":
        length = await read(1)
        return kind + length + await read(length[0] + 2)
    if kind not in {b"\1", b"\4"}:
        raise ValueError(f"address type {octet.hex()}")
    return kind + await read(6 if kind == b"\1" else 18)
