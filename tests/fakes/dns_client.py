"""A resolver on loopback, and clients that ask it over real sockets."""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import dns.asyncquery
import dns.message

from fakes.dns_tunnel import FakeTunnel
from sockslocal.address import Endpoint
from sockslocal.config.model import DnsConfig, DnsPolicy, Upstream
from sockslocal.errors import ListenError
from sockslocal.net.engine import Engine
from sockslocal.resolver import Memory, Resolver

PATIENCE_S = 5.0


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def resolver(
    tunnel: FakeTunnel,
    *upstreams: str,
    listen: tuple[str, ...] = ("127.0.0.1",),
    clock: Clock | None = None,
    settings: dict[str, Any] | None = None,
    memory: Memory | None = None,
    **parts: Any,
) -> AsyncIterator[Resolver]:
    """An open resolver with `upstreams`, such as `tcp`; `parts` replace those of its engine.

    `settings` are further ones of its configuration; `memory` is that of an earlier one.
    """
    engine = dataclasses.replace(Engine.make(parts.pop("poller", None)), **parts)
    servers = tuple(
        Upstream("udp" if scheme == "udp" else "tcp", Endpoint(f"192.0.2.{number}", 53))
        for number, scheme in enumerate(upstreams or ("udp",), start=1)
    )
    config = DnsConfig(
        listen=tuple(Endpoint(host, 0) for host in listen),
        upstreams=servers,
        servers=("office",),
        **settings or {},
    )
    made = _opened(config, tunnel, engine, memory or Memory(clock=clock or Clock()))
    try:
        yield made
    finally:
        await made.close(0)
        await tunnel.close()
        engine.stop()


def _opened(config: DnsConfig, tunnel: FakeTunnel, engine: Engine, memory: Memory) -> Resolver:
    """A resolver on free ports: what is free for TCP may be taken for UDP, and is then chosen anew."""
    for _ in range(20):
        made = Resolver(config, tunnel, engine, memory)
        with contextlib.suppress(ListenError):
            made.open()
            return made
    raise AssertionError("no port is free for both TCP and UDP")


def go_by(made: Resolver, policy: DnsPolicy) -> None:
    """Have another policy, with all else as it is."""
    made.update(dataclasses.replace(made._config, policy=policy))


async def ask(made: Resolver, message: dns.message.Message, index: int = 0) -> dns.message.Message:
    """The reply to `message` over UDP; dnspython checks id, question and source."""
    host, port = made.endpoints[index]
    return await dns.asyncquery.udp(message, host, timeout=PATIENCE_S, port=port)


class Connection:
    """A TCP client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, *messages: dns.message.Message) -> None:
        """All of them in one write."""
        self.writer.write(b"".join(message.to_wire(prepend_length=True) for message in messages))

    async def receive(self) -> dns.message.Message:
        """The next reply."""
        async with asyncio.timeout(PATIENCE_S):
            length = int.from_bytes(await self.reader.readexactly(2), "big")
            return dns.message.from_wire(await self.reader.readexactly(length))

    async def ended(self) -> bool:
        """Whether the resolver closes the connection without another octet."""
        async with asyncio.timeout(PATIENCE_S):
            try:
                return await self.reader.read() == b""
            except ConnectionResetError:
                return True


@asynccontextmanager
async def connected(made: Resolver, index: int = 0) -> AsyncIterator[Connection]:
    """A connection to the resolver."""
    reader, writer = await asyncio.open_connection(*made.endpoints[index])
    try:
        yield Connection(reader, writer)
    finally:
        writer.close()
