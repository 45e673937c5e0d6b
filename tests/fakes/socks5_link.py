"""One TCP connection of the fake SOCKS5 server, as octets."""

import asyncio
import contextlib
import socket
import struct

CHUNK = 1 << 18


def abort(sock: socket.socket) -> None:
    """Close `sock` with an RST."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


async def first_of(*tasks: asyncio.Task[None]) -> None:
    """Wait for one of `tasks`, then end them all; raises what the first one did.

    For a socket must not be closed while a task has it in the loop.
    """
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in tasks:
        if not task.cancelled():
            task.result()


class Link:
    """Reads exactly what is asked for, and remembers in what segments it came."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.segments: list[bytes] = []
        """What each read returned: one segment a message, from a client that sends it so."""
        self.left = b""
        """Read, and not asked for yet."""
        self._loop = asyncio.get_running_loop()
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    async def read(self, count: int) -> bytes:
        """Exactly `count` octets; raises EOFError when the client closes before."""
        while len(self.left) < count:
            if not await self._read_on():
                raise EOFError
        wanted, self.left = self.left[:count], self.left[count:]
        return wanted

    async def at_end(self) -> bool:
        """Wait for an octet; whether the client has closed instead."""
        return not self.left and not await self._read_on()

    async def send(self, data: bytes) -> None:
        if data:
            await self._loop.sock_sendall(self.sock, data)

    async def drip(self, data: bytes, interval: float) -> None:
        """Send octet by octet, `interval` seconds apart."""
        for octet in data:
            await self.send(bytes([octet]))
            await asyncio.sleep(interval)

    async def until_touched(self) -> bytes:
        """Return when the client sends or closes: what it sent, nothing where it closed."""
        with contextlib.suppress(OSError):
            return self.left or await self._loop.sock_recv(self.sock, CHUNK)
        return b""

    async def until_closed(self) -> None:
        """Return when the client closes; what it sends meanwhile is read, and means nothing."""
        self.left = b""
        while await self.until_touched():
            pass

    async def _read_on(self) -> bool:
        data = await self._loop.sock_recv(self.sock, CHUNK)
        if data:
            self.segments.append(data)
            self.left += data
        return bool(data)
