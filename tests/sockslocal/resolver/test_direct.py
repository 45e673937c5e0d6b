import asyncio
import contextlib
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import dns.message
import dns.rcode
import pytest

import sockslocal.resolver
from fakes.accepting import stop_accepting
from fakes.dns_client import ask, go_by, resolver
from fakes.dns_tunnel import FakeTunnel, addresses, query, truncated
from sockslocal.address import Endpoint
from sockslocal.config.model import Ask, Direct, DnsPolicy, DnsRule, Upstream


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: "LanServer") -> None:
        self._server = server

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        asked = dns.message.from_wire(data)
        self._server.asked.append(("udp", asked.question[0].name.to_text().lower()))
        make = truncated if self._server.truncates else lambda asked: addresses(asked)[0]
        self._transport.sendto(data[:2] + make(asked)[2:], addr)


class LanServer:
    """A DNS server on loopback that says what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.truncates = False
        self.endpoint = Endpoint("", 0)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["LanServer"]:
        """UDP and TCP on one port."""
        loop = asyncio.get_running_loop()
        stream = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = stream.sockets[0].getsockname()[1]
        transport, _ = await loop.create_datagram_endpoint(
            lambda: _Datagrams(self), local_addr=("127.0.0.1", port)
        )
        self.endpoint = Endpoint("127.0.0.1", port)
        try:
            yield self
        finally:
            transport.close()
            await stop_accepting(stream)
            stream.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(EOFError, OSError):
            while True:
                length = int.from_bytes(await reader.readexactly(2), "big")
                data = await reader.readexactly(length)
                asked = dns.message.from_wire(data)
                self.asked.append(("tcp", asked.question[0].name.to_text().lower()))
                answer = data[:2] + addresses(asked)[0][2:]
                writer.write(len(answer).to_bytes(2, "big") + answer)


def policy(server: Endpoint) -> DnsPolicy:
    """`lan` past the tunnel, `corp` through it."""
    corp = Ask((Upstream("udp", Endpoint("10.0.0.2", 53)),))
    return DnsPolicy(rules=(DnsRule("lan", Direct(server)), DnsRule("corp", corp)), filter_aaaa=True)


async def test_only_names_of_a_direct_rule_go_past_the_tunnel() -> None:
    """Its server hears of no other name, and the tunnel of none of its own."""
    tunnel = FakeTunnel()
    async with LanServer().running() as server, resolver(tunnel) as made:
        go_by(made, policy(server.endpoint))
        for name in ("nas.lan", "www.example", "db.corp", "lan.example", "lan"):
            assert (await ask(made, query(name))).answer
        assert server.asked == [("udp", "nas.lan."), ("udp", "lan.")]
        through = [message.question[0].name.to_text().lower() for _, message in tunnel.asked]
        assert through == ["www.example.", "db.corp.", "lan.example."]


async def test_a_truncated_answer_comes_by_tcp() -> None:
    """As from any other upstream (checklist 32)."""
    tunnel = FakeTunnel()
    async with LanServer().running() as server, resolver(tunnel) as made:
        server.truncates = True
        go_by(made, policy(server.endpoint))
        assert (await ask(made, query("nas.lan"))).answer
        assert [path for path, _ in server.asked] == ["udp", "tcp"]
        assert tunnel.targets == []


async def test_ipv6_of_the_own_network_is_not_filtered() -> None:
    """`filter_aaaa` is about what the server reaches."""
    async with LanServer().running() as server, resolver(FakeTunnel()) as made:
        go_by(made, policy(server.endpoint))
        await ask(made, query("nas.lan", "AAAA"))
        assert server.asked == [("udp", "nas.lan.")]


async def test_a_direct_server_that_is_not_there_is_servfail() -> None:
    """Its names are asked for nowhere else."""
    tunnel = FakeTunnel()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unused:
        unused.bind(("127.0.0.1", 0))
        gone = Endpoint("127.0.0.1", unused.getsockname()[1])
    async with resolver(tunnel) as made:
        go_by(made, policy(gone))
        assert (await ask(made, query("nas.lan"))).rcode() == dns.rcode.SERVFAIL
        assert tunnel.asked == []
        problem = made.status().problem
        assert problem is not None
        assert str(gone) in problem.text
        made.forget_problem()
        assert made.status().problem is None


@pytest.mark.parametrize("path", sorted(Path(sockslocal.resolver.__file__).parent.glob("*.py")))
def test_no_other_module_of_the_resolver_opens_anything(path: Path) -> None:
    """But listeners, whose sockets the net layer makes."""
    opens = re.search(
        r"socket\.socket\(|open_connection|create_datagram_endpoint|create_connection|getaddrinfo",
        path.read_text(),
    )
    assert (opens is not None) == (path.name == "direct.py")
