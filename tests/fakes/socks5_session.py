"""One connection of the fake SOCKS5 server, from the greeting to the end of the relay."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable

from fakes.socks5_relay import Relay
from fakes.socks5_script import Act, Script, Stage
from fakes.socks5_wire import Address, address_length, address_octets, parse_address

CHUNK = 1 << 18
CONNECT, UDP_ASSOCIATE = 1, 3


def abort(sock: socket.socket) -> None:
    """Close `sock` with an RST."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


async def _ended(*tasks: asyncio.Task[object]) -> list[object]:
    """Cancel what still runs, and wait: a socket must not be closed while a task has it in the loop."""
    for task in tasks:
        task.cancel()
    return await asyncio.gather(*tasks, return_exceptions=True)


class Session:
    """What one client sent, and what it was answered."""

    def __init__(
        self,
        connection: socket.socket,
        script: Script,
        *,
        credentials: tuple[bytes, bytes] | None,
        resolve: Callable[[Address], Address],
    ) -> None:
        self.connection = connection
        self.script = script
        self.segments: list[bytes] = []
        """What each read of the handshake returned: one segment a message, from a client that sends it so."""
        self.methods = b""
        self.login: tuple[bytes, bytes] | None = None
        self.command = 0
        self.target: Address | None = None
        self.relay: Relay | None = None
        self.error: Exception | None = None
        self.finished = False
        self._credentials = credentials
        self._resolve = resolve
        self._loop = asyncio.get_running_loop()
        self._received = b""
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    async def run(self) -> None:
        """The whole connection, as its script has it."""
        if await self._strikes(Stage.ACCEPT) or not await self._handshake():
            return
        if self.command == CONNECT:
            await self._connect()
        elif self.command == UDP_ASSOCIATE:
            await self._associate()
        else:
            await self._reply(7)

    def close(self) -> None:
        """Release everything the connection holds."""
        self.connection.close()
        if self.relay:
            self.relay.close()
        self.finished = True

    async def _handshake(self) -> bool:
        """Up to the request; False where it came to an end."""
        count = (await self._read(2))[1]
        self.methods = await self._read(count)
        method = self.script.method
        if method is None:
            wanted = 2 if self._credentials else 0
            method = wanted if wanted in self.methods else 0xFF
        if await self._strikes(Stage.METHOD, bytes([5, method])):
            return False
        if method == 2 and not await self._authenticate():
            return False
        if method not in {0, 2}:
            await self._until_closed()
            return False
        await self._read_request()
        return True

    async def _authenticate(self) -> bool:
        user = await self._read((await self._read(2))[1])
        password = await self._read((await self._read(1))[0])
        self.login = user, password
        status = self.script.status
        if status is None:
            status = 0 if self._credentials in {None, self.login} else 1
        return not await self._strikes(Stage.LOGIN, bytes([1, status])) and status == 0

    async def _read_request(self) -> None:
        self.command = (await self._read(3))[1]
        address = b""
        while (length := address_length(address)) is None or len(address) < length:
            address += await self._read(1)
        self.target, _ = parse_address(address)

    async def _connect(self) -> None:
        if self.script.reply:
            await self._reply(self.script.reply)
            return
        assert self.target is not None
        try:
            upstream = await self._open(self._resolve(self.target))
        except OSError:
            await self._reply(5)
            return
        with upstream:
            if not await self._reply(0):
                await self._relay_stream(upstream)

    async def _open(self, target: Address) -> socket.socket:
        found = await self._loop.getaddrinfo(*target, type=socket.SOCK_STREAM)
        family, kind, _, _, address = found[0]
        sock = socket.socket(family, kind)
        sock.setblocking(False)
        try:
            await self._loop.sock_connect(sock, address)
        except BaseException:
            sock.close()
            raise
        return sock

    async def _associate(self) -> None:
        if self.script.reply:
            await self._reply(self.script.reply)
            return
        self.relay = Relay(self.connection.getsockname()[0], self.script.udp, self._resolve)
        host, port = self.relay.address
        named = host if self.script.bound_host is None else self.script.bound_host
        if await self._reply(0, address_octets(named, port)) or await self._strikes(Stage.RELAY):
            return
        closed = asyncio.create_task(self._until_closed())
        lost = asyncio.create_task(self.relay.control_lost.wait())
        try:
            await asyncio.wait({closed, lost}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await _ended(closed, lost)

    async def _reply(self, code: int, bound: bytes = b"\1\0\0\0\0\0\0") -> bool:
        """Answer the request; True where the script ended the connection instead."""
        return await self._strikes(Stage.REPLY, bytes([5, code, 0]) + (self.script.bound or bound))

    async def _strikes(self, stage: Stage, answer: bytes = b"") -> bool:
        """Send `answer`, or do what the script has for `stage`; True where that was the end."""
        script = self.script
        if script.at is not stage:
            await self._send(answer)
            return False
        if script.act is Act.DRIP:
            await self._drip(answer)
            return False
        if script.act is Act.RESET:
            abort(self.connection)
        elif script.act is Act.CLOSE:
            self.connection.shutdown(socket.SHUT_WR)
        elif script.act is Act.SAY:
            await self._send(script.text)
        await self._until_closed()
        return True

    async def _relay_stream(self, upstream: socket.socket) -> None:
        await self._send_to(upstream, self._received)
        down = asyncio.create_task(self._pump_to_client(upstream))
        up = asyncio.create_task(self._pump(self.connection, upstream))
        pumps = {down} if self.script.at is Stage.RELAY else {down, up}
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            results = await _ended(up, down)
        if any(isinstance(result, OSError) for result in results):
            abort(upstream)
            abort(self.connection)
        elif self.script.at is Stage.RELAY:
            await self._strikes(Stage.RELAY)

    async def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        while data := await self._loop.sock_recv(source, CHUNK):
            await self._send_to(sink, data)
        sink.shutdown(socket.SHUT_WR)

    async def _pump_to_client(self, upstream: socket.socket) -> None:
        if self.script.at is not Stage.RELAY:
            await self._pump(upstream, self.connection)
            return
        relayed = 0
        while relayed < self.script.after:
            data = await self._loop.sock_recv(upstream, min(CHUNK, self.script.after - relayed))
            if not data:
                break
            await self._send(data)
            relayed += len(data)
        while self.script.act is Act.DRIP:
            await self._drip(await self._loop.sock_recv(upstream, CHUNK))

    async def _drip(self, data: bytes) -> None:
        for octet in data:
            await self._send(bytes([octet]))
            await asyncio.sleep(self.script.interval)

    async def _read(self, count: int) -> bytes:
        """Exactly `count` octets; raises EOFError when the client closes before."""
        while len(self._received) < count:
            data = await self._loop.sock_recv(self.connection, CHUNK)
            if not data:
                raise EOFError
            self.segments.append(data)
            self._received += data
        wanted, self._received = self._received[:count], self._received[count:]
        return wanted

    async def _send(self, data: bytes) -> None:
        await self._send_to(self.connection, data)

    async def _send_to(self, sock: socket.socket, data: bytes) -> None:
        if data:
            await self._loop.sock_sendall(sock, data)

    async def _until_closed(self) -> None:
        with contextlib.suppress(OSError):
            while await self._loop.sock_recv(self.connection, CHUNK):
                pass
