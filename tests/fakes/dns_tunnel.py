"""A tunnel in memory with a scripted DNS server at its far end."""

import asyncio
import socket
from collections.abc import Callable, Iterable

import dns.message
import dns.rrset

from sockslocal.address import Endpoint
from sockslocal.errors import ServerError

Script = Callable[[dns.message.Message, str], Iterable[bytes]]
"""From a query and the way it came (`udp` or `tcp`) to the messages sent back, whose ids are put right."""


def reply(query: dns.message.Message, *records: str, ttl: int = 300) -> dns.message.Message:
    """A response with `records`, such as `www.example A 192.0.2.1`, in its answer section."""
    response = dns.message.make_response(query, recursion_available=True)
    for record in records:
        name, rdtype, data = record.split(" ", 2)
        response.answer.append(dns.rrset.from_text(name + ".", ttl, "IN", rdtype, data))
    return response


def wire(message: dns.message.Message) -> bytes:
    """`message` with whatever length it has."""
    return message.to_wire(max_size=65_535)


class Flow:
    """A UDP flow to the fake server."""

    def __init__(
        self, tunnel: "FakeTunnel", received: Callable[[bytes], None], lost: Callable[[ServerError], None]
    ) -> None:
        self.received = received
        self.lost = lost
        self.sent: list[bytes] = []
        self.closed = False
        self._tunnel = tunnel

    def send(self, payload: bytes) -> None:
        assert not self.closed
        self.sent.append(payload)
        for message in self._tunnel.answers(payload, "udp"):
            asyncio.get_running_loop().call_soon(self.deliver, message)

    def deliver(self, message: bytes) -> None:
        if not self.closed:
            self.received(message)

    def close(self) -> None:
        self.closed = True


class FakeTunnel:
    """Counts what passes; `refusal` is raised instead of opening anything, while it is set."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.refusal: ServerError | None = None
        self.asked: list[tuple[str, dns.message.Message]] = []
        self.targets: list[Endpoint] = []
        self.flows: list[Flow] = []
        self.streams: list[asyncio.StreamWriter] = []
        self._serving: set[asyncio.Task[None]] = set()

    async def open_stream(self, target: Endpoint) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self.refusal is not None:
            raise self.refusal
        self.targets.append(target)
        near, far = socket.socketpair()
        self._serving.add(asyncio.create_task(self._serve(far)))
        return await asyncio.open_connection(sock=near)

    def open_flow(
        self, remote: Endpoint, received: Callable[[bytes], None], lost: Callable[[ServerError], None]
    ) -> Flow:
        if self.refusal is not None:
            raise self.refusal
        self.targets.append(remote)
        self.flows.append(Flow(self, received, lost))
        return self.flows[-1]

    def answers(self, payload: bytes, path: str) -> list[bytes]:
        """What the script sends back."""
        query = dns.message.from_wire(payload)
        self.asked.append((path, query))
        return [payload[:2] + message[2:] for message in self.script(query, path)]

    def paths(self) -> list[str]:
        """The ways the queries came, in order."""
        return [path for path, _ in self.asked]

    async def close(self) -> None:
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def _serve(self, sock: socket.socket) -> None:
        reader, writer = await asyncio.open_connection(sock=sock)
        self.streams.append(writer)
        try:
            while True:
                length = int.from_bytes(await reader.readexactly(2), "big")
                for message in self.answers(await reader.readexactly(length), "tcp"):
                    writer.write(len(message).to_bytes(2, "big") + message)
        except (EOFError, OSError):
            pass
        finally:
            writer.close()
