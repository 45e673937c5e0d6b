"""One connection of the fake SOCKS5 server, from the greeting to the end of the relay."""

import asyncio
import socket
from collections.abc import Callable

from fakes.socks5_counts import Counts
from fakes.socks5_link import CHUNK, Link, abort, first_of
from fakes.socks5_relay import Relay, objection
from fakes.socks5_script import Act, Script, Stage, StreamFormat
from fakes.socks5_streams import MAGIC, StreamRelay, asked_format
from fakes.socks5_wire import CONNECT, UDP_ASSOCIATE, Address, address_length, address_octets, parse_address

GENERAL_FAILURE, NO_SUCH_HOST, REFUSED, NO_SUCH_COMMAND = 1, 4, 5, 7
ZEROS = address_octets("0.0.0.0", 0)

Cases = dict[int | str, Script]


class Session:
    """What one client sent, and what it was answered."""

    def __init__(
        self,
        connection: socket.socket,
        script: Script,
        *,
        credentials: tuple[bytes, bytes] | None,
        resolve: Callable[[Address], Address],
        cases: Cases,
        has_room: Callable[[], bool],
        counts: Counts,
    ) -> None:
        self.connection = connection
        self.script = script
        self.methods = b""
        self.login: tuple[bytes, bytes] | None = None
        self.command = 0
        self.target: Address | None = None
        self.relay: Relay | None = None
        self.stream: StreamRelay | None = None
        self.error: Exception | None = None
        self.finished = False
        self._credentials = credentials
        self._resolve = resolve
        self._cases = cases
        self._has_room = has_room
        self._counts = counts
        self._loop = asyncio.get_running_loop()
        self._link = Link(connection)
        counts.connections.up()

    @property
    def segments(self) -> list[bytes]:
        """What each read returned, but for CONNECT's relay: one segment a message, if it was sent so."""
        return self._link.segments

    @property
    def passage(self) -> Relay | StreamRelay | None:
        """Where the datagrams of this connection pass, if it has any."""
        return self.relay or self.stream

    async def run(self) -> None:
        """The whole connection, as its script has it."""
        if await self._strikes(Stage.ACCEPT) or not await self._handshake():
            return
        assert self.target is not None
        wanted = asked_format(self.command, self.target)
        if self.script.reply:
            await self._reply(self.script.reply)
        elif wanted in self.script.formats and wanted is not None:
            await self._stream(wanted)
        elif self.command == CONNECT:
            await self._connect()
        elif self.command == UDP_ASSOCIATE:
            await self._associate()
        else:
            await self._reply(NO_SUCH_COMMAND)

    def close(self) -> None:
        """Release everything the connection holds; its relay may be one that outlives it."""
        self.connection.close()
        if self.passage and not self.passage.script.outlives:
            self.passage.close()
        if not self.finished:
            self.finished = True
            self._counts.connections.down()

    async def _handshake(self) -> bool:
        """Up to the request; False where it came to an end."""
        count = (await self._link.read(2))[1]
        self.methods = await self._link.read(count)
        method = self.script.method
        if method is None:
            wanted = 2 if self._credentials else 0
            method = wanted if wanted in self.methods else 0xFF
        if await self._strikes(Stage.METHOD, bytes([5, method])):
            return False
        if method == 2 and not await self._authenticate():
            return False
        if method not in {0, 2}:
            await self._link.until_closed()
            return False
        await self._read_request()
        return True

    async def _authenticate(self) -> bool:
        user = await self._link.read((await self._link.read(2))[1])
        password = await self._link.read((await self._link.read(1))[0])
        self.login = user, password
        status = self.script.status
        if status is None:
            status = 0 if self._credentials in {None, self.login} else 1
        return not await self._strikes(Stage.LOGIN, bytes([1, status])) and status == 0

    async def _read_request(self) -> None:
        self.command = (await self._link.read(3))[1]
        address = b""
        while (length := address_length(address)) is None or len(address) < length:
            address += await self._link.read(1)
        self.target, _ = parse_address(address)
        self.script = self._cases.get(self.target[0]) or self._cases.get(self.command) or self.script

    async def _connect(self) -> None:
        assert self.target is not None
        if self.script.early and await self._reply(0):
            return
        try:
            upstream = await self._open(self.target)
        except OSError:
            if not self.script.early:
                await self._reply(NO_SUCH_HOST if self.target[0] in MAGIC else REFUSED)
            return
        with upstream:
            if self.script.early or not await self._reply(0):
                await self._relay_stream(upstream)

    async def _open(self, target: Address) -> socket.socket:
        if target[0] in MAGIC:
            raise socket.gaierror(socket.EAI_NONAME, "no test asks a name server for it")
        found = await self._loop.getaddrinfo(*self._resolve(target), type=socket.SOCK_STREAM)
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
        assert self.target is not None
        code = objection(self.target, self.connection.getpeername()[:2])
        if code or not self._has_room():
            await self._reply(code or GENERAL_FAILURE)
            return
        script = self.script
        self.relay = Relay(
            script.relay_host or self.connection.getsockname()[0],
            script.udp,
            self._resolve,
            asked=self.target[1],
            counts=self._counts,
        )
        host, port = self.relay.address
        named = host if script.bound_host is None else script.bound_host
        if await self._reply(0, address_octets(named, port)):
            return
        if script.at is Stage.RELAY and script.act in {Act.CLOSE, Act.RESET} and not script.udp.outlives:
            self.relay.close()
        if not await self._strikes(Stage.RELAY):
            touched = asyncio.create_task(self._until_touched())
            await first_of(touched, asyncio.create_task(self.relay.until_lost()))

    async def _until_touched(self) -> None:
        """Some servers end the association at any octet on the control connection."""
        await self._link.until_touched()

    async def _stream(self, stream_format: StreamFormat) -> None:
        self.stream = StreamRelay(
            self._link, stream_format, self.script.udp, self._resolve, counts=self._counts
        )
        if await self._reply(0):
            return
        drips = self.script.at is Stage.RELAY and self.script.act is Act.DRIP
        if drips or not await self._strikes(Stage.RELAY):
            await self.stream.run(drip=self.script.interval if drips else None)

    async def _reply(self, code: int, bound: bytes = ZEROS) -> bool:
        """Answer the request; True where the script ended the connection instead."""
        return await self._strikes(Stage.REPLY, bytes([5, code, 0]) + (self.script.bound or bound))

    async def _strikes(self, stage: Stage, answer: bytes = b"") -> bool:
        """Send `answer`, or do what the script has for `stage`; True where that was the end."""
        script = self.script
        if script.at is not stage:
            await self._link.send(answer)
            return False
        if script.act is Act.DRIP:
            await self._link.drip(answer, script.interval)
            return False
        if script.act is Act.RESET:
            abort(self.connection)
        elif script.act is Act.CLOSE:
            self.connection.shutdown(socket.SHUT_WR)
        elif script.act is Act.SAY:
            await self._link.send(script.text)
        await self._link.until_closed()
        return True

    async def _relay_stream(self, upstream: socket.socket) -> None:
        await self._loop.sock_sendall(upstream, self._link.left)
        down = asyncio.create_task(self._pump_to_client(upstream))
        up = asyncio.create_task(self._pump(self.connection, upstream))
        pumps = {down} if self.script.at is Stage.RELAY else {down, up}
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            for task in (up, down):
                task.cancel()
            results = await asyncio.gather(up, down, return_exceptions=True)
        if any(isinstance(result, OSError) for result in results):
            abort(upstream)
            abort(self.connection)
        elif self.script.at is Stage.RELAY:
            await self._strikes(Stage.RELAY)

    async def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        while data := await self._loop.sock_recv(source, CHUNK):
            await self._loop.sock_sendall(sink, data)
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
            await self._link.send(data)
            relayed += len(data)
        while self.script.act is Act.DRIP:
            await self._link.drip(await self._loop.sock_recv(upstream, CHUNK), self.script.interval)
