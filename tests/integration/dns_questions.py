"""Thousands of questions to a name server on loopback, and what is the same in two answers."""

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype

from integration.servers.process import LOOPBACK
from integration.servers.zones import Question

WINDOW = 64
"""Questions at a time."""

PATIENCE_S = 10.0
ATTEMPTS = 3
PAYLOAD = 1232


class Summary(NamedTuple):
    """All of an answer that may not differ, however it came; TTLs are for `lowest`."""

    rcode: str
    flags: str
    sections: tuple[frozenset[str], ...]


def summary(message: dns.message.Message) -> Summary:
    """What is left of an answer without what differs by right: id, order, letter case, TTLs, OPT, AA."""
    flags = message.flags & (dns.flags.TC | dns.flags.RD | dns.flags.RA | dns.flags.AD | dns.flags.CD)
    sections = tuple(
        frozenset(f"{_owner(rrset)} {rdata}" for rrset in section for rdata in rrset)
        for section in (message.question, message.answer, message.authority)
    )
    return Summary(dns.rcode.to_text(message.rcode()), dns.flags.to_text(flags), sections)


def _owner(rrset: Any) -> str:
    return f"{str(rrset.name).lower()} {rrset.rdclass} {dns.rdatatype.to_text(rrset.rdtype)}"


def ttls(message: dns.message.Message) -> dict[str, int]:
    """The TTL of each RRset."""
    sections = (*message.answer, *message.authority)
    return {_owner(rrset): rrset.ttl for rrset in sections}


def ask_all(port: int, questions: Sequence[Question], *, dnssec: bool = False) -> list[dns.message.Message]:
    """The answer to each, by UDP and, where that is truncated, by TCP."""
    return asyncio.run(_ask_all(port, questions, dnssec=dnssec))


async def _ask_all(port: int, questions: Sequence[Question], *, dnssec: bool) -> list[dns.message.Message]:
    loop = asyncio.get_running_loop()
    transport, client = await loop.create_datagram_endpoint(_Client, remote_addr=(LOOPBACK, port))
    places = asyncio.Semaphore(WINDOW)

    async def ask(number: int, question: Question) -> dns.message.Message:
        query = dns.message.make_query(*question, want_dnssec=dnssec, use_edns=True, payload=PAYLOAD)
        query.id = number % 65_536
        async with places:
            wire = await client.ask(query.to_wire())
            message = dns.message.from_wire(wire)
            if message.flags & dns.flags.TC:
                message = dns.message.from_wire(await _ask_by_tcp(port, query.to_wire()))
        return message

    try:
        return await asyncio.gather(*(ask(*item) for item in enumerate(questions)))
    finally:
        transport.close()


async def _ask_by_tcp(port: int, query: bytes) -> bytes:
    async with asyncio.timeout(PATIENCE_S):
        reader, writer = await asyncio.open_connection(LOOPBACK, port)
        try:
            writer.write(len(query).to_bytes(2, "big") + query)
            return await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
        finally:
            writer.close()
            await writer.wait_closed()


class _Client(asyncio.DatagramProtocol):
    """Answers by id."""

    def __init__(self) -> None:
        self._waiting: dict[bytes, asyncio.Future[bytes]] = {}

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, _address: object) -> None:
        waiting = self._waiting.get(data[:2])
        if waiting is not None and not waiting.done():
            waiting.set_result(data)

    async def ask(self, query: bytes) -> bytes:
        """The answer; asked again where none comes. Raises TimeoutError."""
        waiting = self._waiting[query[:2]] = asyncio.get_running_loop().create_future()
        try:
            for _ in range(ATTEMPTS):
                self._transport.sendto(query)
                done, _pending = await asyncio.wait({waiting}, timeout=PATIENCE_S / ATTEMPTS)
                if done:
                    answer: bytes = waiting.result()
                    return answer
            raise TimeoutError(f"no answer to {query!r}")
        finally:
            del self._waiting[query[:2]]
