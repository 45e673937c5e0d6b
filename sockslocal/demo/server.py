"""A small SOCKS5 server (RFC 1928, RFC 1929) into the demo's network: CONNECT and UDP ASSOCIATE."""

import asyncio
import hmac
from collections import Counter
from typing import cast

from sockslocal.address import Endpoint
from sockslocal.demo.association import Association
from sockslocal.demo.network import Network, Unreachable
from sockslocal.demo.relay import Paused, join
from sockslocal.socks5.client import Credentials
from sockslocal.socks5.errors import ProtocolError
from sockslocal.socks5.messages import Command, Reply
from sockslocal.socks5.server import ServerHandshake

MAX_CLIENTS = 4096
"""Connections at a time; more are closed at once."""

HANDSHAKE_SECONDS = 10.0
"""From the connection to the request, and again from the request to the target's answer."""

_REPLIES = {ConnectionRefusedError: Reply.CONNECTION_REFUSED, TimeoutError: Reply.TTL_EXPIRED}


class DemoServer:
    """Serves from `open` to `close`; `served` counts the requests that were granted."""

    def __init__(self, network: Network, credentials: Credentials | None) -> None:
        self.network = network
        self.served: Counter[Command] = Counter()
        self.clients: set[_Client] = set()
        self._credentials = credentials
        self._server: asyncio.Server | None = None

    async def open(self, host: str = "127.0.0.1") -> Endpoint:
        """Listen at a free port of `host`, and say where."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Client(self), host, 0, backlog=1024)
        return Endpoint(*self._server.sockets[0].getsockname()[:2])

    async def close(self) -> None:
        """End the listener and every connection."""
        if self._server is None:
            return
        self._server.close()
        for client in tuple(self.clients):
            client.end()
        await self._server.wait_closed()

    def handshake(self) -> ServerHandshake:
        """What a new client has to go through."""
        return ServerHandshake(None if self._credentials is None else self._authenticate)

    def _authenticate(self, username: bytes, password: bytes) -> bool:
        wanted = cast("Credentials", self._credentials)
        name_fits = hmac.compare_digest(username, wanted.username.encode())
        return hmac.compare_digest(password, wanted.password.reveal().encode()) and name_fits


class _Client(asyncio.Protocol):
    """A connection to the server, until it is joined to its target or closed."""

    def __init__(self, server: DemoServer) -> None:
        self._server = server
        self._handshake = server.handshake()
        self._association: Association | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._target: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._deadline = asyncio.get_running_loop().call_later(HANDSHAKE_SECONDS, self._transport.abort)
        if len(self._server.clients) < MAX_CLIENTS:
            self._server.clients.add(self)
        else:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._association is not None:
            return  # a control connection has nothing more to say
        try:
            answer = self._handshake.receive(data)
        except ProtocolError:
            self._transport.abort()
            return
        self._transport.write(answer)
        if self._handshake.closing:
            self._transport.close()
        elif self._handshake.request is not None:
            self._deadline.cancel()
            self._serve(*self._handshake.request)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  asyncio's signature
        self._deadline.cancel()
        self._server.clients.discard(self)
        if self._association is not None:
            self._association.close()
        if self._connecting is not None:
            self._connecting.cancel()

    def end(self) -> None:
        """Close with all that belongs to it."""
        self._transport.abort()
        if self._target is not None:
            self._target.abort()

    def _serve(self, command: Command, target: Endpoint) -> None:
        if command is Command.UDP_ASSOCIATE:
            self._associate(target)
        else:
            self._transport.pause_reading()
            self._connecting = asyncio.get_running_loop().create_task(self._connect(target))

    def _associate(self, announced: Endpoint) -> None:
        client = Endpoint(self._transport.get_extra_info("peername")[0], announced.port)
        local = self._transport.get_extra_info("sockname")[0]
        self._association = Association(self._server.network, local=local, client=client)
        self._grant(Command.UDP_ASSOCIATE, self._association.relay)

    async def _connect(self, target: Endpoint) -> None:
        loop = asyncio.get_running_loop()
        try:
            place = self._server.network.locate("tcp", target)
            async with asyncio.timeout(HANDSHAKE_SECONDS):
                self._target, _ = await loop.create_connection(Paused, *place.actual)
        except Unreachable as unreachable:
            self._refuse(unreachable.reply)
        except OSError as error:
            self._refuse(_REPLIES.get(type(error), Reply.GENERAL_FAILURE))
        else:
            self._grant(Command.CONNECT, Endpoint(*self._target.get_extra_info("sockname")[:2]))
            self._target.write(self._handshake.trailing)
            join(self._transport, self._target, finished=lambda: self._server.clients.discard(self))

    def _grant(self, command: Command, bound: Endpoint) -> None:
        self._server.served[command] += 1
        self._transport.write(self._handshake.reply(Reply.SUCCEEDED, bound))

    def _refuse(self, reply: Reply) -> None:
        self._transport.write(self._handshake.reply(reply))
        self._transport.close()
