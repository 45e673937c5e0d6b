"""A tunnel in memory with a scripted DNS server at its far end."""

import asyncio
import contextlib
import itertools
import socket
from collections.abc import Callable, Iterable
from typing import Any

import dns.message
import dns.rcode
import dns.rrset

from sockslocal.address import Endpoint
from sockslocal.errors import ServerError

Script = Callable[[dns.message.Message, str], Iterable[bytes]]
"""From a query and the way it came (`udp` or `tcp`) to the messages sent back, whose ids are put right."""

REFUSAL = ServerError.of("server-unreachable", address="proxy.example:1080", reason="connection refused")

SOA = "ns.example. admin.example. 1 7200 900 1209600 60"


def query(name: str = "www.example", rdtype: str = "A", **options: Any) -> dns.message.Message:
    """A client's query."""
    return dns.message.make_query(name, rdtype, **options)


def response(asked: dns.message.Message, *records: str, rcode: str = "NOERROR", ttl: int = 300) -> bytes:
    """A response with `records`, such as `www.example A 192.0.2.1`; a denial has the zone's SOA record."""
    message = dns.message.make_response(asked, recursion_available=True, our_payload=1232)
    message.set_rcode(dns.rcode.from_text(rcode))
    for record in records:
        name, rdtype, data = record.split(" ", 2)
        message.answer.append(dns.rrset.from_text(name + ".", ttl, "IN", rdtype, data))
    if not records and rcode in ("NOERROR", "NXDOMAIN"):
        message.authority.append(dns.rrset.from_text("example.", ttl, "IN", "SOA", SOA))
    return message.to_wire(max_size=65_535)


def truncated(asked: dns.message.Message) -> bytes:
    """A response that says: come again by TCP."""
    octets = bytearray(dns.message.make_response(asked).to_wire())
    octets[2] |= 2
    return bytes(octets)


def addresses(asked: dns.message.Message, _path: str = "udp") -> list[bytes]:
    """The script of a server that knows an address for every name."""
    return [response(asked, f"{asked.question[0].name.to_text(omit_final_dot=True)} A 192.0.2.1")]


def silence(_asked: dns.message.Message, _path: str) -> list[bytes]:
    """The script of a server that is not there."""
    return []


async def until(predicate: Callable[[], bool], seconds: float = 5.0) -> None:
    """Let the loop run until `predicate` holds: turn by turn for a while, and then time passes as well."""
    async with asyncio.timeout(seconds):
        for turn in itertools.count():
            if predicate():
                return
            await asyncio.sleep(0 if turn < 200 else 0.001)


class FakeFlow:
    """A UDP flow to the fake server."""

    def __init__(
        self,
        tunnel: "FakeTunnel",
        received: Callable[[bytes], None],
        lost: Callable[[ServerError], None],
    ) -> None:
        self.lost = lost
        self.sent: list[bytes] = []
        self.closed = False
        self._received = received
        self._tunnel = tunnel

    def send(self, payload: bytes) -> None:
        assert not self.closed
        self.sent.append(payload)
        for message in self._tunnel.answers(payload, "udp"):
            asyncio.get_running_loop().call_soon(self.deliver, message)

    def deliver(self, message: bytes) -> None:
        """A datagram from the server, or from whoever pretends to be it."""
        if not self.closed:
            self._received(message)

    def close(self) -> None:
        self.closed = True


class FakeTunnel:
    """Remembers what passed; `refusal` is raised instead of opening anything, while it is set."""

    def __init__(self, script: Script = addresses) -> None:
        self.script = script
        self.refusal: ServerError | None = None
        self.asked: list[tuple[str, dns.message.Message]] = []
        self.targets: list[Endpoint] = []
        self.flows: list[FakeFlow] = []
        self.streams: list[asyncio.StreamWriter] = []
        """The server's ends of the connections."""
        self._serving: set[asyncio.Task[None]] = set()

    @property
    def paths(self) -> list[str]:
        """The ways the queries came, in order."""
        return [path for path, _ in self.asked]

    async def open_stream(self, target: Endpoint) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        self._open(target)
        near, far = socket.socketpair()
        self._serving.add(asyncio.create_task(self._serve(far)))
        return await asyncio.open_connection(sock=near)

    def open_flow(
        self, remote: Endpoint, received: Callable[[bytes], None], lost: Callable[[ServerError], None]
    ) -> FakeFlow:
        self._open(remote)
        self.flows.append(FakeFlow(self, received, lost))
        return self.flows[-1]

    def answers(self, payload: bytes, path: str) -> list[bytes]:
        """What the script sends back."""
        asked = dns.message.from_wire(payload)
        self.asked.append((path, asked))
        return [payload[:2] + message[2:] for message in self.script(asked, path)]

    async def close(self) -> None:
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)
        for writer in self.streams:
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    def _open(self, target: Endpoint) -> None:
        self.targets.append(target)
        if self.refusal is not None:
            raise self.refusal

    async def _serve(self, sock: socket.socket) -> None:
        reader, writer = await asyncio.open_connection(sock=sock)
        self.streams.append(writer)
        with contextlib.closing(writer), contextlib.suppress(EOFError, OSError):
            while True:
                length = int.from_bytes(await reader.readexactly(2), "big")
                for message in self.answers(await reader.readexactly(length), "tcp"):
                    writer.write(len(message).to_bytes(2, "big") + message)
